/* SPDX-License-Identifier: MIT */
/*
 * gguf-get.c - the views of an open GGUF file: typed getters, printing, reading of tensors.
 *
 * What is handed out was checked by gguf_open; here only types and ranges of values are.
 */
#include "config.h"
#include "model/gguf.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/utf8.h"
#include "model/gguf-private.h"

// clang-format off
static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [GGUF_U8] = {"u8", 1},   [GGUF_I8] = {"i8", 1},   [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2}, [GGUF_U32] = {"u32", 4}, [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4}, [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8}, [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};
// clang-format on

const char *gguf_type_name(enum gguf_type type)
{
    return types[type].name;
}

size_t gguf_type_bytes(enum gguf_type type)
{
    return types[type].bytes;
}

const char *gguf_path(const struct gguf *g)
{
    return g->path;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
    return g->file_bytes;
}

int gguf_fd(const struct gguf *g)
{
    return g->n_files ? -1 : g->fd;
}

uint32_t gguf_version(const struct gguf *g)
{
    return g->version;
}

size_t gguf_n_files(const struct gguf *g)
{
    return g->n_files ? g->n_files : 1;
}

int gguf_file_at(const struct gguf *g, size_t i, const char **path)
{
    trit_assert(i < gguf_n_files(g));
    *path = g->n_files ? g->files[i].path : g->path;
    return g->n_files ? g->files[i].fd : g->fd;
}

const struct gguf_pair *gguf_find(const struct gguf *g, const char *key)
{
    for (size_t lo = 0, hi = g->n_pairs; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        const struct gguf_pair *p = &g->pairs[g->by_key[mid]];
        int order = strcmp(key, p->key);
        if (order == 0)
            return p;
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    for (size_t lo = 0, hi = g->n_tensors; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        const struct gguf_tensor *t = &g->tensors[g->by_name[mid]].t;
        int order = strcmp(name, t->name);
        if (order == 0)
            return t;
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

size_t gguf_n_keys(const struct gguf *g)
{
    return g->n_pairs;
}

const char *gguf_key_at(const struct gguf *g, size_t i)
{
    trit_assert(i < g->n_pairs);
    return g->pairs[i].key;
}

enum gguf_type gguf_type_at(const struct gguf *g, size_t i, enum gguf_type *elem, size_t *count)
{
    trit_assert(i < g->n_pairs);
    const struct gguf_pair *p = &g->pairs[i];
    if (!p->array)
        return p->type;
    *elem = p->type;
    *count = p->count;
    return GGUF_ARRAY;
}

size_t gguf_pair_bytes(const struct gguf *g, size_t i)
{
    trit_assert(i < g->n_pairs);
    return (i + 1 < g->n_pairs ? g->pairs[i + 1].offset : g->pairs_end) - g->pairs[i].offset;
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    trit_assert(i < g->n_tensors);
    return &g->tensors[i].t;
}

static int wrong_type(const struct gguf *g, const struct gguf_pair *p, const char *expected,
                      struct trit_error *err)
{
    return gguf_fail(g, err, TRIT_EFORMAT, "key %.127s: found %s%s, expected %s", p->key,
                     p->array ? "array of " : "", types[p->type].name, expected);
}

static int get(const struct gguf *g, const char *key, const struct gguf_pair **p,
               struct trit_error *err)
{
    *p = gguf_find(g, key);
    return *p ? 0 : gguf_fail(g, err, TRIT_ENOENT, "key %.127s: missing", key);
}

bool gguf_has(const struct gguf *g, const char *key)
{
    return gguf_find(g, key) != NULL;
}

/* The i-th number of an integer type; false when the type is another. */
static bool integer(enum gguf_type type, const void *at, int64_t *v, uint64_t *u)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } x = {.u64 = 0};
    memcpy(&x, at, types[type].bytes);
    *v = 0;
    switch (type) {
    case GGUF_I8:
        *v = x.i8;
        break;
    case GGUF_I16:
        *v = x.i16;
        break;
    case GGUF_I32:
        *v = x.i32;
        break;
    case GGUF_I64:
        *v = x.i64;
        break;
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
        *u = x.u64;
        return true;
    default:
        return false;
    }
    *u = (uint64_t)*v;
    return true;
}

static double number(enum gguf_type type, const void *at)
{
    float f;
    double d;
    if (type == GGUF_F64) {
        memcpy(&d, at, sizeof d);
        return d;
    }
    memcpy(&f, at, sizeof f);
    return f;
}

int gguf_uint(const struct gguf *g, const char *key, uint64_t *out, struct trit_error *err)
{
    const struct gguf_pair *p;
    int64_t v;
    uint64_t u;
    int rc = get(g, key, &p, err);
    if (rc)
        return rc;
    if (p->array || !integer(p->type, &p->scalar, &v, &u))
        return wrong_type(g, p, "an integer", err);
    if (v < 0)
        return gguf_fail(g, err, TRIT_EFORMAT, "key %.127s: found %" PRId64 ", expected 0 or more",
                         p->key, v);
    *out = u;
    return 0;
}

int gguf_float(const struct gguf *g, const char *key, double *out, struct trit_error *err)
{
    const struct gguf_pair *p;
    int rc = get(g, key, &p, err);
    if (rc)
        return rc;
    if (p->array || (p->type != GGUF_F32 && p->type != GGUF_F64))
        return wrong_type(g, p, "f32 or f64", err);
    double v = number(p->type, &p->scalar);
    if (!isfinite(v))
        return gguf_fail(g, err, TRIT_EFORMAT, "key %.127s: found %g, expected a finite number",
                         p->key, v);
    *out = v;
    return 0;
}

int gguf_bool(const struct gguf *g, const char *key, bool *out, struct trit_error *err)
{
    const struct gguf_pair *p;
    int rc = get(g, key, &p, err);
    if (rc)
        return rc;
    if (p->array || p->type != GGUF_BOOL)
        return wrong_type(g, p, "bool", err);
    *out = p->scalar != 0;
    return 0;
}

int gguf_string(const struct gguf *g, const char *key, struct gguf_str *out, struct trit_error *err)
{
    const struct gguf_pair *p;
    int rc = get(g, key, &p, err);
    if (rc)
        return rc;
    if (p->array || p->type != GGUF_STRING)
        return wrong_type(g, p, "string", err);
    if (!utf8_valid(p->bytes, p->count))
        return gguf_fail(g, err, TRIT_EFORMAT, "key %.127s: found bytes that are not UTF-8",
                         p->key);
    *out = (struct gguf_str){p->bytes, p->count};
    return 0;
}

static struct gguf_strs strings_of(const struct gguf_pair *p)
{
    return (struct gguf_strs){p->bytes, p->ends, p->count};
}

int gguf_strings(const struct gguf *g, const char *key, struct gguf_strs *out,
                 struct trit_error *err)
{
    const struct gguf_pair *p;
    int rc = get(g, key, &p, err);
    if (rc)
        return rc;
    if (!p->array || p->type != GGUF_STRING)
        return wrong_type(g, p, "array of string", err);
    *out = strings_of(p);
    return 0;
}

int gguf_ints(const struct gguf *g, const char *key, const int32_t **out, size_t *count,
              struct trit_error *err)
{
    const struct gguf_pair *p;
    int rc = get(g, key, &p, err);
    if (rc)
        return rc;
    if (!p->array || (p->type != GGUF_I32 && p->type != GGUF_U32))
        return wrong_type(g, p, "array of i32 or u32", err);
    const int32_t *v = (const int32_t *)(const void *)p->bytes;
    for (size_t i = 0; p->type == GGUF_U32 && i < p->count; i++)
        if (v[i] < 0)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "key %.127s: element %zu is %" PRIu32 ", expected at most %d", p->key,
                             i, (uint32_t)v[i], INT32_MAX);
    *out = v;
    *count = p->count;
    return 0;
}

int gguf_floats(const struct gguf *g, const char *key, const float **out, size_t *count,
                struct trit_error *err)
{
    const struct gguf_pair *p;
    int rc = get(g, key, &p, err);
    if (rc)
        return rc;
    if (!p->array || p->type != GGUF_F32)
        return wrong_type(g, p, "array of f32", err);
    *out = (const float *)(const void *)p->bytes;
    *count = p->count;
    return 0;
}

/* A text of at most cap - 1 bytes; what does not fit is cut and `full` tells. */
struct out {
    char *dst;
    size_t cap, len;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(o->dst + o->len, o->cap - o->len, fmt, ap);
    va_end(ap);
    trit_assert(n >= 0);
    o->full = o->full || (size_t)n >= o->cap - o->len;
    o->len = MIN(o->len + (size_t)n, o->cap - 1);
}

/* In quotes, at most `max` bytes of it; nothing that a terminal would obey or choke on gets out. */
static void put_text(struct out *o, struct gguf_str s, size_t max)
{
    put(o, "\"");
    for (size_t i = 0; i < s.len && !o->full;) {
        uint32_t cp;
        unsigned n = utf8_decode(s.data + i, s.len - i, &cp);
        if (i >= max) {
            put(o, "...");
            break;
        }
        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            if (n == 1 && cp == '\n')
                put(o, "\\n");
            else
                put(o, "\\x%02x", (unsigned char)s.data[i]);
            i += 1;
            continue;
        }
        put(o, "%s%.*s", cp == '"' || cp == '\\' ? "\\" : "", (int)n, s.data + i);
        i += n;
    }
    put(o, "\"");
}

/* The fewest digits that read back as the same number: 1e-05, not 9.99999975e-06. */
static void put_float(struct out *o, enum gguf_type type, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (type == GGUF_F32 ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    put(o, "%s", text);
}

static void put_number(struct out *o, enum gguf_type type, const void *at)
{
    int64_t v;
    uint64_t u;
    if (type == GGUF_BOOL)
        put(o, "%s", *(const char *)at ? "true" : "false");
    else if (!integer(type, at, &v, &u))
        put_float(o, type, number(type, at));
    else if (v < 0)
        put(o, "%" PRId64, v);
    else
        put(o, "%" PRIu64, u);
}

void gguf_print_value(const struct gguf *g, size_t i, char *dst, size_t cap)
{
    enum { SHOWN = 6, ELEMENT_BYTES = 24 };
    trit_assert(i < g->n_pairs && cap >= 8);
    const struct gguf_pair *p = &g->pairs[i];
    struct out o = {dst, cap, 0, false};
    if (!p->array && p->type == GGUF_STRING) {
        put_text(&o, (struct gguf_str){p->bytes, p->count}, cap);
    } else if (!p->array) {
        put_number(&o, p->type, &p->scalar);
    } else {
        struct gguf_strs strings = strings_of(p);
        put(&o, "%" PRIu64 " x %s [", p->count, types[p->type].name);
        for (size_t k = 0; k < MIN(p->count, SHOWN); k++) {
            put(&o, k ? ", " : "");
            if (p->type == GGUF_STRING)
                put_text(&o, gguf_str_at(&strings, k), ELEMENT_BYTES);
            else
                put_number(&o, p->type, p->bytes + k * types[p->type].bytes);
        }
        put(&o, p->count > SHOWN ? ", ...]" : "]");
    }
    if (!o.full)
        return;
    /* Dots instead of the end; they begin where a character did. */
    size_t at = cap - 4;
    while (at > 0 && ((unsigned char)dst[at] & 0xc0) == 0x80)
        at--;
    memcpy(dst + at, "...", 4);
}

static int unreadable(const struct gguf *g, const char *what, const char *name,
                      struct trit_error *err)
{
    return gguf_fail(g, err, TRIT_EIO, "%s %.127s: cannot read: %s", what, name,
                     errno ? strerror(errno) : "the file became shorter");
}

int gguf_read_pair(const struct gguf *g, size_t i, void *dst, struct trit_error *err)
{
    const struct gguf_pair *p = &g->pairs[i];
    if (gguf_pread(g->fd, p->offset, dst, gguf_pair_bytes(g, i)) == 0)
        return 0;
    return unreadable(g, "key", p->key, err);
}

int gguf_read(const struct gguf *g, const struct gguf_tensor *t, uint64_t offset, void *dst,
              size_t len, struct trit_error *err)
{
    trit_assert(offset <= t->bytes && len <= t->bytes - offset);
    const struct gguf_entry *e = (const void *)t; /* its first member */
    if (gguf_pread(e->fd, e->start + offset, dst, len) == 0)
        return 0;
    for (size_t i = 0; g->version && i < g->n_files; i++)
        if (g->files[i].fd == e->fd)
            return gguf_fail_at(g->files[i].path, err, TRIT_EIO, "tensor %.127s: cannot read: %s",
                                t->name, errno ? strerror(errno) : "the file became shorter");
    return unreadable(g, "tensor", t->name, err);
}
