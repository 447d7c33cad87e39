/* SPDX-License-Identifier: MIT */
/*
 * quant-write.c - the writers of tensor encodings, for trit-model and for tests: the exact inverses
 * of the readers in quant.c where values are ternary, roundings where they are not.
 */
#include "config.h"
#include "model/quant.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant-private.h"

static void store16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static uint32_t f32_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* The inverse of tq1_planes: digits to a number below 3^5, scaled up to 256 and rounded up. */
static void tq1_write_planes(const int8_t *src, uint8_t *dst, int width, int planes)
{
    for (int m = 0; m < width; m++) {
        unsigned v = 0;
        for (int k = 0; k < 5; k++)
            v = 3 * v + (k < planes ? (unsigned)(src[k * width + m] + 1) : 0);
        dst[m] = (uint8_t)((v * 256 + 242) / 243);
    }
}

void quant_write_tq1(const int8_t *trits, float scale, void *dst, size_t n)
{
    uint8_t *p = dst;
    trit_assert(n % QK == 0);
    for (size_t i = 0; i < n; i += QK, trits += QK, p += TQ1_BYTES) {
        tq1_write_planes(trits, p, 32, 5);
        tq1_write_planes(trits + 160, p + 32, 16, 5);
        tq1_write_planes(trits + 240, p + 48, 4, 4);
        store16(p + 52, quant_f32_to_f16(scale));
    }
}

/* The inverse of planes2. */
static inline void write_planes2(const int8_t *src, uint8_t *dst, int first, int step)
{
    for (int m = 0; m < 32; m++) {
        unsigned byte = 0;
        for (int k = 0; k < 4; k++)
            byte |= (unsigned)(src[32 * k + m] + 1) << (first + k * step);
        dst[m] = (uint8_t)byte;
    }
}

void quant_write_tq2(const int8_t *trits, float scale, void *dst, size_t n)
{
    uint8_t *p = dst;
    trit_assert(n % QK == 0);
    for (size_t i = 0; i < n; i += QK, trits += QK, p += TQ2_BYTES) {
        write_planes2(trits, p, 0, 2);
        write_planes2(trits + 128, p + 32, 0, 2);
        store16(p + 64, quant_f32_to_f16(scale));
    }
}

void quant_write_ptq1(const int8_t *trits, float scale, void *dst, size_t n)
{
    uint8_t *p = dst;
    trit_assert(n % PRISM_VALUES == 0);
    for (size_t i = 0; i < n; i += PRISM_VALUES, trits += PRISM_VALUES, p += PTQ1_BYTES) {
        tq1_write_planes(trits, p, 16, 5);
        tq1_write_planes(trits + 80, p + 16, 8, 5);
        tq1_write_planes(trits + 120, p + 24, 2, 4);
        store16(p + 26, quant_f32_to_f16(scale));
    }
}

void quant_write_q1(const int8_t *trits, float scale, void *dst, size_t n)
{
    uint8_t *p = dst;
    trit_assert(n % PRISM_VALUES == 0);
    for (size_t i = 0; i < n; i++) {
        uint8_t *block = p + i / PRISM_VALUES * Q1_BYTES, *byte = block + 2 + i % PRISM_VALUES / 8;
        trit_assert(trits[i] != 0);
        if (i % PRISM_VALUES == 0)
            store16(block, quant_f32_to_f16(scale));
        *byte = (uint8_t)((i % 8 ? *byte : 0) | (trits[i] > 0) << (i % 8));
    }
}

void quant_write_q2(const struct quant_info *q, const int8_t *trits, float scale, void *dst,
                    size_t n)
{
    uint8_t *p = dst;
    trit_assert((q->type == QUANT_Q2_0 || q->type == QUANT_PQ2_0) && n % q->block_values == 0);
    for (size_t i = 0; i < n; i += q->block_values, p += q->block_bytes) {
        store16(p, quant_f32_to_f16(scale));
        for (uint32_t j = 0; j < q->block_values; j += 4, trits += 4)
            p[2 + j / 4] = (uint8_t)((trits[0] + 1) | (trits[1] + 1) << 2 | (trits[2] + 1) << 4 |
                                     (trits[3] + 1) << 6);
    }
}

void quant_write_i2s(const int8_t *trits, float scale, void *dst, size_t total)
{
    uint8_t *p = dst;
    trit_assert(total % I2S_VALUES == 0);
    for (size_t i = 0; i < total; i += I2S_VALUES, p += I2S_BLOCK_BYTES)
        write_planes2(trits + i, p, 6, -2);
    memset(p, 0, I2S_BLOCK_BYTES);
    quant_write_f32(&scale, p, 1);
}

void quant_write_hf_u8(const int8_t *trits, void *dst, size_t rows, size_t cols)
{
    uint8_t *p = dst;
    size_t quarter = rows / 4 * cols; /* values */
    trit_assert(rows % 4 == 0);
    for (size_t i = 0; i < quarter; i++) {
        unsigned byte = 0;
        for (unsigned k = 0; k < 4; k++)
            byte |= (unsigned)(trits[k * quarter + i] + 1) << 2 * k;
        p[i] = (uint8_t)byte;
    }
}

void quant_write_signs(const int8_t *trits, void *dst, size_t n)
{
    uint8_t *p = dst;
    trit_assert(n % 8 == 0);
    memset(p, 0, n / 8);
    for (size_t i = 0; i < n; i++)
        p[i / 8] |= (uint8_t)((trits[i] < 0) << i % 8);
}

void quant_write_f32(const float *x, void *dst, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++, p += 4) {
        store16(p, (uint16_t)f32_to_bits(x[i]));
        store16(p + 2, (uint16_t)(f32_to_bits(x[i]) >> 16));
    }
}

void quant_write_f16(const float *x, void *dst, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++, p += 2)
        store16(p, quant_f32_to_f16(x[i]));
}

/* The bytes of ggml's reference: the reciprocal of the step before that is rounded to binary16, and
 * ties away from zero.  The clamp is for steps so small that their reciprocal is infinite. */
void quant_write_q8_0(const float *x, void *dst, size_t n)
{
    uint8_t *p = dst;
    trit_assert(n % Q8_VALUES == 0);
    for (size_t i = 0; i < n; i += Q8_VALUES, x += Q8_VALUES, p += Q8_0_BYTES) {
        float max = 0;
        for (int j = 0; j < Q8_VALUES; j++)
            max = fmaxf(max, fabsf(x[j]));
        float d = max / 127.0f, inverse = d > 0 ? 1.0f / d : 0.0f;
        store16(p, quant_f32_to_f16(d));
        for (int j = 0; j < Q8_VALUES; j++)
            p[2 + j] = (uint8_t)(int8_t)roundf(fmaxf(-127.0f, fminf(127.0f, x[j] * inverse)));
    }
}
