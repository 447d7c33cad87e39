/* SPDX-License-Identifier: MIT */
/*
 * hf-groups.c - matrices of floats that are ternary already, with a scale for each group of 128.
 *
 * So the Ternary Bonsai family is published beside its GGUF files ("unpacked"): a folder like that
 * of any Qwen3, whose projections, embedding and head hold -d, 0 and d alone, d being the same for
 * a row and 128 inputs.  A few rows tell, as they do of encodings with a scale in every block; when
 * others contradict them, whoever reads the matrix names the place.
 *
 * Not here: floats with one scale for a whole matrix that has no such groups, and master weights,
 * which are looked at when they are packed (pack.c).
 */
#include "config.h"
#include "model/hf-parts.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/load-parts.h"
#include "model/quant.h"

/* Rows that are looked at: the tables' are less alike, and some belong to no token and are zero. */
enum { ROWS_SEEN = 4, VOCAB_ROWS_SEEN = 256 };

/* Whether the rows that are looked at are ternary, and not all of them zeros. */
static int look(struct hf *h, const struct gguf_tensor *t, const struct quant_info *as,
                bool *ternary)
{
    const size_t cols = t->ne[0], row_bytes = cols / as->block_values * as->block_bytes;
    const bool table = strncmp(t->name, "blk.", 4) != 0;
    const uint64_t seen = MIN(t->ne[1], (uint64_t)(table ? VOCAB_ROWS_SEEN : ROWS_SEEN));
    uint8_t *raw = mem_zalloc(row_bytes, 1);
    int8_t *trits = mem_zalloc(cols, 1);
    float *scales = mem_zalloc(cols / as->block_values, sizeof *scales);
    int rc = 0;
    bool any = false;
    *ternary = true;
    if (!raw || !trits || !scales)
        rc = gguf_fail(h->g, h->err, TRIT_ENOMEM, "no memory to look at %s", t->origin);
    for (uint64_t i = 0; rc == 0 && *ternary && i < seen; i++) {
        rc = gguf_read(h->g, t, i * t->ne[1] / seen * row_bytes, raw, row_bytes, h->err);
        if (rc == 0)
            *ternary = quant_trits(as, raw, trits, scales, cols) == 0;
        for (size_t k = 0; rc == 0 && k < cols / as->block_values; k++)
            any = any || scales[k] != 0;
    }
    *ternary = *ternary && any;
    mem_free(raw);
    mem_free(trits);
    mem_free(scales);
    return rc;
}

int hf_groups(struct hf *h)
{
    struct model m = {.arch = NULL};
    struct trit_error ignored;
    /* What cannot be served is refused by who is asked to serve it. */
    if (hparams_read(h->g, &m, &ignored) != 0 || m.hp.method != METHOD_TERNARY || m.hp.absmean)
        return 0;
    for (size_t i = 0; i < h->g->n_tensors; i++) {
        struct gguf_tensor *t = &h->g->tensors[i].t;
        const struct quant_info *as = t->quant ? quant_ternary_floats(t->quant) : NULL;
        if (!as || t->n_dims != 2 || t->ne[1] < 2 || t->ne[0] % as->block_values)
            continue;
        bool ternary;
        int rc = look(h, t, as, &ternary);
        if (rc)
            return rc;
        t->quant = ternary ? as : t->quant;
        t->type = t->quant->type;
    }
    return 0;
}
