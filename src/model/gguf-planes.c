/* SPDX-License-Identifier: MIT */
/*
 * gguf-planes.c - planes of bits in GGUF files of the methods of model/method.h.
 *
 * GGUF has no type for them, so they are stored as I8 with eight columns in each value.  From here
 * on they are what they stand for: a matrix of signs with all its columns.  Of a model in parts the
 * first one says that it is of such a method, for all of them.
 */
#include "config.h"
#include "model/gguf-private.h"

#include <inttypes.h>
#include <string.h>

#include "model/method.h"
#include "model/quant.h"

/* "blk.N.<linear>.weight" and so on, not what is I8 for another reason. */
static bool is_plane(const struct gguf_tensor *t)
{
    static const char *const ends[] = {".weight", ".second", ".salient"};
    size_t len = strlen(t->name);
    if (t->type != QUANT_I8 || strncmp(t->name, "blk.", 4) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t n = strlen(ends[i]);
        if (len > n && strcmp(t->name + len - n, ends[i]) == 0)
            return true;
    }
    return false;
}

int gguf_settle_planes(struct gguf *g, struct trit_error *err)
{
    if (!gguf_find(g, "tritd.method"))
        return 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i].t;
        uint64_t values;
        if (!is_plane(t))
            continue;
        if (__builtin_mul_overflow(t->bytes, (uint64_t)8, &values) || values > INT64_MAX)
            return gguf_fail(g, err, TRIT_EFORMAT,
                             "tensor %s: more bits than a 64-bit number counts", t->name);
        t->quant = quant_find(QUANT_SIGNS);
        t->type = QUANT_SIGNS;
        t->ne[0] *= 8;
    }
    return 0;
}
