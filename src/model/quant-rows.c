/* SPDX-License-Identifier: MIT */
/*
 * quant-rows.c - encodings of whole rows: the ternary ones of ik_llama.cpp, whose rows begin with
 * their scale, and the I2_S of bitnet.cpp builds that do not lay it out as published files have it.
 *
 * A code that is no trit comes out as 2, so that a caller can say where it stands.
 */
#include "config.h"
#include "model/quant.h"

#include <string.h>

#include "base/base.h"
#include "model/quant-private.h"

bool quant_by_rows(const struct quant_info *q)
{
    return q->row_bytes != 0;
}

uint64_t quant_row_bytes(const struct quant_info *q, uint64_t cols)
{
    trit_assert(quant_by_rows(q) && cols % q->block_values == 0);
    return q->row_bytes + cols / q->block_values * q->row_block;
}

static float load_f32(const uint8_t *p)
{
    uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/*
 * 64 values in 13 bytes: four groups of 16, of which three bytes hold five digits each and the last
 * byte of the block the sixteenth.  Digit j counts 3^j, the other way round than in TQ1_0; it is
 * carried out of the byte as there (quant.c).
 */
static void iq1_block(const uint8_t *b, int8_t *dst)
{
    static const uint8_t up[5] = {81, 27, 9, 3, 1};
    for (int i = 0; i < 4; i++, dst += 16) {
        for (int k = 0; k < 3; k++)
            for (int j = 0; j < 5; j++)
                dst[5 * k + j] = (int8_t)(((uint8_t)(b[3 * i + k] * up[j]) * 3 >> 8) - 1);
        dst[15] = (int8_t)(((uint8_t)(b[12] * up[i]) * 3 >> 8) - 1);
    }
}

static unsigned any_three(const uint8_t *p, uint64_t n)
{
    unsigned bad = 0;
    for (uint64_t i = 0; i < n; i++)
        bad |= p[i] & p[i] >> 1 & 0x55;
    return bad;
}

/* 64 values in 16 bytes: four planes. */
static unsigned iq2_block(const uint8_t *b, int8_t *dst)
{
    for (int l = 0; l < 4; l++)
        for (int j = 0; j < 16; j++)
            dst[16 * l + j] = (int8_t)((b[j] >> (2 * l) & 3) - 1);
    return any_three(b, 16);
}

/* Four rows together: their scales, then for every 64 columns 64 bytes, in which byte 16 l + 4 k +
 * i has of row k the columns 16 l + 4 s + i in bits 2 s. */
static unsigned iq2_r4(const uint8_t *rows, uint64_t cols, int8_t *trits, float *scales)
{
    for (int k = 0; k < 4; k++)
        scales[k] = load_f32(rows + 4 * k);
    const uint8_t *b = rows + 16;
    for (uint64_t c = 0; c < cols; c += 64, b += 64)
        for (int l = 0; l < 4; l++)
            for (int k = 0; k < 4; k++)
                for (int i = 0; i < 4; i++)
                    for (int s = 0; s < 4; s++)
                        trits[(uint64_t)k * cols + c + 16 * l + 4 * s + i] =
                            (int8_t)((b[16 * l + 4 * k + i] >> (2 * s) & 3) - 1);
    return any_three(rows + 16, cols);
}

int quant_row_trits(const struct quant_info *q, const uint8_t *rows, uint64_t cols, uint32_t n,
                    int8_t *trits, float *scales)
{
    uint64_t bytes = quant_row_bytes(q, cols);
    unsigned bad = 0;
    trit_assert(n % q->row_run == 0);
    for (uint32_t r = 0; r < n; r += q->row_run, rows += q->row_run * bytes) {
        int8_t *dst = trits + r * cols;
        if (q->type == QUANT_IQ2_BN_R4) {
            bad |= iq2_r4(rows, cols, dst, scales + r);
            continue;
        }
        bool one = q->type == QUANT_IQ1_BN;
        scales[r] = one ? quant_f16_to_f32((uint16_t)(rows[0] | rows[1] << 8)) : load_f32(rows);
        const uint8_t *b = rows + q->row_bytes;
        for (uint64_t c = 0; c < cols; c += 64, b += q->row_block)
            if (one)
                iq1_block(b, dst + c);
            else
                bad |= iq2_block(b, dst + c);
    }
    return bad ? -TRIT_EFORMAT : 0;
}

/* 64 values in 16 bytes, the first plane in the highest bits. */
static unsigned arm_block(const uint8_t *restrict b, int8_t *restrict dst)
{
    for (int l = 0; l < 4; l++)
        for (int j = 0; j < 16; j++)
            dst[16 * l + j] = (int8_t)((b[j] >> (6 - 2 * l) & 3) - 1);
    return any_three(b, 16);
}

int quant_i2s_arm_trits(const uint8_t *codes, uint64_t first, int8_t *trits, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0, part; i < n; i += part) {
        const uint8_t *block = codes + (first + i) / 64 * 16;
        size_t from = (first + i) % 64;
        int8_t values[64];
        part = MIN(64 - from, n - i);
        if (part == 64) {
            bad |= arm_block(block, trits + i);
            continue;
        }
        arm_block(block, values); /* An edge: only its own values count. */
        for (size_t k = 0; k < part; k++) {
            trits[i + k] = values[from + k];
            bad |= values[from + k] > 1;
        }
    }
    return bad ? -TRIT_EFORMAT : 0;
}

int quant_i2s_four_trits(const uint8_t *codes, uint64_t cols, uint32_t n, int8_t *trits)
{
    unsigned bad = 0;
    for (uint32_t r = 0; r < n; r++)
        for (uint64_t c = 0; c < cols; c++) {
            unsigned code = codes[r / 4 * cols + c] >> (6 - 2 * (r % 4)) & 3;
            bad |= code == 3;
            trits[r * cols + c] = (int8_t)((int)code - 1);
        }
    return bad ? -TRIT_EFORMAT : 0;
}
