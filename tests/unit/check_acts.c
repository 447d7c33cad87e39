/* SPDX-License-Identifier: MIT */
/*
 * check_acts.c - products of activations in one plane and in two: how far from the float product,
 * and the same bits for every instruction set and whatever else is in the call.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/quant.h"
#include "kernels/kernels.h"
#include "engine/acts.h"
#include "unit/unit.h"

enum { N_IN = 640, N_OUT = 131, TILES = 9, N_ROWS = 20, STRIDE = N_OUT + 3 };

static uint64_t seed;
static int8_t trits[TILES * LAYOUT_TILE][N_IN];
static float scale[TILES * LAYOUT_TILE][N_IN / LAYOUT_GROUP];
static float x[N_ROWS][N_IN];

static float unit(void)
{
    return (float)((double)(unit_random(&seed) >> 11) * 0x1p-52 - 1);
}

/* Weights, scales that are binary16, and rows of all sizes: outliers, tiny ones, zeros. */
static void invent(void)
{
    memset(trits, 0, sizeof trits);
    for (size_t r = 0; r < N_OUT; r++) {
        for (size_t i = 0; i < N_IN; i++)
            trits[r][i] = (int8_t)(unit_random(&seed) % 3) - 1;
        for (size_t g = 0; g < N_IN / LAYOUT_GROUP; g++)
            scale[r][g] = quant_f16_to_f32(quant_f32_to_f16(0.02f + 0.01f * unit()));
    }
    for (size_t t = 0; t < N_ROWS; t++)
        for (size_t i = 0; i < N_IN; i++)
            x[t][i] = unit() * (t % 5 == 1 ? 1e-6f : t % 5 == 2 ? 3000.0f : 1.0f);
    x[3][77] = 50;
    memset(x[4], 0, sizeof x[4]);
}

static struct linear pack(enum layout_id layout, uint32_t group)
{
    struct linear w;
    layout_shape(&w, layout, N_OUT, N_IN, group);
    uint8_t *codes = mem_zalloc_line(layout_code_bytes(&w), 1);
    float *one = mem_zalloc_line(layout_scale_bytes(&w), 1);
    uint16_t *many = (void *)one;
    ck_assert(codes && one);
    ck_assert_uint_eq(layout_tiles(&w), TILES);
    for (size_t t = 0; t < TILES; t++) {
        layout_pack_tile(&w, trits[t * LAYOUT_TILE], codes + t * w.tile_bytes);
        for (size_t g = 0; g < w.n_groups; g++)
            for (size_t r = 0; r < LAYOUT_TILE; r++) {
                size_t at = (t * w.n_groups + g) * LAYOUT_TILE + r;
                if (w.n_groups == 1)
                    one[at] = scale[t * LAYOUT_TILE + r][0];
                else
                    many[at] = quant_f32_to_f16(scale[t * LAYOUT_TILE + r][g]);
            }
    }
    w.codes = codes;
    w.scales = w.n_groups == 1 ? one : NULL;
    w.group_scales = w.n_groups == 1 ? NULL : many;
    return w;
}

static void unpack(struct linear *w)
{
    const void *scales = w->scales ? (const void *)w->scales : w->group_scales;
    mem_free((void *)(uintptr_t)w->codes);
    mem_free((void *)(uintptr_t)scales);
}

/* out[rows][STRIDE] of rows [first, first + n), tiles in two calls that meet at `cut`. */
static void multiply(const struct kernels *k, const struct linear *w, unsigned planes, size_t first,
                     size_t n, size_t cut, float *out)
{
    struct acts a;
    size_t bytes = 0, stride = round_up(layout_acts(w), 64);
    acts_carve(&a, NULL, &bytes, planes, n, stride, w->n_groups);
    uint8_t *memory = mem_zalloc_line(bytes, 1);
    float *sums = mem_zalloc_line(acts_sums(planes, TILES, n) + 1, sizeof *sums), rest[N_IN];
    ck_assert(memory && sums);
    bytes = 0;
    acts_carve(&a, memory, &bytes, planes, n, stride, w->n_groups);
    for (size_t t = 0; t < n; t++)
        acts_put(k, w, &a, planes, t, x[first + t], rest);
    acts_multiply(k, out, STRIDE, w, 0, cut, &a, planes, n, sums);
    acts_multiply(k, out, STRIDE, w, cut, TILES, &a, planes, n, sums);
    mem_free(memory);
    mem_free(sums);
}

/* The largest difference from the product in double, in parts of what the inputs could make. */
static double worst(const struct linear *w, const float out[N_ROWS][STRIDE])
{
    double most = 0;
    for (size_t t = 0; t < N_ROWS; t++)
        for (size_t r = 0; r < N_OUT; r++) {
            double want = 0, size = 1e-30;
            for (size_t i = 0; i < N_IN; i++) {
                double s = (double)scale[r][i / w->group] * (double)x[t][i];
                want += trits[r][i] * s;
                size += fabs(s);
            }
            most = fmax(most, fabs((double)out[t][r] - want) / size);
        }
    return most;
}

static const uint32_t groups[] = {N_IN, 128, 64};

START_TEST(two_planes_are_close_to_floats)
{
    static float one[N_ROWS][STRIDE], two[N_ROWS][STRIDE];
    const struct kernels *k = kernels_pick(kernels_cpu_detect());
    invent();
    struct linear w = pack(k->layout, groups[_i]);
    multiply(k, &w, 1, 0, N_ROWS, 4, one[0]);
    multiply(k, &w, 2, 0, N_ROWS, 4, two[0]);
    double with_one = worst(&w, one), with_two = worst(&w, two);
    printf("groups of %u: one plane within %.2g, two within %.2g\n", groups[_i], with_one,
           with_two);
    /* The tiny rows lie below the floor of one plane, and are a tenth of it off. */
    ck_assert_double_lt(with_one, 0.3);
    ck_assert_double_gt(with_one, 1e-4);
    ck_assert_double_lt(with_two, 1e-3);
    /* The others: rounding by 1 / 127 and 1 / 32258 of the largest input, which may be an outlier.
     */
    for (size_t t = 1; t < N_ROWS; t += 5)
        memset(x[t], 0, sizeof x[t]), memset(one[t], 0, sizeof one[t]),
            memset(two[t], 0, sizeof two[t]);
    ck_assert_double_gt(worst(&w, one), 1e-4);
    ck_assert_double_lt(worst(&w, one), 0.1);
    ck_assert_double_lt(worst(&w, two), 4e-4);
    unpack(&w);
}
END_TEST

START_TEST(nobody_else_shows)
{
    static float base[N_ROWS][STRIDE], now[N_ROWS][STRIDE];
    invent();
    for (unsigned planes = 1; planes <= ACTS_PLANES_MAX; planes++)
        for (size_t v = 0; kernels_at(v); v++) {
            const struct kernels *k = kernels_at(v);
            if (k->cpu & ~kernels_cpu_detect())
                continue;
            struct linear w = pack(k->layout, groups[_i]);
            if (v == 0)
                multiply(k, &w, planes, 0, N_ROWS, TILES, base[0]);
            for (size_t together = 1; together <= N_ROWS; together += 1 + together / 2) {
                for (size_t t = 0; t < N_ROWS; t += together)
                    multiply(k, &w, planes, t, MIN(together, N_ROWS - t), together % TILES, now[t]);
                for (size_t t = 0; t < N_ROWS; t++)
                    ck_assert_mem_eq(now[t], base[t], N_OUT * sizeof(float));
            }
            unpack(&w);
        }
}
END_TEST

/* What is no number does not become one. */
START_TEST(a_nan_stays)
{
    static float out[N_ROWS][STRIDE];
    const struct kernels *k = kernels_pick(kernels_cpu_detect());
    invent();
    struct linear w = pack(k->layout, groups[_i]);
    x[7][9] = NAN;
    x[8][9] = INFINITY;
    multiply(k, &w, 2, 0, N_ROWS, 1, out[0]);
    for (size_t r = 0; r < N_OUT; r++)
        ck_assert(!isfinite(out[7][r]) && !isfinite(out[8][r]) && isfinite(out[9][r]));
    unpack(&w);
}
END_TEST

START_TEST(words_and_models)
{
    struct layer layer = {0};
    struct model m = {.layers = &layer};
    enum acts_type type;
    ck_assert_int_eq(acts_type_parse("q16", &type), 0);
    ck_assert_uint_eq(acts_planes(&m, type), 2);
    ck_assert_int_eq(acts_type_parse("q8", &type), 0);
    ck_assert_uint_eq(acts_planes(&m, type), 1);
    ck_assert_int_eq(acts_type_parse("auto", &type), 0);
    layer.down.n_groups = 1;
    ck_assert_uint_eq(acts_planes(&m, type), 1);
    layer.down.n_groups = 16;
    ck_assert_uint_eq(acts_planes(&m, type), 2);
    ck_assert_int_eq(acts_type_parse("q4", &type), -TRIT_EINVAL);
    ck_assert_int_eq(acts_type_parse("", &type), -TRIT_EINVAL);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    Suite *s = suite_create("acts");
    TCase *c = tcase_create("acts");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, two_planes_are_close_to_floats, 0, ARRAY_LEN(groups));
    tcase_add_loop_test(c, nobody_else_shows, 0, ARRAY_LEN(groups));
    tcase_add_loop_test(c, a_nan_stays, 0, ARRAY_LEN(groups));
    tcase_add_test(c, words_and_models);
    suite_add_tcase(s, c);
    return unit_run(s);
}
