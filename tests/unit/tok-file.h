/* SPDX-License-Identifier: MIT */
/*
 * tok-file.h - a model file that holds a tokenizer and nothing else, for tests to bend.
 *
 * tok_file_init describes a sound one: a token for each byte, some merges, special tokens.  A test
 * changes the description and opens it.
 */
#ifndef TRIT_TOK_FILE_H
#define TRIT_TOK_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "gguf-write.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

enum { ABSENT = -1, TOK_FILE_MAX = 1024 };

struct tok_file {
    const char *model, *pre, *chat; /* NULL: the key is absent */
    size_t n_tokens, n_kinds, n_merges;
    char token[TOK_FILE_MAX][64];
    int32_t kind[TOK_FILE_MAX];
    char merge[TOK_FILE_MAX][64];
    float score[TOK_FILE_MAX]; /* of a "llama" one, with as many elements as there are tokens, */
    int n_scores_more;         /* and this many more */
    int space_prefix;
    bool no_tokens, no_kinds, no_merges;
    const char *as_u32; /* this key holds a number, whatever belongs there */
    int64_t bos, eos, eot;
    int add_bos, add_eos;
    uint32_t rows;
};

/* Byte b as the alphabet of GPT-2 writes it.  Made in another way than vocab.c undoes it. */
static inline void tok_file_letter(unsigned b, char out[5])
{
    unsigned strange = 0;
    for (unsigned i = 0; i <= b; i++) {
        bool prints = (i > 32 && i < 127) || (i > 160 && i < 256 && i != 173);
        out[utf8_encode(out, prints ? i : 256 + strange)] = '\0';
        strange += !prints;
    }
}

static inline int32_t tok_file_add(struct tok_file *f, const char *text, int32_t kind)
{
    ck_assert_uint_lt(f->n_tokens, TOK_FILE_MAX);
    ck_assert_uint_lt(strlen(text), sizeof f->token[0]);
    strcpy(f->token[f->n_tokens], text);
    f->kind[f->n_tokens] = kind;
    f->n_kinds = f->n_tokens + 1;
    return (int32_t)f->n_tokens++;
}

/* The merge, and the token that it makes unless that is there. */
static inline void tok_file_merge(struct tok_file *f, const char *left, const char *right)
{
    char *whole = NULL;
    ck_assert_uint_lt(f->n_merges, TOK_FILE_MAX);
    ck_assert_uint_lt(strlen(left) + 1 + strlen(right), sizeof f->merge[0]);
    stpcpy(stpcpy(stpcpy(f->merge[f->n_merges++], left), " "), right);
    ck_assert_int_gt(asprintf(&whole, "%s%s", left, right), 0);
    size_t i = 0;
    while (i < f->n_tokens && strcmp(f->token[i], whole) != 0)
        i++;
    if (i == f->n_tokens)
        tok_file_add(f, whole, 1);
    free(whole);
}

/* Ids 0 to 255 are the bytes themselves. */
static inline struct tok_file *tok_file_init(void)
{
    struct tok_file *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    f->model = "gpt2";
    f->pre = "llama-bpe";
    f->add_bos = f->add_eos = f->space_prefix = ABSENT;
    f->bos = f->eos = f->eot = ABSENT;
    f->rows = TOK_FILE_MAX;
    for (unsigned b = 0; b < 256; b++) {
        char letter[5];
        tok_file_letter(b, letter);
        tok_file_add(f, letter, 1);
    }
    return f;
}

/* One of SentencePiece: three special tokens, the bytes, and the space. */
static inline struct tok_file *tok_file_init_llama(void)
{
    struct tok_file *f = tok_file_init();
    f->model = "llama";
    f->pre = NULL;
    f->no_merges = true;
    f->n_tokens = 0;
    tok_file_add(f, "<unk>", 2);
    f->bos = tok_file_add(f, "<s>", 3);
    f->eos = tok_file_add(f, "</s>", 3);
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        tok_file_add(f, name, 6);
    }
    f->score[tok_file_add(f, "\xe2\x96\x81", 1)] = -1000;
    return f;
}

static inline void tok_file_write(const struct tok_file *f, int fd)
{
    struct buf pairs = {0}, file = {0};
    uint64_t n = 0;
    const struct {
        const char *key, *text;
    } texts[] = {
        {"tokenizer.ggml.model", f->model},
        {"tokenizer.ggml.pre", f->pre},
        {"tokenizer.chat_template", f->chat},
    };
    const struct {
        const char *key;
        int64_t value;
        bool flag;
    } numbers[] = {
        {"tokenizer.ggml.bos_token_id", f->bos, false},
        {"tokenizer.ggml.eos_token_id", f->eos, false},
        {"tokenizer.ggml.eot_token_id", f->eot, false},
        {"tokenizer.ggml.add_bos_token", f->add_bos, true},
        {"tokenizer.ggml.add_eos_token", f->add_eos, true},
        {"tokenizer.ggml.add_space_prefix", f->space_prefix, true},
    };
#define WANTED(key) (!(f->as_u32 && strcmp(f->as_u32, (key)) == 0) && ++n)
    if (f->as_u32) {
        gguf_put_key(&pairs, f->as_u32, GGUF_U32);
        gguf_put_u32(&pairs, 7);
        n++;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].text && WANTED(texts[i].key)) {
            gguf_put_key(&pairs, texts[i].key, GGUF_STRING);
            gguf_put_text(&pairs, texts[i].text, strlen(texts[i].text));
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].value != ABSENT && WANTED(numbers[i].key)) {
            gguf_put_key(&pairs, numbers[i].key, numbers[i].flag ? GGUF_BOOL : GGUF_U64);
            if (numbers[i].flag)
                buf_addc(&pairs, numbers[i].value != 0);
            else
                gguf_put_u64(&pairs, (uint64_t)numbers[i].value);
        }
    }
    if (!f->no_tokens && WANTED("tokenizer.ggml.tokens")) {
        gguf_put_array(&pairs, "tokenizer.ggml.tokens", GGUF_STRING, f->n_tokens);
        for (size_t i = 0; i < f->n_tokens; i++)
            gguf_put_text(&pairs, f->token[i], strlen(f->token[i]));
    }
    if (!f->no_kinds && WANTED("tokenizer.ggml.token_type")) {
        gguf_put_array(&pairs, "tokenizer.ggml.token_type", GGUF_I32, f->n_kinds);
        for (size_t i = 0; i < f->n_kinds; i++)
            gguf_put_u32(&pairs, (uint32_t)f->kind[i]);
    }
    if (f->model && strcmp(f->model, "llama") == 0 && WANTED("tokenizer.ggml.scores")) {
        size_t count = (size_t)((int)f->n_tokens + f->n_scores_more);
        gguf_put_array(&pairs, "tokenizer.ggml.scores", GGUF_F32, count);
        buf_add(&pairs, f->score, count * sizeof f->score[0]);
    }
    if (!f->no_merges && WANTED("tokenizer.ggml.merges")) {
        gguf_put_array(&pairs, "tokenizer.ggml.merges", GGUF_STRING, f->n_merges);
        for (size_t i = 0; i < f->n_merges; i++)
            gguf_put_text(&pairs, f->merge[i], strlen(f->merge[i]));
    }
#undef WANTED
    gguf_put_head(&file, 3, 0, n);
    buf_add(&file, pairs.data, pairs.len);
    ck_assert(!file.failed && !pairs.failed);
    ck_assert_int_eq(pwrite(fd, file.data, file.len, 0), (ssize_t)file.len);
    buf_free(&file);
    buf_free(&pairs);
}

/* The container, which must be sound. */
static inline struct gguf *tok_file_gguf(const struct tok_file *f)
{
    struct gguf *g = NULL;
    struct trit_error err = {0};
    char path[64];
    int fd = memfd_create("tok-file", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    tok_file_write(f, fd);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ck_assert_msg(gguf_open(path, &g, &err) == 0, "%s", err.text);
    close(fd);
    return g;
}

/* The tokenizer, which must be sound. */
static inline struct tok *tok_file_open(const struct tok_file *f)
{
    struct trit_error err = {0};
    struct tok *t = NULL;
    struct gguf *g = tok_file_gguf(f);
    ck_assert_msg(tok_open(g, f->rows, &t, &err) == 0, "%s", err.text);
    gguf_close(&g);
    return t;
}

static inline void ck_ids(const struct tok_ids *ids, const int32_t *want, size_t n)
{
    ck_assert_uint_eq(ids->n, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(ids->id[i] == want[i], "id %zu: found %d, expected %d", i, ids->id[i],
                      want[i]);
}

#define CK_ENCODES(t, text, flags, ...)                                                            \
    do {                                                                                           \
        const int32_t want_[] = {__VA_ARGS__};                                                     \
        struct tok_ids ids_ = {0};                                                                 \
        ck_assert_int_eq(tok_encode(t, text, strlen(text), flags, 0, &ids_), 0);                   \
        ck_ids(&ids_, want_, ARRAY_LEN(want_));                                                    \
        tok_ids_free(&ids_);                                                                       \
    } while (0)

/* A file under the source tree, parsed. */
static inline cJSON *read_json(const char *name)
{
    char path[512];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/%s", srcdir ? srcdir : ".", name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    struct buf text = {0};
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        buf_add(&text, piece, n);
    fclose(file);
    cJSON *json = cJSON_Parse(text.data);
    ck_assert_msg(json != NULL, "%s is not JSON", path);
    buf_free(&text);
    return json;
}

#endif
