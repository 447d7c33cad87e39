/* SPDX-License-Identifier: MIT */
/*
 * rotation.c - which linears read a rotated basis, from the metadata of Bonsai 2.
 *
 * Keys `prism.hadamard.*` as the PrismML fork of llama.cpp reads them (llama-model.cpp,
 * llama-graph.cpp). Weights that were rotated and are not read so give nonsense, not an error; so
 * whatever is not understood here is refused.
 */
#include "config.h"
#include "model/rotation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"
#include "model/gguf.h"

#define KEY(name) "prism.hadamard." name

/* A key whose value is one of two; NULL: of one.  Returns which one, or an error. */
static int read_word(const struct gguf *g, const char *key, const char *first, const char *second,
                     struct trit_error *err)
{
    struct gguf_str s;
    int rc = gguf_string(g, key, &s, err);
    if (rc == -TRIT_ENOENT)
        return gguf_fail(g, err, TRIT_EFORMAT, "key %s is missing", key);
    if (rc)
        return rc;
    const char *words[] = {first, second};
    for (int i = 0; i < 2 && words[i]; i++)
        if (strlen(words[i]) == s.len && memcmp(words[i], s.data, s.len) == 0)
            return i;
    return gguf_fail(g, err, TRIT_EUNSUPP, "%s is \"%.*s\", supported is %s", key,
                     (int)MIN(s.len, 60), s.data, first);
}

static int read_uint(const struct gguf *g, const char *key, uint64_t *value, struct trit_error *err)
{
    int rc = gguf_uint(g, key, value, err);
    return rc == -TRIT_ENOENT ? gguf_fail(g, err, TRIT_EFORMAT, "key %s is missing", key) : rc;
}

static int read_names(const struct gguf *g, const char *key, struct gguf_strs *names,
                      struct trit_error *err)
{
    int rc = gguf_strings(g, key, names, err);
    if (rc == 0 && names->n > ROTATION_NAMES) /* each is looked for among all */
        return gguf_fail(g, err, TRIT_EUNSUPP, "%s has %zu names, expected at most %d", key,
                         names->n, ROTATION_NAMES);
    return rc == -TRIT_ENOENT ? gguf_fail(g, err, TRIT_EFORMAT, "key %s is missing", key) : rc;
}

/* The signs of all widths, one width after another. */
static int read_signs(const struct gguf *g, struct rotation *r, struct trit_error *err)
{
    const int32_t *widths, *values;
    size_t n_widths, n_values, at = 0;
    int rc = gguf_ints(g, KEY("sign_widths"), &widths, &n_widths, err);
    if (rc == 0)
        rc = gguf_ints(g, KEY("sign_values"), &values, &n_values, err);
    if (rc == -TRIT_ENOENT)
        return gguf_fail(g, err, TRIT_EFORMAT, "keys %s and %s are missing", KEY("sign_widths"),
                         KEY("sign_values"));
    if (rc)
        return rc;
    if (n_widths > ROTATION_WIDTHS)
        return gguf_fail(g, err, TRIT_EUNSUPP, "%s has %zu widths, expected at most %d",
                         KEY("sign_widths"), n_widths, ROTATION_WIDTHS);
    for (size_t i = 0; i < n_widths; i++) {
        if (widths[i] < 1 || widths[i] % (int32_t)r->block || (size_t)widths[i] > n_values - at)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "%s has %d, expected a multiple of %u, and %zu signs for all of them",
                             KEY("sign_widths"), widths[i], r->block, n_values);
        r->width[i] = (uint32_t)widths[i];
        at += (size_t)widths[i];
    }
    if (at != n_values)
        return gguf_fail(g, err, TRIT_EFORMAT, "%s has %zu values, expected %zu",
                         KEY("sign_values"), n_values, at);
    r->n_widths = (uint32_t)n_widths;
    r->signs = mem_zalloc(n_values, sizeof *r->signs);
    if (!r->signs)
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu signs", n_values);
    for (size_t i = 0; i < n_values; i++) {
        if (values[i] != 1 && values[i] != -1)
            return gguf_fail(g, err, TRIT_EFORMAT, "%s has %d, expected 1 and -1",
                             KEY("sign_values"), values[i]);
        r->signs[i] = (float)values[i];
    }
    return 0;
}

int rotation_read(const struct gguf *g, struct rotation *r, struct trit_error *err)
{
    uint64_t version, block;
    *r = (struct rotation){0};
    if (!gguf_has(g, KEY("version")))
        return 0;
    int rc = read_uint(g, KEY("version"), &version, err);
    if (rc == 0 && version != 1)
        rc = gguf_fail(g, err, TRIT_EUNSUPP, "%s is %" PRIu64 ", supported is 1", KEY("version"),
                       version);
    if (rc || (rc = read_uint(g, KEY("block_size"), &block, err)))
        return rc;
    if (block < 2 || block > ROTATION_BLOCK_MAX || (block & (block - 1)))
        return gguf_fail(g, err, TRIT_EFORMAT,
                         "%s is %" PRIu64 ", expected a power of two, 2 to %d", KEY("block_size"),
                         block, ROTATION_BLOCK_MAX);
    r->block = (uint32_t)block;
    if ((rc = read_word(g, KEY("transform"), "normalized-sylvester-walsh-hadamard", NULL, err)) <
            0 ||
        (rc = read_word(g, KEY("axis"), "input-last-dimension", NULL, err)) < 0 ||
        (rc = read_word(g, KEY("sign_mode"), "explicit", NULL, err)) < 0)
        return rc;
    if (gguf_has(g, KEY("gdn_v_grouped")) &&
        (rc = gguf_bool(g, KEY("gdn_v_grouped"), &r->grouped, err)))
        return rc;
    return read_signs(g, r, err);
}

void rotation_free(struct rotation *r)
{
    mem_free(r->signs);
    *r = (struct rotation){0};
}

static bool among(const struct gguf_strs *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++) {
        struct gguf_str s = gguf_str_at(names, i);
        if (s.len == strlen(name) && memcmp(s.data, name, s.len) == 0)
            return true;
    }
    return false;
}

static int find(const struct gguf *g, struct rotation *r, const char *key, const char *name,
                uint32_t cols, const float **signs, struct trit_error *err)
{
    struct gguf_strs names;
    *signs = NULL;
    int rc = r->block ? read_names(g, key, &names, err) : 0;
    if (rc || !r->block || !among(&names, name))
        return rc;
    const float *at = r->signs;
    for (uint32_t i = 0; i < r->n_widths; at += r->width[i++])
        if (r->width[i] == cols) {
            *signs = at;
            r->n_found++;
            return 0;
        }
    return gguf_fail(g, err, TRIT_EFORMAT, "tensor %s has %u columns, a width that %s has not",
                     name, cols, KEY("sign_widths"));
}

int rotation_linear(const struct gguf *g, struct rotation *r, const char *name, uint32_t cols,
                    const float **signs, struct trit_error *err)
{
    return find(g, r, KEY("weight_names"), name, cols, signs, err);
}

int rotation_embedding(const struct gguf *g, struct rotation *r, uint32_t cols, const float **signs,
                       struct trit_error *err)
{
    return find(g, r, KEY("inverse_weight_names"), "token_embd.weight", cols, signs, err);
}

int rotation_check(const struct gguf *g, const struct rotation *r, struct trit_error *err)
{
    struct gguf_strs linears, tables;
    int rc = r->block ? read_names(g, KEY("weight_names"), &linears, err) : 0;
    if (rc == 0 && r->block)
        rc = read_names(g, KEY("inverse_weight_names"), &tables, err);
    if (rc || !r->block)
        return rc;
    if (linears.n + tables.n != r->n_found)
        return gguf_fail(
            g, err, TRIT_EUNSUPP,
            "%s and %s have %zu names, of which %zu are linears, the head or the embedding",
            KEY("weight_names"), KEY("inverse_weight_names"), linears.n + tables.n, r->n_found);
    return 0;
}
