/* SPDX-License-Identifier: MIT */
/*
 * hf-parts.h - what the bodies of model/hf.h share: a folder at work, its JSON files, members.
 */
#ifndef TRIT_HF_PARTS_H
#define TRIT_HF_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/jsontext.h"
#include "model/gguf-private.h"
#include "model/hf.h"
#include "model/method.h"

/* A file of the folder, whole in memory. */
struct hf_text {
    char *path; /* NULL: the folder has no such file */
    char *text; /* with a NUL behind it */
    size_t len;
    struct jsontext doc; /* an object, where it is JSON */
};

enum { HF_EOS_MAX = 16 };

/* What config.json says and others need to know. */
struct hf_facts {
    enum method_id method;
    bool divides; /* weight_scale divides, as that of BitLinear does; AutoBitLinear's multiplies */
    bool gemma;   /* names of tensors mean what they do in Gemma 3 */
    bool hybrid;  /* or in Qwen3.5 */
    bool tied, untied; /* tie_word_embeddings, where it is stated */
    uint64_t rows;     /* of the embedding: vocab_size.  0: not stated */
    int32_t bos;       /* -1: not stated */
    int32_t eos[HF_EOS_MAX];
    size_t n_eos;
};

struct hf {
    struct gguf *g;
    const char *folder;
    struct trit_error *err;
    struct hf_text config, generation, tokenizer, tokenizer_config, template;
    struct hf_text added_tokens; /* only beside a tokenizer.model */
    struct hf_text pooling;      /* of sentence-transformers */
    float *scores; /* of a tokenizer.model, whose text is that of a tokenizer.json now */
    size_t n_scores;
    struct hf_facts facts;
};

/* Keys of config.json and generation_config.json; sets h->facts. */
int hf_config(struct hf *h);

/* Of hf_config, under `arch`: the windows of Gemma 3, whose class has this head_dim where the
 * folder has none; and pooling, of any model (hf-layers.c). */
int hf_windows(struct hf *h, const char *arch, uint64_t head_dim);
int hf_pooling(struct hf *h, const char *arch);

/* Of hf_config: what Qwen3.5 says of its layers in `doc`, with a class that has this head_dim. */
int hf_deltas(struct hf *h, struct jsontext doc, const char *arch, uint64_t head_dim);

/* Keys of tokenizer.json, tokenizer_config.json and chat_template.jinja. */
int hf_tokenizer(struct hf *h);

/* h->tokenizer is a tokenizer.model: replace its text by a tokenizer.json, and set h->scores. */
int hf_sentencepiece(struct hf *h, size_t max_values);

/* What the pipeline of a tokenizer.json says of its tokens. */
struct hf_pipeline {
    bool spaces;            /* they are written in SentencePiece's alphabet */
    bool normalizes_spaces; /* and the normalizer makes the text so */
};

/* The keys for normalizer, pre_tokenizer, model and decoder (hf-pipeline.c); or a refusal. */
int hf_pipeline(struct hf *h, struct jsontext model, struct hf_pipeline *p);

/* A member, null where it is absent; a boolean member with a default; whether a part is of a type;
 * the elements of a Sequence's `list`, or the part itself, or none of null: how many, of which at
 * most `max` are in out (more than max also where the list is none). */
struct jsontext hf_part(struct jsontext object, const char *name);
bool hf_flag(struct jsontext part, const char *name, bool otherwise);
bool hf_is_type(struct jsontext part, const char *type);
size_t hf_unfold(struct jsontext part, const char *list, struct jsontext *out, size_t max);

/* Once the view is whole: matrices of floats that are ternary by groups are read so. */
int hf_groups(struct hf *h);

enum hf_role {
    HF_UNKNOWN, /* not in the table */
    HF_IGNORED, /* computed by whoever needs it */
    HF_LINEAR,
    HF_SCALE, /* of a linear, and OneBit's other factor */
    HF_OTHER,
};

/* GGUF's name for a tensor; `name` is set but for HF_UNKNOWN and HF_IGNORED. */
enum hf_role hf_name(const char *origin, const struct hf_facts *facts,
                     char name[GGUF_NAME_MAX + 1]);

/* ------------------------------------------------------------------ members of JSON objects */

/* Refuse a value: "<file>: <member> is <value>, expected <expected>". */
int hf_refuse(const struct hf *h, const struct hf_text *t, int code, const char *member,
              struct jsontext found, const char *expected);

/*
 * A member of `object`, which lies in t.  Absent and null are the same: *found is false and *out
 * keeps its value, but `required` makes it an error.  Of another kind or twice there: refused.
 */
int hf_value(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
             enum jsontext_kind kind, bool required, bool *found, struct jsontext *out);
int hf_uint(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
            bool required, bool *found, uint64_t *out);
int hf_float(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
             bool required, bool *found, double *out);
int hf_bool(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
            bool *found, bool *out);

#endif
