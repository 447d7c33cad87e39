/* SPDX-License-Identifier: MIT */
/*
 * quant.c - tensor encodings, one short function for each.
 *
 * The ternary decoders run over two thousand million weights when a 2B model is loaded.  They are
 * written as loops of fixed length over whole planes of a block, without tables or branches, so
 * that the compiler turns each into a few vector instructions; a bad code is remembered and looked
 * at once a block.  Everything is read byte by byte: sources have no alignment and hosts may be
 * big-endian.
 */
#include "config.h"
#include "model/quant.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant-private.h"
#include "model/wide.h"

// clang-format off
static const struct quant_info infos[] = {
    {"F32",   QUANT_F32,   1,         4,          false, 0, 0, 0},
    {"F16",   QUANT_F16,   1,         2,          false, 0, 0, 0},
    {"Q4_0",  QUANT_Q4_0,  Q8_VALUES, Q4_0_BYTES, false, 0, 0, 0},
    {"Q8_0",  QUANT_Q8_0,  Q8_VALUES, Q8_0_BYTES, false, 0, 0, 0},
    {"Q4_K",  QUANT_Q4_K,  QK,        Q4_K_BYTES, false, 0, 0, 0},
    {"Q6_K",  QUANT_Q6_K,  QK,        Q6_K_BYTES, false, 0, 0, 0},
    {"I8",    QUANT_I8,    1,         1,          false, 0, 0, 0},
    {"BF16",  QUANT_BF16,  1,         2,          false, 0, 0, 0},
    {"TQ1_0", QUANT_TQ1_0, QK,        TQ1_BYTES,  true, 0, 0, 0},
    {"TQ2_0", QUANT_TQ2_0, QK,        TQ2_BYTES,  true, 0, 0, 0},
    {"I2_S",  QUANT_I2_S,  1,         0,          true, 0, 0, 0},
    {"Q1_0",  QUANT_Q1_0,  PRISM_VALUES, Q1_BYTES,   true, 0, 0, 0},
    {"Q2_0",  QUANT_Q2_0,  Q2_VALUES,    Q2_BYTES,   true, 0, 0, 0},
    {"PQ2_0", QUANT_PQ2_0, PRISM_VALUES, PQ2_BYTES,  true, 0, 0, 0},
    {"PTQ1_0", QUANT_PTQ1_0, PRISM_VALUES, PTQ1_BYTES, true, 0, 0, 0},
    {"TL1",   QUANT_TL1,   4,         0,          true, 0, 0, 0},
    {"TL2",   QUANT_TL2,   1,         0,          true, 0, 0, 0},
    {"IQ1_BN", QUANT_IQ1_BN, BN_VALUES, 0, true, 2, IQ1_BYTES, 1},
    {"IQ2_BN", QUANT_IQ2_BN, BN_VALUES, 0, true, 4, IQ2_BYTES, 1},
    {"IQ2_BN_R4", QUANT_IQ2_BN_R4, BN_VALUES, 0, true, 4, IQ2_BYTES, 4},
    {"HF_U8", QUANT_HF_U8, 1,       0,          true, 0, 0, 0},
    {"SIGNS", QUANT_SIGNS, 8,       1,          true, 0, 0, 0},
    {"I2_S (arm)", QUANT_I2_S_ARM, 1, 0, true, 0, 0, 0},
    {"I2_S (four rows)", QUANT_I2_S_FOUR, 1, 0, true, 0, 0, 0},
    {"F32 (ternary)",  QUANT_F32_TERNARY,  PRISM_VALUES, 4 * PRISM_VALUES, true, 0, 0, 0},
    {"F16 (ternary)",  QUANT_F16_TERNARY,  PRISM_VALUES, 2 * PRISM_VALUES, true, 0, 0, 0},
    {"BF16 (ternary)", QUANT_BF16_TERNARY, PRISM_VALUES, 2 * PRISM_VALUES, true, 0, 0, 0},
};
// clang-format on

const struct quant_info *quant_find(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(infos); i++)
        if (infos[i].type == type)
            return &infos[i];
    return NULL;
}

int quant_tensor_bytes(const struct quant_info *q, uint64_t rows, uint64_t cols, uint64_t *bytes)
{
    uint64_t n;
    trit_assert(rows >= 1 && cols >= 1);
    if (cols % q->block_values != 0)
        return -TRIT_EFORMAT;
    if (__builtin_mul_overflow(rows, cols, &n))
        return -TRIT_ETOOBIG;
    if (quant_by_rows(q)) {
        if (rows % q->row_run)
            return -TRIT_EFORMAT;
        return __builtin_mul_overflow(rows, quant_row_bytes(q, cols), bytes) ? -TRIT_ETOOBIG : 0;
    }
    if (q->type == QUANT_TL1) {
        *bytes = n / 4 + TL_SCALE_BYTES;
        return 0;
    }
    if (q->type == QUANT_TL2) {
        if (n > INT64_MAX / 8)
            return -TRIT_ETOOBIG;
        if (cols < 256)
            return -TRIT_EFORMAT;
        *bytes = round_up(quant_tl2_code_bytes(rows, cols), TL_SCALE_BYTES) + TL_SCALE_BYTES;
        return 0;
    }
    if (q->type == QUANT_I2_S || q->type == QUANT_I2_S_ARM || q->type == QUANT_I2_S_FOUR) {
        if (q->type == QUANT_I2_S_FOUR && rows % 4)
            return -TRIT_EFORMAT;
        /* The writers of this encoding cut a last, partial block after a quarter of its values, and
         * with it values that nothing can bring back.  No published tensor has one. */
        if (n % I2S_VALUES != 0)
            return -TRIT_EFORMAT;
        *bytes = n / 4 + I2S_BLOCK_BYTES;
        return 0;
    }
    if (q->type == QUANT_HF_U8) {
        *bytes = n / 4;
        return rows % 4 ? -TRIT_EFORMAT : 0;
    }
    return __builtin_mul_overflow(n / q->block_values, q->block_bytes, bytes) ? -TRIT_ETOOBIG : 0;
}

static uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static float bits_to_f32(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t f32_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* All three cases are computed and one is chosen, as wide.h does it for many values at once. */
static inline float f16_value(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    uint32_t tiny = f32_to_bits((float)(int32_t)rest * 0x1p-24f); /* Zero, subnormal: exact. */
    uint32_t normal = (rest << 13) + ((127 - 15) << 23);          /* The exponent's new bias. */
    uint32_t special = rest << 13 | 0x7f800000; /* Infinity and NaN keep their mantissa. */
    uint32_t bits = rest < 0x0400 ? tiny : normal;
    bits = rest < 0x7c00 ? bits : special;
    return bits_to_f32(sign | bits);
}

float quant_f16_to_f32(uint16_t h)
{
    return f16_value(h);
}

static float load_f16(const uint8_t *p)
{
    return f16_value(load16(p));
}

uint16_t quant_f32_to_f16(float f)
{
    uint32_t bits = f32_to_bits(f);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) /* A NaN stays one, quiet, whatever payload is cut off. */
        return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x1ff));
    if (rest >= 0x477ff000) /* 65520 and more round to infinity. */
        return (uint16_t)(sign | 0x7c00);
    if (rest < 0x38800000) {
        /* Below 2^-14.  Adding 0.5 lines the mantissa up so that its last bit is worth 2^-24, and
         * the addition itself rounds to nearest even. */
        float sum = bits_to_f32(rest) + 0.5f;
        return (uint16_t)(sign | (f32_to_bits(sum) - f32_to_bits(0.5f)));
    }
    rest -= (127 - 15) << 23;
    rest += 0x0fff + (rest >> 13 & 1); /* May carry into the exponent, as it should. */
    return (uint16_t)(sign | rest >> 13);
}

float quant_bf16_to_f32(uint16_t h)
{
    return bits_to_f32((uint32_t)h << 16);
}

static void q8_0_block(const uint8_t *b, float *dst)
{
    float d = load_f16(b);
    for (int i = 0; i < Q8_VALUES; i++)
        dst[i] = d * (float)(int8_t)b[2 + i];
}

static void q4_0_block(const uint8_t *b, float *dst)
{
    float d = load_f16(b);
    for (int i = 0; i < 16; i++) {
        dst[i] = d * (float)((b[2 + i] & 15) - 8);
        dst[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

/* Two halves of 128 values; the low four bits lie in ql, the high two in qh, one scale for 16. */
static void q6_k_block(const uint8_t *b, float *dst)
{
    float d = load_f16(b + 208);
    for (int h = 0; h < 2; h++) {
        const uint8_t *ql = b + 64 * h, *qh = b + 128 + 32 * h, *sc = b + 192 + 8 * h;
        for (int l = 0; l < 32; l++)
            for (int k = 0; k < 4; k++) {
                int low = ql[l + 32 * (k & 1)] >> (k < 2 ? 0 : 4) & 15;
                int q = (low | (qh[l] >> (2 * k) & 3) << 4) - 32;
                dst[128 * h + 32 * k + l] = d * (float)(int8_t)sc[l / 16 + 2 * k] * (float)q;
            }
    }
}

/* Six bits of scale and of minimum for sub-block j; the last four have their high bits in the spare
 * bits of the first. */
static void q4_k_scale(const uint8_t *s, int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *min = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

static void q4_k_block(const uint8_t *b, float *dst)
{
    float d = load_f16(b), dmin = load_f16(b + 2);
    for (int j = 0; j < 8; j++) {
        int scale, min;
        q4_k_scale(b + 4, j, &scale, &min);
        const uint8_t *qs = b + 16 + 32 * (j / 2);
        float m = dmin * (float)min, s = d * (float)scale;
        for (int i = 0; i < 32; i++)
            dst[32 * j + i] = s * (float)(j % 2 ? qs[i] >> 4 : qs[i] & 15) - m;
    }
}

/* One loop for each encoding, chosen outside of it. */
#define EACH(values, bytes, statement)                                                             \
    for (size_t i = 0; i < n; i += (values), p += (bytes))                                         \
    (statement)

void quant_floats(const struct quant_info *q, const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    trit_assert(q && !q->ternary && n % q->block_values == 0);
    switch (q->type) {
    case QUANT_F32:
        EACH(1, 4, dst[i] = bits_to_f32(load16(p) | (uint32_t)load16(p + 2) << 16));
        break;
    case QUANT_F16:
        wide_halves(p, dst, n & ~(size_t)7);
        for (size_t i = n & ~(size_t)7; i < n; i++)
            dst[i] = load_f16(p + 2 * i);
        break;
    case QUANT_I8:
        EACH(1, 1, dst[i] = (float)(int8_t)p[0]);
        break;
    case QUANT_BF16:
        EACH(1, 2, dst[i] = quant_bf16_to_f32(load16(p)));
        break;
    case QUANT_Q8_0:
        EACH(Q8_VALUES, Q8_0_BYTES, q8_0_block(p, dst + i));
        break;
    case QUANT_Q4_0:
        EACH(Q8_VALUES, Q4_0_BYTES, q4_0_block(p, dst + i));
        break;
    case QUANT_Q4_K:
        EACH(QK, Q4_K_BYTES, q4_k_block(p, dst + i));
        break;
    case QUANT_Q6_K:
        EACH(QK, Q6_K_BYTES, q6_k_block(p, dst + i));
        break;
    default:
        trit_unreachable("a value encoding without a decoder");
    }
}
#undef EACH

/*
 * `width` bytes hold five planes of trits; plane k (0 = the most significant digit) is multiplied
 * up to the top of the byte, where a further factor of three carries the digit out: 3 * (b * 3^k
 * mod 256) / 256, which is how many of 256 / 3 and 512 / 3 it reaches.  The 13 byte values that no
 * writer produces come out as some digit, never as a fourth.
 */
static inline void tq1_planes(const uint8_t *restrict src, int8_t *restrict dst, int width,
                              int planes)
{
    uint8_t top[32];
    memcpy(top, src, (size_t)width);
    for (int k = 0; k < planes; k++, dst += width) {
        for (int m = 0; m < width; m++)
            dst[m] = (int8_t)((top[m] >= 86) + (top[m] >= 171) - 1);
        for (int m = 0; m < width; m++)
            top[m] = (uint8_t)(top[m] * 3);
    }
}

static void tq1_block(const uint8_t *b, int8_t *dst)
{
    tq1_planes(b, dst, 32, 5);
    tq1_planes(b + 32, dst + 160, 16, 5);
    tq1_planes(b + 48, dst + 240, 4, 4);
}

/* Spread the four fields of 32 bytes to four planes; shift of plane k is first + k * step.  Returns
 * non-zero when a field held 3, that is when both its bits were set. */
static inline unsigned planes2(const uint8_t *restrict src, int8_t *restrict dst, int first,
                               int step)
{
    uint8_t bad = 0;
    for (int m = 0; m < 32; m++)
        bad |= (uint8_t)(src[m] & src[m] >> 1 & 0x55);
    for (int k = 0; k < 4; k++)
        for (int m = 0; m < 32; m++)
            dst[32 * k + m] = (int8_t)((src[m] >> (first + k * step) & 3) - 1);
    return bad;
}

/* TQ1_0 with half as many values: of the bytes 16 and 8 and 2 spread their digits. */
static void ptq1_block(const uint8_t *b, int8_t *dst)
{
    tq1_planes(b, dst, 16, 5);
    tq1_planes(b + 16, dst + 80, 8, 5);
    tq1_planes(b + 24, dst + 120, 2, 4);
}

/* Four values a byte, the first in the lowest bits.  Non-zero when a field held 3. */
static inline unsigned neighbours2(const uint8_t *restrict src, int8_t *restrict dst, int bytes)
{
    uint8_t bad = 0;
    for (int m = 0; m < bytes; m++)
        bad |= (uint8_t)(src[m] & src[m] >> 1 & 0x55);
    for (int i = 0; i < 4 * bytes; i++)
        dst[i] = (int8_t)((src[i / 4] >> (2 * (i % 4)) & 3) - 1);
    return bad;
}

/* Eight values a byte, the first in the lowest bit, which is set for +1. */
static void signs(const uint8_t *restrict src, int8_t *restrict dst, int bytes)
{
    for (int i = 0; i < 8 * bytes; i++)
        dst[i] = (int8_t)((src[i / 8] >> (i % 8) & 1) * 2 - 1);
}

size_t quant_odd_value(const float *w, size_t n, float *size)
{
    size_t i = 0;
    while (i < n && w[i] == 0)
        i++;
    *size = i < n ? fabsf(w[i]) : 0;
    while (i < n && (w[i] == 0 || fabsf(w[i]) == *size))
        i++;
    return i;
}

const struct quant_info *quant_ternary_floats(const struct quant_info *q)
{
    return quant_find(q->type == QUANT_F32    ? QUANT_F32_TERNARY
                      : q->type == QUANT_F16  ? QUANT_F16_TERNARY
                      : q->type == QUANT_BF16 ? QUANT_BF16_TERNARY
                                              : QUANT_NONE);
}

const struct quant_info *quant_of_floats(const struct quant_info *q)
{
    return quant_find(q->type == QUANT_F32_TERNARY    ? QUANT_F32
                      : q->type == QUANT_F16_TERNARY  ? QUANT_F16
                      : q->type == QUANT_BF16_TERNARY ? QUANT_BF16
                                                      : QUANT_NONE);
}

/* The floats of a block.  Non-zero when they are not ternary. */
static unsigned float_trits(const struct quant_info *q, const uint8_t *b, int8_t *trits,
                            float *scale)
{
    float w[PRISM_VALUES];
    quant_floats(quant_of_floats(q), b, w, PRISM_VALUES);
    unsigned bad = quant_odd_value(w, PRISM_VALUES, scale) < PRISM_VALUES;
    for (int i = 0; i < PRISM_VALUES; i++)
        trits[i] = (int8_t)((w[i] > 0) - (w[i] < 0));
    return bad;
}

/* The T family has its scale last, as PTQ1_0 has; the others have it first. */
float quant_block_scale(const struct quant_info *q, const void *block)
{
    bool last = q->type == QUANT_TQ1_0 || q->type == QUANT_TQ2_0 || q->type == QUANT_PTQ1_0;
    trit_assert(q->ternary && q->block_bytes);
    if (q->type == QUANT_SIGNS)
        return 1;
    if (quant_of_floats(q)) {
        int8_t ignored[PRISM_VALUES];
        float scale;
        (void)float_trits(q, block, ignored, &scale);
        return scale;
    }
    return load_f16((const uint8_t *)block + (last ? q->block_bytes - 2 : 0));
}

int quant_trits(const struct quant_info *q, const void *src, int8_t *trits, float *scales, size_t n)
{
    const uint8_t *p = src;
    unsigned bad = 0;
    trit_assert(q->ternary && q->block_bytes && n % q->block_values == 0);
    for (size_t i = 0; i < n / q->block_values; i++) {
        switch (q->type) {
        case QUANT_TQ1_0:
            tq1_block(p, trits);
            break;
        case QUANT_TQ2_0:
            bad |= planes2(p, trits, 0, 2);
            bad |= planes2(p + 32, trits + 128, 0, 2);
            break;
        case QUANT_PTQ1_0:
            ptq1_block(p, trits);
            break;
        case QUANT_Q1_0:
            signs(p + 2, trits, PRISM_VALUES / 8);
            break;
        case QUANT_SIGNS:
            for (int k = 0; k < 8; k++)
                trits[k] = (int8_t)(1 - 2 * (p[0] >> k & 1));
            break;
        case QUANT_Q2_0:
            bad |= neighbours2(p + 2, trits, Q2_VALUES / 4);
            break;
        case QUANT_PQ2_0:
            bad |= neighbours2(p + 2, trits, PRISM_VALUES / 4);
            break;
        case QUANT_F32_TERNARY:
        case QUANT_F16_TERNARY:
        case QUANT_BF16_TERNARY:
            bad |= float_trits(q, p, trits, &scales[i]);
            p += q->block_bytes;
            trits += q->block_values;
            continue;
        default:
            trit_unreachable("a ternary encoding without a decoder");
        }
        scales[i] = quant_block_scale(q, p);
        p += q->block_bytes;
        trits += q->block_values;
    }
    return bad ? -TRIT_EFORMAT : 0;
}

int quant_i2s_trits(const uint8_t *codes, uint64_t total, uint64_t first, int8_t *trits, size_t n)
{
    unsigned bad = 0;
    trit_assert(total % I2S_VALUES == 0 && first <= total && n <= total - first);
    while (n) {
        const uint8_t *block = codes + first / I2S_VALUES * I2S_BLOCK_BYTES;
        size_t phase = first % I2S_VALUES, take = MIN(I2S_VALUES - phase, n);
        if (take == I2S_VALUES) {
            bad |= planes2(block, trits, 6, -2);
        } else {
            /* An edge of the range: only its own values count, a neighbour's bad code does not. */
            for (size_t i = 0; i < take; i++) {
                size_t at = phase + i;
                unsigned code = block[at % 32] >> (6 - 2 * (at / 32)) & 3;
                bad |= code == 3;
                trits[i] = (int8_t)((int)code - 1);
            }
        }
        first += take;
        trits += take;
        n -= take;
    }
    return bad ? -TRIT_EFORMAT : 0;
}

int quant_hf_u8_trits(const uint8_t *packed, unsigned quarter, int8_t *trits, size_t n)
{
    unsigned shift = 2 * quarter;
    uint8_t bad = 0;
    trit_assert(quarter < 4);
    for (size_t i = 0; i < n; i++) {
        uint8_t code = packed[i] >> shift & 3;
        bad |= (uint8_t)(code & code >> 1);
        trits[i] = (int8_t)(code - 1);
    }
    return bad ? -TRIT_EFORMAT : 0;
}

void quant_absmean_add(struct quant_absmean *a, const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        float size = fabsf(w[i]);
        sum += (double)size;
        if (a->size == 0.0f)
            a->size = size;
        a->uneven |= size != 0.0f && size != a->size;
    }
    a->sum += sum;
    a->n += n;
}

bool quant_absmean_exact(const struct quant_absmean *a, float *scale)
{
    if (!a->uneven)
        *scale = a->size;
    return !a->uneven;
}

float quant_absmean_scale(const struct quant_absmean *a)
{
    float mean = a->n ? (float)(a->sum / (double)a->n) : 0.0f;
    return mean > 1e-5f ? mean : 1e-5f;
}

/* The reference multiplies by the reciprocal, in f32; a quotient would differ on ties.  Scale 0
 * means zeros: 0 * inf is no number, and no number is no trit but 0. */
void quant_absmean_trits(float scale, const float *w, int8_t *trits, size_t n)
{
    float inverse = 1.0f / scale;
    for (size_t i = 0; i < n; i++) {
        float x = w[i] * inverse;
        /* Half-even rounding to {-1, 0, 1}: one half goes to zero, more goes outward. */
        trits[i] = (int8_t)((x > 0.5f) - (x < -0.5f));
    }
}
