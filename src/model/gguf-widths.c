/* SPDX-License-Identifier: MIT */
/*
 * gguf-widths.c - tell apart the two encodings that are written under the id of Q2_0.
 *
 * One has a scale for 64 values, 18 bytes, the other (PQ2_0) one for 128, 34 bytes; nothing in the
 * file says which.  Taking one for the other gives numbers that look like weights and mean nothing.
 * But tensors follow each other with no more between them than alignment asks for, so the room that
 * each has tells its length.  All of a file are of one kind: it is the one that agrees with the
 * room of every such tensor, and a file that agrees with none, or with both, is refused.
 *
 * Likewise TL2 and MXFP4 share an id.  A tensor that has not the length of TL2 is of an unknown
 * type.
 */
#include "config.h"
#include "model/gguf-private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/quant.h"

static int compare_offsets(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Bytes from a tensor's offset to the next one's, or to the end of the file. */
static uint64_t room_of(const struct gguf *g, const uint64_t *offsets, const struct gguf_tensor *t)
{
    size_t low = 0, high = g->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (offsets[middle] > t->offset)
            high = middle;
        else
            low = middle + 1;
    }
    uint64_t data = g->file_bytes > g->data_start ? g->file_bytes - g->data_start : 0;
    uint64_t end = low < g->n_tensors ? offsets[low] : data;
    return end > t->offset ? end - t->offset : 0;
}

/* Whether a tensor of this encoding fills the room.  Behind the last one padding is optional. */
static bool fills(const struct quant_info *q, const struct gguf_tensor *t, uint64_t rows,
                  uint64_t room, uint32_t alignment)
{
    uint64_t bytes;
    return quant_tensor_bytes(q, rows, t->ne[0], &bytes) == 0 && bytes <= room &&
           room - bytes < alignment;
}

/* MXFP4, which is not ternary, has the id of TL2 and is longer. */
static void settle_tl2(struct gguf *g, const uint64_t *offsets, uint32_t alignment)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i].t;
        if (t->quant && t->quant->type == QUANT_TL2 &&
            !fills(t->quant, t, t->ne[1] * t->ne[2] * t->ne[3], room_of(g, offsets, t),
                   alignment)) {
            t->quant = NULL;
            t->bytes = 0;
        }
    }
}

int gguf_settle_widths(struct cursor *c, uint32_t alignment)
{
    struct gguf *g = c->g;
    const struct quant_info *narrow = quant_find(QUANT_Q2_0), *wide = quant_find(QUANT_PQ2_0);
    size_t first = SIZE_MAX;
    bool is_narrow = true, is_wide = true;
    uint64_t *offsets = mem_zalloc(g->n_tensors, sizeof *offsets);
    if (!offsets)
        return cursor_no_memory(c);
    for (size_t i = 0; i < g->n_tensors; i++)
        offsets[i] = g->tensors[i].t.offset;
    qsort(offsets, g->n_tensors, sizeof *offsets, compare_offsets);
    for (size_t i = 0; i < g->n_tensors && (is_narrow || is_wide); i++) {
        const struct gguf_tensor *t = &g->tensors[i].t;
        if (t->type != QUANT_Q2_0)
            continue;
        uint64_t room = room_of(g, offsets, t), rows = t->ne[1] * t->ne[2] * t->ne[3];
        is_narrow = is_narrow && fills(narrow, t, rows, room, alignment);
        is_wide = is_wide && fills(wide, t, rows, room, alignment);
        first = first == SIZE_MAX ? i : first;
    }
    settle_tl2(g, offsets, alignment);
    mem_free(offsets);
    if (first == SIZE_MAX)
        return 0;
    c->name = g->tensors[first].name;
    if (is_narrow == is_wide)
        return cursor_bad(c, TRIT_EFORMAT,
                          "type 42 (Q2_0) has blocks of 64 values or of 128, and the tensors' "
                          "lengths agree with %s",
                          is_wide ? "both" : "neither");
    for (size_t i = 0; is_wide && i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i].t;
        if (t->type == QUANT_Q2_0) {
            t->quant = wide;
            quant_tensor_bytes(wide, t->ne[1] * t->ne[2] * t->ne[3], t->ne[0], &t->bytes);
        }
    }
    return 0;
}
