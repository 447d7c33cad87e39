/* SPDX-License-Identifier: MIT */
/*
 * gguf-pairs.c - reads and checks the keys of a GGUF file and their values, under the rules of
 * gguf.c.
 */
#include "config.h"
#include "model/gguf-private.h"

#include <inttypes.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "values are handed out as they lie in the file");

#define MAX_KEY       65535u     /* bytes; the format's own limit */
#define MIN_ALIGNMENT 8u
#define MAX_ALIGNMENT 65536u

static int take_key(struct cursor *c, struct gguf_pair *p)
{
    uint64_t len;
    int rc = cursor_string(c, MAX_KEY, &p->key, &len);
    if (rc)
        return rc;
    if (len == 0)
        return cursor_bad(c, TRIT_EFORMAT, "empty name, expected one or more characters");
    for (uint64_t i = 0; i < len; i++)
        if (p->key[i] <= 0x20 || p->key[i] > 0x7e)
            return cursor_bad(c, TRIT_EFORMAT, "byte 0x%02x in the name, expected printable ASCII",
                              (unsigned char)p->key[i]);
    c->name = p->key;
    return 0;
}

static int take_texts(struct cursor *c, struct gguf_pair *p)
{
    struct buf texts = {0};
    int rc = 0;
    p->ends = mem_zalloc(p->count, sizeof *p->ends);
    if (!p->ends)
        return cursor_no_memory(c);
    for (uint64_t i = 0, len; i < p->count; i++) {
        rc = cursor_length(c, GGUF_STRING_MAX, &len);
        if (rc == 0 && texts.len + len > GGUF_TEXTS_MAX)
            rc = cursor_bad(c, TRIT_EFORMAT, "more than %d bytes of text in one array",
                            GGUF_TEXTS_MAX);
        if (rc == 0 && !buf_reserve(&texts, len))
            rc = cursor_no_memory(c);
        if (rc == 0)
            rc = cursor_take(c, texts.data + texts.len, len);
        if (rc) {
            buf_free(&texts);
            return rc;
        }
        texts.len += len;
        p->ends[i] = (uint32_t)texts.len;
    }
    p->bytes = buf_take(&texts, NULL);
    return p->bytes ? 0 : cursor_no_memory(c);
}

static int check_bools(const struct cursor *c, const uint8_t *v, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (v[i] > 1)
            return cursor_bad(c, TRIT_EFORMAT, "bool of value %u, expected 0 or 1", v[i]);
    return 0;
}

static int take_numbers(struct cursor *c, struct gguf_pair *p)
{
    p->bytes = mem_zalloc(p->count, gguf_type_bytes(p->type));
    if (!p->bytes)
        return cursor_no_memory(c);
    int rc = cursor_take(c, p->bytes, p->count * gguf_type_bytes(p->type));
    if (rc == 0 && p->type == GGUF_BOOL)
        rc = check_bools(c, (const uint8_t *)p->bytes, p->count);
    return rc;
}

static int take_array(struct cursor *c, struct gguf_pair *p)
{
    uint32_t type;
    int rc = cursor_u32(c, &type);
    if (rc == 0)
        rc = cursor_u64(c, &p->count);
    if (rc)
        return rc;
    if (type == GGUF_ARRAY)
        return cursor_bad(c, TRIT_EUNSUPP, "an array of arrays, expected numbers or strings");
    if (type > GGUF_F64)
        return cursor_bad(c, TRIT_EFORMAT, "array of type %" PRIu32 ", expected 0 to %d", type,
                          GGUF_F64);
    p->array = true;
    p->type = type;
    if (p->count > GGUF_ELEMENTS_MAX)
        return cursor_bad(c, TRIT_EFORMAT, "array of %" PRIu64 " elements, expected at most %d",
                          p->count, GGUF_ELEMENTS_MAX);
    uint64_t least = p->count * (type == GGUF_STRING ? sizeof(uint64_t) : gguf_type_bytes(type));
    if (least > cursor_left(c))
        return cursor_bad(c, TRIT_EFORMAT,
                          "array of %" PRIu64 " elements needs %" PRIu64 " bytes, but only %" PRIu64
                          " are left",
                          p->count, least, cursor_left(c));
    return type == GGUF_STRING ? take_texts(c, p) : take_numbers(c, p);
}

static int take_pair(struct cursor *c, struct gguf_pair *p)
{
    uint32_t type;
    p->offset = c->pos;
    int rc = take_key(c, p);
    if (rc == 0)
        rc = cursor_u32(c, &type);
    if (rc)
        return rc;
    if (type == GGUF_ARRAY)
        return take_array(c, p);
    if (type > GGUF_F64)
        return cursor_bad(c, TRIT_EFORMAT, "value of type %" PRIu32 ", expected 0 to %d", type,
                          GGUF_F64);
    p->type = type;
    if (type == GGUF_STRING)
        return cursor_string(c, GGUF_STRING_MAX, &p->bytes, &p->count);
    rc = cursor_take(c, &p->scalar, gguf_type_bytes(type));
    if (rc == 0 && type == GGUF_BOOL)
        rc = check_bools(c, (const uint8_t *)&p->scalar, 1);
    return rc;
}

int gguf_read_pairs(struct cursor *c)
{
    struct gguf *g = c->g;
    c->what = "key";
    for (c->index = 0; c->index < g->n_pairs; c->index++) {
        c->name = NULL;
        int rc = take_pair(c, &g->pairs[c->index]);
        if (rc)
            return rc;
    }
    c->name = NULL;
    g->pairs_end = c->pos;
    return gguf_index_keys(c);
}

int gguf_read_layout(struct cursor *c, uint32_t *alignment)
{
    const struct gguf_pair *p = gguf_find(c->g, "general.alignment");
    *alignment = 32;
    c->what = "key";
    if (p) {
        c->name = p->key;
        if (p->array || p->type != GGUF_U32)
            return cursor_bad(c, TRIT_EFORMAT, "found %s%s, expected u32",
                              p->array ? "array of " : "", gguf_type_name(p->type));
        *alignment = (uint32_t)p->scalar;
        if (*alignment < MIN_ALIGNMENT || *alignment > MAX_ALIGNMENT ||
            (*alignment & (*alignment - 1)) != 0)
            return cursor_bad(c, TRIT_EFORMAT,
                              "found %" PRIu32 ", expected a power of two from %u to %u",
                              *alignment, MIN_ALIGNMENT, MAX_ALIGNMENT);
    }
    return 0;
}
