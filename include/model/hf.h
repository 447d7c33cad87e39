/* SPDX-License-Identifier: MIT */
/*
 * hf.h - a folder of Hugging Face files as a model.
 *
 * The folder holds config.json, tokenizer.json, and model.safetensors, or its shards with
 * model.safetensors.index.json; where they are there, generation_config.json, HF_POOLING,
 * tokenizer_config.json and chat_template.jinja.  hf_open reads and checks them all and gives a
 * view under GGUF's names for keys and tensors, so that whoever loads a model needs to know nothing
 * of this:
 *
 *   hf.c            the folder, its files and shards
 *   safetensors.c   the container of tensors
 *   hf-groups.c     floats that are ternary already, a scale for each group of 128 inputs
 *   hf-names.c      model.layers.N.self_attn.q_proj.weight is blk.N.attn_q.weight
 *   hf-config.c     config.json, generation_config.json: {arch}.*, general.*
 *   hf-tokenizer.c  tokenizer.json, tokenizer_config.json: tokenizer.*
 *
 * Nothing is believed, and what would change the answers is not passed over: a member whose value
 * asks for something tritd does not do is refused by name.
 *
 * Source: huggingface/transformers (integrations/bitnet.py, configuration_*.py,
 * modeling_rope_utils.py), huggingface/tokenizers, huggingface/safetensors.
 */
#ifndef TRIT_HF_H
#define TRIT_HF_H

struct gguf;
struct trit_error;

/* Of sentence-transformers: the only file that is not in the folder itself. */
#define HF_POOLING "1_Pooling/config.json"

/* Gives *g (gguf_close).  Codes as those of gguf_open. */
int hf_open(const char *folder, struct gguf **g, struct trit_error *err);

/* A folder by hf_open, all else by gguf_open. */
int hf_open_any(const char *path, struct gguf **g, struct trit_error *err);

#endif
