/* SPDX-License-Identifier: MIT */
/*
 * kcheck_float.c - the operations on rows of floats.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/quant.h"

/* The i-th length to try: every small one, then some of the sizes models have. */
static size_t length(unsigned i)
{
    static const size_t large[] = {100, 127, 128, 640, 2560, 5460, 6912, 8640};
    return i < 70 ? i + 1 : large[i - 70];
}
enum {
    N_LENGTHS = 78,
};

/* Random floats at an address that is a multiple of four, no more. */
static float *new_floats(size_t n, bool wild)
{
    float *x = kc_new(n * sizeof *x, 4);
    for (size_t i = 0; i < n; i++)
        x[i] = wild ? kc_wild() : kc_unit();
    return x;
}

static float *copy_of(const float *x, size_t n)
{
    float *copy = kc_new(n * sizeof *copy, 4);
    memcpy(copy, x, n * sizeof *copy);
    return copy;
}

void kc_rmsnorm(const struct kernels *k)
{
    for (unsigned i = 0; i < 4 * N_LENGTHS; i++) {
        size_t n = length(i % N_LENGTHS);
        bool wild = i >= 2 * N_LENGTHS, in_place = i % 2;
        const float eps = 1e-5f;
        kc_case("%zu values%s%s", n, wild ? ", wild" : "", in_place ? ", in place" : "");
        float *x = new_floats(n, wild), *w = new_floats(n, false);
        if (i % 5 == 0 && !wild)
            kc_fill_unit(x, n, 0);
        float *source = copy_of(x, n), *y = in_place ? x : kc_new(n * sizeof *y, 4);
        k->rmsnorm(y, x, w, eps, n);
        if (k != kc_scalar) {
            float *want = kc_new(n * sizeof *want, 4);
            kc_scalar->rmsnorm(want, source, w, eps, n);
            kc_same_floats("y", y, want, n);
        } else if (!wild) {
            double sum = 0;
            for (size_t j = 0; j < n; j++)
                sum += (double)source[j] * (double)source[j];
            double r = 1 / sqrt(sum / (double)n + (double)eps);
            for (size_t j = 0; j < n; j++) {
                double want = (double)source[j] * r * (double)w[j];
                kc_near("y", j, (double)y[j], want,
                        fabs(want) * ((double)n / 32 + 8) * 0x1p-24 + 1e-44);
            }
        }
        kc_end();
    }
}

/* silu loses a little in exp, in the sum, in the quotient and in the product: four roundings. */
static void compare_glu(enum act_fn act, float y, float gate, float up)
{
    double g = (double)gate, want;
    if (act == ACT_SILU)
        want = g / (1 + exp(-g)) * (double)up;
    else if (act == ACT_GELU)
        want = 0.5 * g * (1 + tanh(sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * (double)up;
    else
        want = fmax(g, 0) * fmax(g, 0) * (double)up;
    /* Far below zero scalar holds exp at exp(88): the result is tiny instead of tinier. */
    double slack = act == ACT_SILU && gate < -87 ? fabs(g * (double)up) * 1e-37 : 0;
    double roundings = 5;
    if (act == ACT_GELU) {
        /* The argument of exp has roundings of its own, which count as often as it is large; and
         * 1 + tanh loses more in double than exp does in float where it nears zero. */
        double u = fabs(sqrt(8 / M_PI) * (g + 0.044715 * g * g * g));
        roundings += 4 * fmin(u, 88);
        slack = fabs(g * (double)up) * 1e-16;
    }
    kc_near("y", 0, (double)y, want, fabs(want) * roundings * 0x1p-24 + slack + 0x1p-148);
}

void kc_glu(const struct kernels *k)
{
    static const enum act_fn acts[] = {ACT_RELU2, ACT_SILU, ACT_GELU};
    for (unsigned i = 0; i < 12 * N_LENGTHS; i++) {
        size_t n = length(i % N_LENGTHS);
        bool wild = i >= 6 * N_LENGTHS, in_place = i & 1;
        enum act_fn act = acts[i / N_LENGTHS % 3];
        kc_case("%zu values, act %d%s%s", n, act, wild ? ", wild" : "",
                in_place ? ", in place" : "");
        float *gate = new_floats(n, wild), *up = new_floats(n, wild);
        for (size_t j = 0; j < n && !wild; j++)
            gate[j] *= act == ACT_GELU ? 8 : 100;
        if (wild)
            gate[kc_below((uint32_t)n)] = kc_below(2) ? NAN : -NAN;
        float *source = copy_of(gate, n), *y = in_place ? gate : kc_new(n * sizeof *y, 4);
        k->glu(y, gate, up, act, n);
        if (k != kc_scalar) {
            float *want = kc_new(n * sizeof *want, 4);
            kc_scalar->glu(want, source, up, act, n);
            kc_same_floats("y", y, want, n);
        } else {
            for (size_t j = 0; j < n; j++)
                if (isnan(source[j]) && !isnan(y[j]))
                    kc_fail("the NaN at %zu became %g", j, (double)y[j]);
                else if (!wild)
                    compare_glu(act, y[j], source[j], up[j]);
        }
        kc_end();
    }
}

void kc_add(const struct kernels *k)
{
    for (unsigned i = 0; i < 2 * N_LENGTHS; i++) {
        size_t n = length(i % N_LENGTHS);
        kc_case("%zu values", n);
        float *x = new_floats(n, i >= N_LENGTHS), *y = new_floats(n, i >= N_LENGTHS);
        float *want = copy_of(x, n);
        k->add(x, y, n);
        for (size_t j = 0; j < n; j++)
            want[j] += y[j];
        kc_same_floats("x", x, want, n);
        kc_end();
    }
}

/* One head in double; x is what it was before. */
static void compare_rope(const float *y, const float *x, const float *cs, enum rope_style style,
                         size_t head_dim, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        size_t at = style == ROPE_NEOX ? i : 2 * i, to = style == ROPE_NEOX ? i + half : 2 * i + 1;
        double a = (double)x[at], b = (double)x[to], c = (double)cs[i], s = (double)cs[half + i];
        double slack = (fabs(a) + fabs(b)) * 0x1p-23 + 1e-44;
        kc_near("x", at, (double)y[at], a * c - b * s, slack);
        kc_near("x", to, (double)y[to], a * s + b * c, slack);
    }
    for (size_t i = 2 * half; i < head_dim; i++)
        kc_near("x", i, (double)y[i], (double)x[i], 0);
}

void kc_rope(const struct kernels *k)
{
    for (unsigned i = 0; i < 300; i++) {
        size_t n_heads = 1 + kc_below(4), half = i < 70 ? i / 2 + 1 : 1 + kc_below(80);
        size_t head_dim = 2 * half + (kc_below(3) ? 0 : kc_below(20)), n = n_heads * head_dim;
        enum rope_style style = i % 2 ? ROPE_NORM : ROPE_NEOX;
        kc_case("%zu heads of %zu, half %zu, style %d", n_heads, head_dim, half, style);
        float *x = new_floats(n, i % 7 == 0 && k != kc_scalar);
        float *cs = kc_new(2 * half * sizeof *cs, 4);
        for (size_t j = 0; j < half; j++) {
            double angle = (double)kc_unit() * 1000;
            cs[j] = (float)cos(angle);
            cs[half + j] = (float)sin(angle);
        }
        float *before = copy_of(x, n), *want = copy_of(x, n);
        k->rope(x, cs, style, n_heads, head_dim, half);
        if (k != kc_scalar) {
            kc_scalar->rope(want, cs, style, n_heads, head_dim, half);
            kc_same_floats("x", x, want, n);
        }
        for (size_t h = 0; h < n_heads && k == kc_scalar; h++)
            compare_rope(x + h * head_dim, before + h * head_dim, cs, style, head_dim, half);
        kc_end();
    }
}

/* The nearest binary16, ties to even, worked out in double. */
static double nearest_f16(double x)
{
    int exponent;
    if (fabs(x) >= 65520)
        return copysign(INFINITY, x);
    frexp(x, &exponent);
    double unit = ldexp(1, MAX(exponent - 11, -24));
    return rint(x / unit) * unit;
}

void kc_to_f16(const struct kernels *k)
{
    for (unsigned i = 0; i < 3 * N_LENGTHS; i++) {
        size_t n = length(i % N_LENGTHS);
        kc_case("%zu values", n);
        float *x = new_floats(n, i >= N_LENGTHS);
        if (i % 3 == 1) /* ties: values with one bit more than fits */
            for (size_t j = 0; j < n; j++)
                x[j] =
                    ldexpf(1 + (float)(2 * kc_below(2048) + 1) * 0x1p-11f, (int)kc_below(40) - 26);
        if (i % 3 == 2)
            x[kc_below((uint32_t)n)] = NAN;
        uint16_t *h = kc_new(n * sizeof *h, 2);
        k->to_f16(h, x, n);
        if (k == kc_scalar) {
            for (size_t j = 0; j < n; j++)
                kc_near("h", j, (double)quant_f16_to_f32(h[j]), nearest_f16((double)x[j]), 0);
        } else {
            uint16_t *want = kc_new(n * sizeof *want, 2);
            kc_scalar->to_f16(want, x, n);
            for (size_t j = 0; j < n; j++)
                if (isnan(x[j]) && isnan(quant_f16_to_f32(h[j])))
                    h[j] = want[j]; /* Which NaN is not specified. */
            kc_same_bytes("h", h, want, n * sizeof *h);
        }
        kc_end();
    }
}

/* exp at many points of its range, in units in the last place. */
static void exp_accuracy(const struct kernels *k)
{
    enum {
        POINTS = 1 << 20,
    };
    kc_case("accuracy");
    float *x = kc_new(POINTS * sizeof *x, 4), *y = kc_new(POINTS * sizeof *y, 4);
    for (size_t i = 0; i < POINTS; i++)
        x[i] = i % 4 ? 43.5f * (kc_unit() - 1) : -ldexpf(fabsf(kc_unit()), -(int)kc_below(40));
    x[0] = -87;
    x[1] = nextafterf(-87, -88);
    x[2] = 0;
    x[3] = -0.0f;
    k->exp_shift(y, x, 0, POINTS);
    double worst = 0;
    for (size_t i = 0; i < POINTS; i++)
        if (i != 1)
            worst = fmax(worst, kc_ulps(y[i], exp((double)x[i])));
    if (worst > 1)
        kc_fail("exp is off by %.3f ulp", worst);
    if (y[0] == 0 || y[1] != 0 || signbit(y[1]) || y[2] != 1 || y[3] != 1)
        kc_fail("the ends of the range: %a %a %a %a", (double)y[0], (double)y[1], (double)y[2],
                (double)y[3]);
    kc_end();
}

void kc_exp_shift(const struct kernels *k)
{
    if (k == kc_scalar)
        exp_accuracy(k);
    for (unsigned i = 0; i < 3 * N_LENGTHS; i++) {
        size_t n = length(i % N_LENGTHS);
        bool in_place = i & 1, special = i >= 2 * N_LENGTHS;
        kc_case("%zu values%s%s", n, in_place ? ", in place" : "", special ? ", special" : "");
        float *x = new_floats(n, false), shift = kc_unit() * 10;
        for (size_t j = 0; j < n; j++)
            x[j] = shift - 60 * fabsf(x[j] + x[j] * x[j]);
        if (special) {
            x[kc_below((uint32_t)n)] = -INFINITY;
            x[kc_below((uint32_t)n)] = kc_below(2) ? NAN : shift;
        }
        float *source = copy_of(x, n), *y = in_place ? x : kc_new(n * sizeof *y, 4);
        float sum = k->exp_shift(y, x, shift, n);
        if (k != kc_scalar) {
            float *want = kc_new(n * sizeof *want, 4);
            float want_sum = kc_scalar->exp_shift(want, source, shift, n);
            kc_same_floats("y", y, want, n);
            kc_same_floats("sum", &sum, &want_sum, 1);
        } else if (!special) {
            double total = 0;
            for (size_t j = 0; j < n; j++) {
                double e = exp((double)(source[j] - shift));
                total += e;
                kc_near("y", j, (double)y[j], e, e * 0x1p-23 + 0x1p-125);
            }
            kc_near("sum", 0, (double)sum, total,
                    total * (double)(n / 16 + 6) * 0x1p-23 + (double)n * 0x1p-125);
        }
        kc_end();
    }
}

void kc_argmax(const struct kernels *k)
{
    for (unsigned i = 0; i < 12 * N_LENGTHS; i++) {
        size_t n = length(i % N_LENGTHS), want = 0;
        unsigned kind = i / N_LENGTHS % 6;
        kc_case("%zu values, kind %u", n, kind);
        float *x = new_floats(n, kind == 1), max = 0;
        for (size_t j = 0; j < n; j++) {
            if (kind == 2) /* many that are equal, and zeros of both signs */
                x[j] = (float)kc_below(3) * (kc_below(2) ? 1.0f : -0.0f);
            if (kind == 3)
                x[j] = -INFINITY;
        }
        if (kind == 4)
            x[kc_below((uint32_t)n)] = kc_below(2) ? NAN : -NAN;
        if (kind == 5)
            x[n - 1] = 2;
        for (size_t j = 1; j < n; j++)
            if (x[j] > x[want])
                want = j;
        size_t got = k->argmax(x, n, &max);
        if (kind == 4) {
            if (got != SIZE_MAX || !isnan(max))
                kc_fail("found %zu, %g beside a NaN", got, (double)max);
        } else if (got != want) {
            kc_fail("found %zu, expected %zu", got, want);
        } else {
            kc_same_floats("max", &max, &x[want], 1);
        }
        kc_end();
    }
}
