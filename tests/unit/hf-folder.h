/* SPDX-License-Identifier: MIT */
/*
 * hf-folder.h - a folder of Hugging Face files for check_hf and check_hf_bad: good ones, which a
 * test changes before it opens them.
 */
#ifndef TRIT_TEST_HF_FOLDER_H
#define TRIT_TEST_HF_FOLDER_H

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/utf8.h"
#include "model/gguf.h"
#include "model/hf.h"
#include "unit/unit.h"

static char dir[64];
static struct trit_error err;
static struct gguf *g;

static const char CONFIG[] =
    "{\"architectures\":[\"BitNetForCausalLM\"],\"hidden_act\":\"relu2\",\"hidden_size\":8,"
    "\"intermediate_size\":12,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"max_position_embeddings\":512,\"rms_norm_eps\":1e-05,"
    "\"rope_theta\":500000.0,\"tie_word_embeddings\":true,\"bos_token_id\":256,"
    "\"eos_token_id\":[257,258],\"vocab_size\":260,\"torch_dtype\":\"bfloat16\","
    "\"quantization_config\":{\"quant_method\":\"bitnet\",\"linear_class\":\"autobitlinear\"}}";
static const char GENERATION[] = "{\"temperature\":0.6,\"top_p\":0.9,\"top_k\":-1}";
static const char TOKENIZER_CONFIG[] =
    "{\"bos_token\":{\"content\":\"<|b|>\"},\"eos_token\":\"<|e|>\","
    "\"chat_template\":[{\"name\":\"default\",\"template\":\"<|im_start|><|im_end|>\"},"
    "{\"name\":\"tool_use\",\"template\":\"tools\"}]}";
static const char TENSORS[] =
    "{\"model.embed_tokens.weight\":{\"dtype\":\"BF16\",\"shape\":[260,8],"
    "\"data_offsets\":[0,4160]},\"model.layers.0.mlp.gate_proj.weight\":{\"dtype\":\"U8\","
    "\"shape\":[3,8],\"data_offsets\":[4160,4184]},\"model.layers.0.mlp.gate_proj.weight_scale\":"
    "{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[4184,4186]},\"lm_head.weight\":"
    "{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[4186,4188]}}";

static char tokenizer[16384];

/* The bytes, "th", the special tokens and a word. */
static inline void make_tokenizer(void)
{
    struct buf b = {0};
    unsigned more = 256;
    buf_adds(&b, "{\"added_tokens\":[");
    for (unsigned i = 0; i < 3; i++)
        buf_addf(&b, "{\"id\":%u,\"content\":\"<|%c|>\",\"special\":true},", 256 + i, "bef"[i]);
    buf_adds(&b,
             "{\"id\":259,\"content\":\"<think>\",\"special\":false}],\"normalizer\":null,"
             "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
             "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
             "{\"id\":\"<|b|>\"}},{\"Sequence\":{\"id\":\"A\"}}]},\"model\":{\"type\":\"BPE\","
             "\"vocab\":{");
    for (unsigned i = 0; i < 256; i++) {
        bool prints = (i > 32 && i < 127) || (i > 160 && i < 173) || i > 173;
        buf_addf(&b, "%s\"\\u%04x\":%u", i ? "," : "", prints ? i : more++, i);
    }
    buf_adds(&b, "},\"merges\":[]}}");
    ck_assert_uint_lt(b.len, sizeof tokenizer);
    memcpy(tokenizer, b.data, b.len + 1);
    buf_free(&b);
}

static inline void put_bytes(const char *name, const void *bytes, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static inline void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static inline void setup(void)
{
    log_open(LOG_ERROR, 0);
    snprintf(dir, sizeof dir, "/tmp/tritd-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    make_tokenizer();
    struct buf b = {0};
    uint64_t len = strlen(TENSORS);
    static const char zeros[4188];
    buf_add(&b, &len, sizeof len);
    buf_adds(&b, TENSORS);
    buf_add(&b, zeros, sizeof zeros);
    put_bytes("model.safetensors", b.data, b.len);
    buf_free(&b);
    put("config.json", CONFIG);
    put("generation_config.json", GENERATION);
    put("tokenizer.json", tokenizer);
    put("tokenizer_config.json", TOKENIZER_CONFIG);
}

static inline void teardown(void)
{
    char cmd[128];
    gguf_close(&g);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static inline int open_it(void)
{
    gguf_close(&g);
    memset(&err, 0, sizeof err);
    int rc = hf_open_any(dir, &g, &err);
    ck_assert_int_eq(err.code, -rc);
    if (rc) {
        ck_assert_ptr_null(g);
        ck_assert_msg(strstr(err.text, dir) != NULL, "%s", err.text);
        ck_assert_msg(utf8_valid(err.text, strlen(err.text)), "%s", err.text);
    }
    return rc;
}

/* text with `from` replaced once. */
static inline void put_changed(const char *name, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    struct buf b = {0};
    ck_assert_msg(at != NULL, "%s is not in %s", from, name);
    buf_add(&b, text, (size_t)(at - text));
    buf_adds(&b, to);
    buf_adds(&b, at + strlen(from));
    put_bytes(name, b.data, b.len);
    buf_free(&b);
}

#endif
