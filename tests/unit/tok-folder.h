/* SPDX-License-Identifier: MIT */
/*
 * tok-folder.h - a folder of a model in which only the tokenizer is missing, and the small ones
 * that tests/golden/tokenizer/make-small.mjs made.
 */
#ifndef TRIT_TEST_TOK_FOLDER_H
#define TRIT_TEST_TOK_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "tok-file.h"
#include "unit.h"

static char dir[64];
static cJSON *small;

static inline void put(const char *name, const void *bytes, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert(f && fwrite(bytes, 1, len, f) == len);
    ck_assert_int_eq(fclose(f), 0);
}

/* A folder with nothing in it that a tokenizer could depend on. */
static inline void folder_setup(void)
{
    static const char CONFIG[] =
        "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_act\":\"silu\",\"hidden_size\":8,"
        "\"intermediate_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":1,"
        "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"vocab_size\":4096,"
        "\"torch_dtype\":\"bfloat16\"}";
    static const char TENSOR[] = "\x48\0\0\0\0\0\0\0{\"model.norm.weight\":{\"dtype\":\"BF16\","
                                 "\"shape\":[8],\"data_offsets\":[0,16]}}0123456789abcdef";
    ck_assert_uint_eq(sizeof TENSOR - 1, 8 + 0x48 + 16);
    log_open(LOG_ERROR, 0);
    snprintf(dir, sizeof dir, "/tmp/tritd-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    put("config.json", CONFIG, strlen(CONFIG));
    put("model.safetensors", TENSOR, sizeof TENSOR - 1);
    small = read_json("tests/golden/tokenizer/small.json");
}

static inline void folder_teardown(void)
{
    static const char *const names[] = {"config.json",     "model.safetensors",
                                        "tokenizer.json",  "tokenizer_config.json",
                                        "tokenizer.model", "added_tokens.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    cJSON_Delete(small);
}

static inline const cJSON *named(const char *name)
{
    const cJSON *t;
    cJSON_ArrayForEach(
        t,
        cJSON_GetObjectItem(
            small, "tokenizers")) if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(t, "name")),
                                             name) == 0) return t;
    ck_abort_msg("no tokenizer is named %s", name);
}

#endif
