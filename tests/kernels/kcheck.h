/* SPDX-License-Identifier: MIT */
/*
 * kcheck.h - what the parts of the conformance program share: random data, buffers that notice what
 * happens outside of them, and comparisons that say where they failed.
 *
 * A part is a function that runs one operation of a variant over many cases.  Given the scalar
 * variant it compares with plain arithmetic in double and 64-bit integers, which proves the
 * specification; given any other it compares with scalar, bit for bit.
 *
 *     kc_case("rows %u", rows);
 *     float *out = kc_new(n * sizeof *out, 4), *want = ...;
 *     ...
 *     kc_same_floats("out", out, want, n);
 *     kc_end();
 */
#ifndef TRIT_TESTS_KCHECK_H
#define TRIT_TESTS_KCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

enum {
    KC_LINE = 64, /* alignment where the contract says "line" */
};

/* The specification; every part may call it. */
extern const struct kernels *kc_scalar;

typedef void (*kc_part_fn)(const struct kernels *k);
void kc_quantise(const struct kernels *k);
void kc_ternary(const struct kernels *k);
void kc_signs(const struct kernels *k);
void kc_billm(const struct kernels *k);
void kc_arrange(const struct kernels *k);
void kc_layernorm(const struct kernels *k);
void kc_head_f16(const struct kernels *k);
void kc_head_q8(const struct kernels *k);
void kc_head_coarse(const struct kernels *k);
void kc_head_split(const struct kernels *k);
void kc_rmsnorm(const struct kernels *k);
void kc_glu(const struct kernels *k);
void kc_add(const struct kernels *k);
void kc_rope(const struct kernels *k);
void kc_to_f16(const struct kernels *k);
void kc_exp_shift(const struct kernels *k);
void kc_argmax(const struct kernels *k);
void kc_delta(const struct kernels *k);
void kc_convolve(const struct kernels *k);
void kc_rotate(const struct kernels *k);
void kc_to_q8(const struct kernels *k);
void kc_attend(const struct kernels *k);
void kc_attend_merge(const struct kernels *k);

/* Uniform below n, n >= 1; a float in [-1, 1]; one of many magnitudes and a few special values. */
uint32_t kc_below(uint32_t n);
float kc_unit(void);
float kc_wild(void);
void kc_fill_unit(float *x, size_t n, float scale);
void kc_fill_bytes(void *p, size_t n);

/* Begin a case; the text stands in every complaint about it. */
void kc_case(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Memory for one case, at a multiple of `align` and as close as that allows to a page that cannot
 * be touched.  It is filled with a pattern, as is what lies around it; kc_end looks whether that is
 * still so and releases everything.
 */
void *kc_new(size_t bytes, size_t align);
void kc_end(void);

/* A complaint; the case goes on.  The program will fail. */
void kc_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Equal bits, or both NaN. */
void kc_same_floats(const char *what, const float *got, const float *want, size_t n);
void kc_same_bytes(const char *what, const void *got, const void *want, size_t n);

/* |got - want| <= slack, or both NaN. */
void kc_near(const char *what, size_t at, double got, double want, double slack);

/* The distance between two floats of one sign, counted in floats. */
double kc_ulps(float got, double want);

#endif
