/* SPDX-License-Identifier: MIT */
/*
 * jinja-value.c - pools, and the values that lie in them.
 *
 * A chunk of a pool is filled from both ends: structures from the top, bytes of text from the
 * bottom.  So the text that was written last can be made longer where it stands, and a template
 * that adds to one string a hundred times does not copy it a hundred times.
 */
#include "config.h"
#include "model/jinja-parts.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"

struct jinja_chunk {
    struct jinja_chunk *next;
    size_t low, high; /* free between these offsets of data */
    _Alignas(max_align_t) char data[];
};

enum { FIRST_CHUNK = 16 * 1024, LARGEST_CHUNK = 4 << 20 };

static bool grow(struct jinja_pool *p, size_t need)
{
    size_t size = p->chunk ? MIN(2 * p->bytes, (size_t)LARGEST_CHUNK) : FIRST_CHUNK;
    size_t limit = p->max_bytes ? p->max_bytes : SIZE_MAX / 2;
    size = round_up(MAX(size, need), 64);
    if (p->failed || need > limit || size > limit - p->bytes) {
        p->full = p->full || !p->failed;
        p->failed = true;
        return false;
    }
    struct jinja_chunk *c = mem_resize(NULL, sizeof *c + size, 1);
    if (!c) {
        p->failed = true;
        return false;
    }
    c->next = p->chunk;
    c->low = 0;
    c->high = size;
    p->chunk = c;
    p->bytes += size;
    return true;
}

void *jinja_alloc(struct jinja_pool *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 4) {
        p->failed = p->full = true;
        return NULL;
    }
    bytes = round_up(bytes, _Alignof(max_align_t));
    if (!p->chunk || p->chunk->high - p->chunk->low < bytes)
        if (!grow(p, bytes))
            return NULL;
    /* A multiple of the alignment comes off an end that is one. */
    p->chunk->high -= bytes;
    return memset(p->chunk->data + p->chunk->high, 0, bytes);
}

char *jinja_bytes(struct jinja_pool *p, size_t len)
{
    if (!p->chunk || p->chunk->high - p->chunk->low < len)
        if (!grow(p, len))
            return NULL;
    p->chunk->low += len;
    return p->chunk->data + p->chunk->low - len;
}

bool jinja_extend(struct jinja_pool *p, const char *end, size_t more)
{
    if (!p->chunk || end != p->chunk->data + p->chunk->low || p->chunk->high - p->chunk->low < more)
        return false;
    p->chunk->low += more;
    return true;
}

void jinja_pool_free(struct jinja_pool *p)
{
    while (p->chunk) {
        struct jinja_chunk *next = p->chunk->next;
        mem_free(p->chunk);
        p->chunk = next;
    }
    *p = (struct jinja_pool){0};
}

/* ------------------------------------------------------------------ values */

struct jinja_value jinja_none(void)
{
    return (struct jinja_value){.type = JINJA_NONE};
}

struct jinja_value jinja_bool(bool yes)
{
    return (struct jinja_value){.type = JINJA_BOOL, .yes = yes};
}

struct jinja_value jinja_int(int64_t number)
{
    return (struct jinja_value){.type = JINJA_INT, .number = number};
}

struct jinja_value jinja_float(double real)
{
    return (struct jinja_value){.type = JINJA_FLOAT, .real = real};
}

struct jinja_value jinja_of_string(const struct jinja_string *s)
{
    if (!s)
        return (struct jinja_value){0};
    return (struct jinja_value){.type = JINJA_STRING, .string = s};
}

struct jinja_value jinja_view(struct jinja_pool *p, const char *s, size_t len, bool client)
{
    /* The one range of a client's text lies behind it. */
    struct {
        struct jinja_string string;
        struct tok_range whole;
    } *both = jinja_alloc(p, 1, sizeof *both);
    if (!both)
        return (struct jinja_value){0};
    both->string = (struct jinja_string){.data = s ? s : "", .len = len};
    if (client && len) {
        both->whole = (struct tok_range){0, len};
        both->string.client = &both->whole;
        both->string.n_client = 1;
    }
    return jinja_of_string(&both->string);
}

struct jinja_value jinja_text(struct jinja_pool *p, const char *s, size_t len, bool client)
{
    char *copy = jinja_bytes(p, len);
    if (!copy)
        return (struct jinja_value){0};
    if (len)
        memcpy(copy, s, len);
    return jinja_view(p, copy, len, client);
}

struct jinja_value jinja_list_sized(struct jinja_pool *p, size_t n, bool tuple)
{
    struct jinja_list *l = jinja_alloc(p, 1, sizeof *l);
    if (!l)
        return (struct jinja_value){0};
    l->tuple = tuple;
    if (n && !(l->v = jinja_alloc(p, n, sizeof *l->v)))
        return (struct jinja_value){0};
    l->cap = n;
    return (struct jinja_value){.type = JINJA_LIST, .list = l};
}

struct jinja_value jinja_list(struct jinja_pool *p)
{
    return jinja_list_sized(p, 0, false);
}

struct jinja_value jinja_dict(struct jinja_pool *p)
{
    struct jinja_dict *d = jinja_alloc(p, 1, sizeof *d);
    return d ? (struct jinja_value){.type = JINJA_DICT, .dict = d} : (struct jinja_value){0};
}

/* Room for one element more of an array in a pool: the old one, or a copy twice as large. */
static void *room(struct jinja_pool *p, void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    size_t more = MAX(2 * *cap, (size_t)4);
    void *grown = jinja_alloc(p, more, size);
    if (!grown)
        return NULL;
    if (n)
        memcpy(grown, v, n * size);
    *cap = more;
    return grown;
}

void jinja_push(struct jinja_pool *p, struct jinja_value list, struct jinja_value element)
{
    if (list.type != JINJA_LIST)
        return;
    struct jinja_list *l = list.list;
    void *v = room(p, l->v, l->n, &l->cap, sizeof *l->v);
    if (!v)
        return;
    l->v = v;
    l->v[l->n++] = element;
}

void jinja_put(struct jinja_pool *p, struct jinja_value dict, struct jinja_value key,
               struct jinja_value value)
{
    if (dict.type != JINJA_DICT)
        return;
    struct jinja_dict *d = dict.dict;
    void *pair = room(p, d->pair, d->n, &d->cap, sizeof *d->pair);
    if (!pair)
        return;
    d->pair = pair;
    d->pair[d->n++] = (struct jinja_pair){key, value};
}

void jinja_put_name(struct jinja_pool *p, struct jinja_value dict, const char *name,
                    struct jinja_value value)
{
    jinja_put(p, dict, jinja_view(p, name, strlen(name), false), value);
}

struct jinja_value jinja_get(struct jinja_value dict, const char *name)
{
    const size_t len = strlen(name);
    const struct jinja_dict *d = dict.type == JINJA_DICT ? dict.dict : NULL;
    for (size_t i = 0; d && i < d->n; i++) {
        const struct jinja_value key = d->pair[i].key;
        if (key.type == JINJA_STRING && key.string->len == len &&
            memcmp(key.string->data, name, len) == 0)
            return d->pair[i].value;
    }
    return (struct jinja_value){0};
}

size_t jinja_len(struct jinja_value v)
{
    return v.type == JINJA_DICT ? v.dict->n : v.type == JINJA_LIST ? v.list->n : 0;
}

void jinja_member(struct jinja_value dict, size_t i, struct jinja_value *key,
                  struct jinja_value *value)
{
    trit_assert(dict.type == JINJA_DICT && i < dict.dict->n);
    *key = dict.dict->pair[i].key;
    *value = dict.dict->pair[i].value;
}

bool jinja_has(struct jinja_value dict, struct jinja_value key)
{
    bool found = false;
    for (size_t i = 0; key.type == JINJA_STRING && i < jinja_len(dict) && !found; i++) {
        const struct jinja_value have = dict.dict->pair[i].key;
        found = have.type == JINJA_STRING && jinja_same_string(have.string, key.string);
    }
    return found;
}

const char *jinja_type_name(struct jinja_value v)
{
    static const char *const names[] = {
        [JINJA_UNDEFINED] = "undefined", [JINJA_NONE] = "none",     [JINJA_BOOL] = "a boolean",
        [JINJA_INT] = "an integer",      [JINJA_FLOAT] = "a float", [JINJA_STRING] = "a string",
        [JINJA_LIST] = "a list",         [JINJA_DICT] = "a dict",   [JINJA_FUNCTION] = "a function",
        [JINJA_LOOP] = "a loop",
    };
    return names[v.type];
}
