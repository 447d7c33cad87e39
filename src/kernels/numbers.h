/* SPDX-License-Identifier: MIT */
/*
 * numbers.h - the constants that scalar.c defines and every variant must share to the last bit.
 *
 * exp(x) for x in [EXP_MIN, EXP_MAX]:
 *     t = fma(x, EXP_LOG2E, EXP_MAGIC)          the low bits of t are n = round_half_even(x log2 e)
 *     n = t - EXP_MAGIC
 *     r = fma(n, -EXP_LN2_LO, fma(n, -EXP_LN2_HI, x))      |r| <= ln 2 / 2, the inner fma is exact
 *     p = 1 + r + r^2 (C2 + C3 r + C4 r^2 + C5 r^3 + C6 r^4), Horner, each step one fma
 *     exp(x) = p * 2^n, with 2^n made by adding n to the exponent of 1.0
 * The five coefficients are the minimax fit over that range (Remez), 3.1e-9 away at worst; rounding
 * brings the whole to less than one ulp.
 */
#ifndef TRIT_KERNELS_NUMBERS_H
#define TRIT_KERNELS_NUMBERS_H

#define EXP_MIN    -87.0f /* below: +0 */
#define EXP_MAX    88.0f  /* silu holds the argument here; exp is 1.65e38 */
#define EXP_LOG2E  0x1.715476p+0f
#define EXP_MAGIC  0x1.8p+23f /* adding it leaves no bits for a fraction */
#define EXP_LN2_HI 0x1.62e430p-1f
#define EXP_LN2_LO -0x1.05c610p-29f
#define EXP_C2     0x1.fffffcp-2f
#define EXP_C3     0x1.555492p-3f
#define EXP_C4     0x1.5558f2p-5f
#define EXP_C5     0x1.123a20p-7f
#define EXP_C6     0x1.6a23d0p-10f

#define GELU_SCALE 0x1.988454p+0f /* 2 sqrt(2 / pi) */
#define GELU_CUBE  0x1.6e4e26p-5f /* 0.044715 */

#define ACT_FLOOR  1e-5f /* the least maximum of a group of activations */
#define ACT_TOP    127.0f
#define ACT_BOTTOM -128.0f

#define HEAD_FLOOR 1e-30f
#define HEAD_TOP   16256.0f /* 127 * 128: the top of both planes together */

#define KV_FLOOR 1e-30f
#define KV_TOP   127.0f

#endif
