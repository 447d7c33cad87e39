/* SPDX-License-Identifier: MIT */
/*
 * synth-method.c - the linears of `trit-model synth --type onebit`, `b1` and `billm`, see
 * model/method.h.
 */
#include "config.h"
#include "synth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "gguf-write.h"
#include "model/quant.h"

enum { PIECE = 4096 };

/* What a part is filled with. */
enum fill { BITS, FEW_BITS, ONES, ZEROS, BETA, LEVELS };

struct part {
    const char *end;
    enum fill fill;
    uint32_t type, n_dims;
    uint64_t ne[3];
};

static size_t parts_of(enum method_id method, uint64_t rows, uint64_t cols, struct part part[4])
{
    size_t n = 0;
    part[n++] = (struct part){"weight", BITS, QUANT_I8, 2, {cols / 8, rows, 1}};
    if (method == METHOD_ONEBIT) {
        part[n++] = (struct part){"scale", ONES, QUANT_F32, 1, {rows, 1, 1}};
        part[n++] = (struct part){"input_factor", ONES, QUANT_F32, 1, {cols, 1, 1}};
    } else if (method == METHOD_B1) {
        part[n++] = (struct part){"scale", BETA, QUANT_F32, 1, {1, 1, 1}};
        part[n++] = (struct part){"norm.weight", ONES, QUANT_F32, 1, {cols, 1, 1}};
        part[n++] = (struct part){"norm.bias", ZEROS, QUANT_F32, 1, {cols, 1, 1}};
    } else {
        part[n++] = (struct part){"second", BITS, QUANT_I8, 2, {cols / 8, rows, 1}};
        part[n++] = (struct part){"salient", FEW_BITS, QUANT_I8, 1, {cols / 8, 1, 1}};
        part[n++] =
            (struct part){"levels", LEVELS, QUANT_F16, 3, {BILLM_LEVELS, cols / BILLM_BLOCK, rows}};
    }
    return n;
}

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Value i of a part; of bits eight at a time.  One column in sixteen is salient. */
static void put_value(uint8_t *dst, enum fill fill, uint64_t i, uint64_t cols, uint64_t *state)
{
    static const float levels[BILLM_LEVELS] = {0, 0.5f, 0, 1.4f, 0, 1.5f, 0.5f};
    float size = 1 / sqrtf((float)cols), value = fill == ONES ? 1 : fill == BETA ? size : 0;
    if (fill == BITS || fill == FEW_BITS) {
        uint64_t z = next(state);
        *dst = (uint8_t)(fill == BITS ? z : z & z >> 8 & z >> 16 & z >> 24);
        return;
    }
    if (fill == LEVELS) {
        value = levels[i % BILLM_LEVELS] * size;
        quant_write_f16(&value, dst, 1);
        return;
    }
    quant_write_f32(&value, dst, 1);
}

int synth_method(struct gguf_writer *w, enum method_id method, bool write, const char *stem,
                 uint32_t rows, uint32_t cols, uint64_t state, struct trit_error *err)
{
    struct part part[4];
    size_t n = parts_of(method, rows, cols, part);
    int rc = 0;
    for (size_t p = 0; rc == 0 && p < n; p++) {
        uint32_t width = quant_find(part[p].type)->block_bytes;
        uint64_t values = part[p].ne[0] * part[p].ne[1] * part[p].ne[2];
        if (!write) {
            char name[96];
            snprintf(name, sizeof name, "%s.%s", stem, part[p].end);
            gguf_write_tensor(w, name, part[p].n_dims, part[p].ne, part[p].type, values * width);
            continue;
        }
        for (uint64_t at = 0, run; rc == 0 && at < values; at += run) {
            uint8_t bytes[PIECE * sizeof(float)];
            run = MIN(values - at, (uint64_t)PIECE);
            for (uint64_t i = 0; i < run; i++)
                put_value(bytes + i * width, part[p].fill, at + i, cols, &state);
            rc = gguf_write_data(w, bytes, run * width, err);
        }
    }
    return rc;
}
