/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tiles.c - any bytes as what `tiles` may be: the list that stands in a setting, and the
 * kernel_config.ini of bitnet.cpp that it may name.  A list that is one is read whole; what is
 * refused is refused in words.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "fuzz/fuzz.h"
#include "model/reading.h"

/* What was read is within bounds, and no tensor of any shape lets it go unchecked. */
static void check(const struct reading *r)
{
    static const enum quant_type types[] = {QUANT_TL1, QUANT_TL2};
    trit_assert(r->n_tiles >= 1 && r->n_tiles <= READING_TILES);
    for (size_t i = 0; i < r->n_tiles; i++) {
        const struct quant_tiles *t = &r->tiles[i];
        for (size_t k = 0; k < 2; k++) {
            uint64_t rows = t->rows ? t->rows : 2560, cols = MAX(t->cols ? t->cols : 6912, 256u);
            if (rows > INT32_MAX || cols > INT32_MAX) /* no file has room for such a tensor */
                continue;
            const char *why = quant_tiles_problem(quant_find(types[k]), t, rows, cols);
            trit_assert(why ? *why != '\0' : t->bm && t->bk && t->band && t->bm % t->band == 0);
        }
    }
}

static void try_text(const char *text, bool is_list)
{
    struct reading r = {0};
    struct trit_error err = {0};
    int rc = reading_tiles(&r, text, &err);
    trit_assert(!is_list || rc == 0);
    trit_assert(rc == 0 || (err.code == -rc && *err.text));
    if (rc == 0)
        check(&r);
}

FUZZ(tiles)
{
    char list[1024];
    size_t n = MIN(len, sizeof list - 1);
    memcpy(list, bytes, n);
    list[n] = '\0';
    if (reading_is_tiles(list)) /* else it would be the path of any file */
        try_text(list, true);
    const char *path = fuzz_file(bytes, len);
    if (path)
        try_text(path, false);
    return 0;
}
