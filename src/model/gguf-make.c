/* SPDX-License-Identifier: MIT */
/*
 * gguf-make.c - a view of a model that is not a GGUF file, filled key by key and tensor by tensor.
 */
#include "config.h"
#include "model/gguf-private.h"

#include <string.h>

#include "base/mem.h"

int gguf_make(const char *path, struct gguf **out, struct trit_error *err)
{
    struct gguf *g = mem_zalloc(1, sizeof *g);
    char *copy = mem_strdup(path);
    if (!g || !copy) {
        mem_free(g);
        mem_free(copy);
        return gguf_fail_at(path, err, TRIT_ENOMEM, "out of memory");
    }
    g->path = copy;
    g->fd = -1;
    *out = g;
    return 0;
}

/* Room for one more element of an array that doubles. */
static bool grow(struct gguf *g, void **array, size_t n, size_t *cap, size_t size)
{
    if (g->failed || n < *cap)
        return !g->failed;
    size_t more = MAX(2 * *cap, (size_t)64);
    void *p = mem_resize(*array, more, size);
    if (!p) {
        g->failed = true;
        return false;
    }
    *array = p;
    *cap = more;
    return true;
}

/* The next pair, of a value of `bytes` bytes to be copied from `value`; NULL: no memory. */
static struct gguf_pair *add_pair(struct gguf *g, const char *key, enum gguf_type type,
                                  const void *value, size_t bytes)
{
    if (!grow(g, (void **)&g->pairs, g->n_pairs, &g->cap_pairs, sizeof *g->pairs))
        return NULL;
    struct gguf_pair *p = &g->pairs[g->n_pairs];
    *p = (struct gguf_pair){.type = type, .key = mem_strdup(key)};
    if (value)
        p->bytes = mem_zalloc(bytes + 1, 1);
    if (!p->key || (value && !p->bytes)) {
        mem_free(p->key);
        mem_free(p->bytes);
        g->failed = true;
        return NULL;
    }
    if (value)
        memcpy(p->bytes, value, bytes);
    g->n_pairs++;
    return p;
}

static void add_scalar(struct gguf *g, const char *key, enum gguf_type type, const void *bits,
                       size_t bytes)
{
    struct gguf_pair *p = add_pair(g, key, type, NULL, 0);
    if (p)
        memcpy(&p->scalar, bits, bytes);
}

void gguf_make_uint(struct gguf *g, const char *key, uint64_t v)
{
    add_scalar(g, key, GGUF_U64, &v, sizeof v);
}

void gguf_make_float(struct gguf *g, const char *key, double v)
{
    add_scalar(g, key, GGUF_F64, &v, sizeof v);
}

void gguf_make_bool(struct gguf *g, const char *key, bool v)
{
    add_scalar(g, key, GGUF_BOOL, &v, sizeof v);
}

void gguf_make_string(struct gguf *g, const char *key, const char *s, size_t len)
{
    struct gguf_pair *p = add_pair(g, key, GGUF_STRING, s, len);
    if (p)
        p->count = len;
}

static void add_array(struct gguf *g, const char *key, enum gguf_type type, const void *v, size_t n)
{
    struct gguf_pair *p = add_pair(g, key, type, v, n * gguf_type_bytes(type));
    if (!p)
        return;
    p->array = true;
    p->count = n;
}

void gguf_make_ints(struct gguf *g, const char *key, const int32_t *v, size_t n)
{
    add_array(g, key, GGUF_I32, v, n);
}

void gguf_make_floats(struct gguf *g, const char *key, const float *v, size_t n)
{
    add_array(g, key, GGUF_F32, v, n);
}

void gguf_make_strings(struct gguf *g, const char *key, char *bytes, uint32_t *ends, size_t n)
{
    struct gguf_pair *p = add_pair(g, key, GGUF_STRING, NULL, 0);
    if (!p) {
        mem_free(bytes);
        mem_free(ends);
        return;
    }
    p->array = true;
    p->count = n;
    p->bytes = bytes;
    p->ends = ends;
}

void gguf_make_tensor(struct gguf *g, const struct gguf_tensor *t, const char *origin, int fd,
                      uint64_t start)
{
    trit_assert(strlen(t->name) <= GGUF_NAME_MAX && strlen(origin) <= GGUF_NAME_MAX);
    if (!grow(g, (void **)&g->tensors, g->n_tensors, &g->cap_tensors, sizeof *g->tensors))
        return;
    struct gguf_entry *e = &g->tensors[g->n_tensors];
    *e = (struct gguf_entry){.t = *t, .fd = fd, .start = start};
    strcpy(e->name, t->name);
    e->t.origin = e->origin = mem_strdup(origin);
    g->failed = !e->origin;
    g->n_tensors += !g->failed;
}

bool gguf_make_file(struct gguf *g, const char *path, int fd, uint64_t bytes)
{
    struct gguf_file *files = mem_resize(g->files, g->n_files + 1, sizeof *files);
    char *copy = mem_strdup(path);
    g->files = files ? files : g->files;
    if (!files || !copy) {
        mem_free(copy);
        return false;
    }
    g->files[g->n_files++] = (struct gguf_file){copy, fd};
    g->file_bytes += bytes;
    return true;
}

int gguf_make_done(struct gguf *g, struct trit_error *err)
{
    struct cursor *c = mem_zalloc(1, sizeof *c);
    int rc = 0;
    if (!c || g->failed)
        rc = gguf_fail(g, err, TRIT_ENOMEM, "out of memory");
    /* The array has moved while it grew. */
    for (size_t i = 0; i < g->n_tensors; i++)
        g->tensors[i].t.name = g->tensors[i].name;
    if (rc == 0) {
        c->g = g;
        c->err = err;
        rc = gguf_index_keys(c);
        c->name = NULL;
    }
    if (rc == 0)
        rc = gguf_index_tensors(c);
    mem_free(c);
    return rc;
}
