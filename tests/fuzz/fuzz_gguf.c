/* SPDX-License-Identifier: MIT */
/*
 * fuzz_gguf.c - any bytes as a GGUF file: gguf_open must refuse them or hand out views that hold,
 * and tokenizer and chat format are made of what it says or refused.
 */
#include "config.h"

#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"
#include "model/chat.h"
#include "model/gguf.h"
#include "model/plausible.h"
#include "model/quant.h"
#include "model/rows.h"
#include "model/tokenizer.h"

/* Read some rows of an encoding that is read so: of tiles, if somebody has told them. */
static void use_rows(const struct gguf *g, const struct gguf_tensor *t)
{
    enum { MOST = 1 << 16 };
    struct rows r;
    float scales[ROWS_RUN];
    uint64_t rows = t->ne[1] * t->ne[2] * t->ne[3];
    uint32_t n = (uint32_t)MIN(rows, (uint64_t)ROWS_RUN);
    struct trit_error err = {0};
    if (t->ne[0] > MOST || rows_open(g, t, &r, &err) != 0)
        return;
    uint8_t *raw = mem_zalloc(rows_raw_bytes(t, n), 1);
    int8_t *trits = mem_zalloc(n, t->ne[0]);
    trit_assert(raw && trits);
    uint32_t last = (uint32_t)(rows % ROWS_RUN);
    int rc = last ? rows_read(&r, rows - last, last, raw, trits, scales, &err) : 0;
    rc = rc ? rc : rows_read(&r, 0, n, raw, trits, scales, &err);
    trit_assert(rc == 0 || (err.code == -rc && *err.text));
    for (uint64_t i = 0; rc == 0 && i < n * t->ne[0]; i++)
        trit_assert(trits[i] >= -1 && trits[i] <= 1);
    mem_free(raw);
    mem_free(trits);
    rows_close(&r);
}

/* What its owner might say of a file. */
static void use_reading(struct gguf *g)
{
    static const struct quant_tiles tiles[] = {{32, 288, 32, 96, 32}, {0, 0, 64, 64, 32}};
    static const uint32_t orders[] = {QUANT_I2_S_ARM, QUANT_I2_S_FOUR, QUANT_I2_S};
    struct plausible p;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        const struct gguf_reading how = {
            .i2s = orders[i], .tiles = tiles, .n_tiles = i == 0 ? ARRAY_LEN(tiles) : 0};
        struct trit_error err = {0};
        int rc = gguf_read_as(g, &how, &err);
        trit_assert(rc == 0 || (err.code == -rc && *err.text));
        for (size_t k = 0; k < gguf_n_tensors(g); k++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, k);
            if (t->quant && rows_needed(t->quant))
                use_rows(g, t);
        }
    }
    (void)plausible_look(g, 0, 1, &p, NULL);
}

/* Read the end of a tensor and decode a block of it. */
static void use_tensor(const struct gguf *g, const struct gguf_tensor *t)
{
    unsigned char raw[256];
    float values[256];
    int8_t trits[256];
    size_t n = MIN(t->bytes, sizeof raw);
    trit_assert(gguf_read(g, t, t->bytes - n, raw, n, NULL) == 0);
    trit_assert(gguf_tensor(g, t->name) == t);
    if (!t->quant || t->quant->block_bytes == 0 || n < t->quant->block_bytes)
        return;
    if (t->quant->ternary)
        (void)quant_trits(t->quant, raw, trits, values, t->quant->block_values);
    else
        quant_floats(t->quant, raw, values, t->quant->block_values);
}

static void use_pair(const struct gguf *g, size_t i)
{
    const char *key = gguf_key_at(g, i);
    const int32_t *ints;
    const float *floats;
    struct gguf_str s;
    struct gguf_strs strs;
    uint64_t u;
    double d;
    bool yes;
    size_t n;
    char text[80];
    unsigned sum = 0;
    gguf_print_value(g, i, text, sizeof text);
    trit_assert(strlen(text) < sizeof text && gguf_has(g, key));
    trit_assert(gguf_pair_bytes(g, i) >= 13);
    (void)gguf_uint(g, key, &u, NULL);
    (void)gguf_float(g, key, &d, NULL);
    (void)gguf_bool(g, key, &yes, NULL);
    if (gguf_string(g, key, &s, NULL) == 0 && s.len)
        sum += (unsigned char)s.data[s.len - 1];
    if (gguf_ints(g, key, &ints, &n, NULL) == 0 && n)
        sum += (unsigned)ints[n - 1];
    if (gguf_floats(g, key, &floats, &n, NULL) == 0 && n)
        sum += floats[n - 1] > 0;
    if (gguf_strings(g, key, &strs, NULL) == 0)
        for (size_t k = 0; k < strs.n; k++) {
            s = gguf_str_at(&strs, k);
            sum += s.len ? (unsigned char)s.data[s.len - 1] : 0;
        }
    /* What was summed up must count as used. */
    __asm__ volatile("" : : "r"(sum));
}

/* What the loader makes of metadata. */
static void use_text(const struct gguf *g)
{
    static const struct chat_message hello = {.role = "user", .content = "Hello", .content_len = 5};
    static const struct tm now = {.tm_mday = 26, .tm_year = 126};
    const struct chat_talk talk = {.message = &hello, .n = 1, .add_prompt = true, .now = &now};
    struct tok *tok = NULL;
    struct chat *chat = NULL;
    struct tok_ids ids = {0};
    struct buf out = {0};
    struct trit_error err = {0};
    int rc = tok_open(g, 1 << 20, &tok, &err);
    trit_assert(rc == 0 ? tok != NULL : !tok && err.code == -rc && *err.text);
    if (rc)
        return;
    rc = tok_encode(tok, "Hello, 12 <s> worlds", 20, TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL, 0, &ids);
    if (rc == 0)
        tok_decode(tok, ids.id, ids.n, true, &out);
    ids.n = 0;
    rc = chat_open(g, tok, NULL, &chat, &err);
    trit_assert(rc == 0 ? chat != NULL : !chat && err.code == -rc && *err.text);
    if (rc == 0)
        (void)chat_encode(chat, tok, &talk, 1000, &ids, &err);
    chat_close(&chat);
    tok_ids_free(&ids);
    buf_free(&out);
    tok_close(&tok);
}

FUZZ(gguf)
{
    struct gguf *g = NULL;
    struct trit_error err = {0};
    const char *path = fuzz_file(bytes, len);
    log_set_level(LOG_ERROR);
    if (!path)
        return 0;
    int rc = gguf_open(path, &g, &err);
    if (rc) {
        trit_assert(!g && err.code == -rc && strlen(err.text) > strlen(path));
        return 0;
    }
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        use_pair(g, i);
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        use_tensor(g, gguf_tensor_at(g, i));
    use_reading(g);
    use_text(g);
    gguf_close(&g);
    return 0;
}
