/* SPDX-License-Identifier: MIT */
/*
 * check_head.c - logits to choose from against exact ones: the same best token, the same logits
 * near it, bounded differences elsewhere; and that neither batch, nor threads, nor the instruction
 * set show.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/model.h"
#include "model/quant.h"
#include "kernels/kernels.h"
#include "engine/head.h"
#include "unit/unit.h"

enum { VOCAB = 3001, DIM = 300, SLOTS = 9 };

static uint64_t seed;
static struct model model;
static float x[SLOTS][DIM];
static float chosen[SLOTS][VOCAB], exact[SLOTS][VOCAB];

/* Roughly normal, deviation 1. */
static float normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(unit_random(&seed) >> 11) * 0x1p-53;
    return (float)(sum - 6);
}

/* Rows of many sizes; every fourth is as another one before it, so that there are ties. */
static void make_model(enum table_type type)
{
    struct table *t = &model.head;
    table_shape(t, type, VOCAB, DIM);
    void *data = mem_zalloc_line(table_data_bytes(t), 1);
    float *scales = mem_zalloc(VOCAB, sizeof *scales), row[DIM];
    ck_assert(data && scales);
    for (uint32_t r = 0; r < VOCAB; r++) {
        float size = r % 100 == 7 ? 3.0f : 1.0f;
        for (uint32_t c = 0; c < DIM && r % 4 != 3; c++)
            row[c] = normal() * size;
        table_pack_row(t, r, row, data, scales);
    }
    t->data = data;
    t->scales = type == TABLE_Q8 ? scales : NULL;
    if (type == TABLE_F16)
        mem_free(scales);
    model.hp.dim = DIM;
    model.hp.vocab = VOCAB;
}

static void free_model(void)
{
    mem_free((void *)(uintptr_t)model.head.data);
    mem_free((void *)(uintptr_t)model.head.scales);
}

/* One step: slots [0, n) with the states that begin at x[first]. */
struct step {
    struct head *head;
    struct team *team;
    uint32_t first, n;
    uint8_t use[SLOTS];
};

static void run_step(void *ctx, unsigned worker)
{
    struct step *s = ctx;
    for (size_t i; (i = team_take(s->team, 1)) < s->n;)
        head_set(s->head, (uint32_t)i, x[s->first + i]);
    team_barrier(s->team);
    head_choose(s->head, s->use, s->n, worker);
    for (size_t i; (i = team_take(s->team, 1)) < s->n;)
        if (s->use[i] & HEAD_CHOOSE)
            memcpy(chosen[s->first + i], head_logits(s->head, (uint32_t)i), sizeof chosen[0]);
    team_barrier(s->team);
    head_exact(s->head, s->use, s->n, worker);
    for (size_t i; (i = team_take(s->team, 1)) < s->n;)
        if (s->use[i] & HEAD_EXACT)
            memcpy(exact[s->first + i], head_logits(s->head, (uint32_t)i), sizeof exact[0]);
    team_barrier(s->team);
}

/* All states, `together` at a time. */
static void run_all(const struct kernels *k, unsigned threads, uint32_t together)
{
    struct step s = {0};
    struct trit_error err;
    ck_assert_int_eq(team_open(&s.team, threads, false, &err), 0);
    ck_assert_int_eq(head_open(&model, k, s.team, together, &s.head, &err), 0);
    ck_assert_uint_gt(head_bytes(s.head), together * VOCAB * sizeof(float));
    memset(chosen, 0, sizeof chosen);
    memset(exact, 0, sizeof exact);
    memset(s.use, HEAD_CHOOSE | HEAD_EXACT, sizeof s.use);
    for (s.first = 0; s.first < SLOTS; s.first += s.n) {
        s.n = MIN(together, SLOTS - s.first);
        team_run(s.team, run_step, &s);
    }
    head_close(&s.head);
    team_close(&s.team);
}

static const struct kernels *best(void)
{
    return kernels_pick(kernels_cpu_detect());
}

/* Ordinary states; one with a few large values; one that points at a row; one of zeros. */
static void make_states(void)
{
    float row[DIM];
    for (uint32_t s = 0; s < SLOTS; s++)
        for (uint32_t i = 0; i < DIM; i++)
            x[s][i] = normal();
    x[1][17] = 40;
    x[1][200] = -60;
    table_row(&model.head, 1234, row);
    for (uint32_t i = 0; i < DIM; i++)
        x[2][i] += 3 * row[i];
    memset(x[3], 0, sizeof x[3]);
}

static size_t argmax(const float *logit)
{
    size_t at = 0;
    for (size_t i = 1; i < VOCAB; i++)
        if (logit[i] > logit[at])
            at = i;
    return at;
}

START_TEST(the_best_is_the_best)
{
    size_t settled = 0, of = 0;
    make_model(TABLE_Q8);
    for (int round = 0; round < 60; round++) {
        make_states();
        run_all(best(), 2, SLOTS);
        for (uint32_t s = 0; s < SLOTS; s++) {
            size_t at = argmax(exact[s]);
            ck_assert_uint_eq(argmax(chosen[s]), at);
            double largest = (double)exact[s][at], off = 0, spread = 0;
            for (size_t i = 0; i < VOCAB; i++) {
                double difference = (double)chosen[s][i] - (double)exact[s][i];
                off += difference * difference;
                spread += (double)exact[s][i] * (double)exact[s][i];
                settled += difference == 0;
                of++;
            }
            /* Off by about a twentieth of a typical logit, and by nothing near the best. */
            ck_assert_double_le(sqrt(off), 0.2 * sqrt(spread));
            double near = 0.1 * sqrt(spread / VOCAB);
            for (size_t i = 0; i < VOCAB; i++)
                if ((double)exact[s][i] > largest - near)
                    ck_assert_float_eq(chosen[s][i], exact[s][i]);
        }
    }
    printf("%.1f %% of the logits were settled exactly\n", 100.0 * (double)settled / (double)of);
    ck_assert_uint_lt(settled, of / 4);
    free_model();
}
END_TEST

START_TEST(nobody_else_shows)
{
    static float chosen_first[SLOTS][VOCAB], exact_first[SLOTS][VOCAB];
    make_model(TABLE_Q8);
    make_states();
    run_all(best(), 1, 1);
    memcpy(chosen_first, chosen, sizeof chosen);
    memcpy(exact_first, exact, sizeof exact);
    for (size_t i = 0; kernels_at(i); i++) {
        const struct kernels *k = kernels_at(i);
        if (k->cpu & ~kernels_cpu_detect())
            continue;
        for (unsigned threads = 1; threads <= 3; threads++) {
            run_all(k, threads, threads == 2 ? 4 : SLOTS);
            ck_assert_mem_eq(chosen, chosen_first, sizeof chosen);
            ck_assert_mem_eq(exact, exact_first, sizeof exact);
        }
    }
    free_model();
}
END_TEST

/* Slots that want different things, in one step: each gets what it asked for. */
START_TEST(uses_are_mixed)
{
    static float chosen_all[SLOTS][VOCAB], exact_all[SLOTS][VOCAB];
    make_model(TABLE_Q8);
    make_states();
    run_all(best(), 2, SLOTS);
    memcpy(chosen_all, chosen, sizeof chosen);
    memcpy(exact_all, exact, sizeof exact);
    struct step s = {.n = SLOTS};
    struct trit_error err;
    ck_assert_int_eq(team_open(&s.team, 2, false, &err), 0);
    ck_assert_int_eq(head_open(&model, best(), s.team, SLOTS, &s.head, &err), 0);
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < SLOTS; i++)
            s.use[i] = (uint8_t)(1 + unit_random(&seed) % 3);
        team_run(s.team, run_step, &s);
        for (uint32_t i = 0; i < SLOTS; i++) {
            if (s.use[i] & HEAD_CHOOSE)
                ck_assert_mem_eq(chosen[i], chosen_all[i], sizeof chosen[i]);
            if (s.use[i] & HEAD_EXACT)
                ck_assert_mem_eq(exact[i], exact_all[i], sizeof exact[i]);
        }
    }
    head_close(&s.head);
    team_close(&s.team);
    free_model();
}
END_TEST

START_TEST(what_is_no_number_stays_so)
{
    make_model(TABLE_Q8);
    make_states();
    x[4][11] = NAN;
    x[5][11] = INFINITY;
    run_all(best(), 2, SLOTS);
    for (uint32_t s = 4; s <= 5; s++)
        for (size_t i = 0; i < VOCAB; i++)
            ck_assert(!isfinite(chosen[s][i]));
    ck_assert(isfinite(chosen[6][0]));
    free_model();
}
END_TEST

START_TEST(f16_is_exact_anyway)
{
    make_model(TABLE_F16);
    make_states();
    run_all(best(), 2, SLOTS);
    ck_assert_mem_eq(chosen, exact, sizeof exact);
    free_model();
}
END_TEST

/* Tiles of random weights with groups; a row in four is as another one before it. */
static void make_tiles(enum layout_id layout, uint64_t from)
{
    enum { COLS = 256 };
    static int8_t trits[LAYOUT_TILE][COLS];
    struct linear *w = &model.head_tiles;
    layout_shape(w, layout, VOCAB, COLS, 128);
    uint8_t *codes = mem_zalloc_line(layout_code_bytes(w), 1);
    uint16_t *scales = mem_zalloc_line(layout_scale_bytes(w), 1);
    ck_assert(codes && scales);
    for (size_t t = 0; t < layout_tiles(w); t++) {
        for (size_t r = 0; r < LAYOUT_TILE; r++)
            for (size_t i = 0; i < COLS; i++)
                trits[r][i] = r % 4 == 3 ? trits[r - 1][i] : (int8_t)(unit_random(&from) % 3) - 1;
        layout_pack_tile(w, trits[0], codes + t * w->tile_bytes);
        for (size_t i = 0; i < w->n_groups * LAYOUT_TILE; i++)
            scales[t * w->n_groups * LAYOUT_TILE + i] =
                i % 4 == 3 ? scales[t * w->n_groups * LAYOUT_TILE + i - 1]
                           : quant_f32_to_f16(0.1f + 0.01f * (float)(unit_random(&from) % 16));
    }
    w->codes = codes;
    w->group_scales = scales;
    model.head = (struct table){0};
    model.hp.dim = COLS;
    model.hp.vocab = VOCAB;
}

static void free_tiles(void)
{
    mem_free((void *)(uintptr_t)model.head_tiles.codes);
    mem_free((void *)(uintptr_t)model.head_tiles.group_scales);
    model.head_tiles = (struct linear){0};
}

/* As exact as two planes of the inputs are, and the same bits whoever computes what with whom. */
START_TEST(ternary_is_exact_anyway)
{
    static float first[SLOTS][VOCAB];
    uint64_t from = unit_random(&seed);
    for (uint32_t s = 0; s < SLOTS; s++)
        for (uint32_t i = 0; i < DIM; i++)
            x[s][i] = normal();
    x[1][17] = 40;
    memset(x[3], 0, sizeof x[3]);
    for (size_t i = 0; kernels_at(i); i++) {
        const struct kernels *k = kernels_at(i);
        if (k->cpu & ~kernels_cpu_detect())
            continue;
        make_tiles(k->layout, from);
        for (unsigned threads = 1; threads <= 3; threads++) {
            run_all(k, threads, threads == 2 ? 4 : threads == 3 ? 1 : SLOTS);
            ck_assert_mem_eq(chosen, exact, sizeof exact);
            if (i == 0 && threads == 1)
                memcpy(first, exact, sizeof first);
            ck_assert_mem_eq(exact, first, sizeof exact);
        }
        for (uint32_t row = 0; row < VOCAB; row += 7) {
            float weight[DIM];
            layout_row(&model.head_tiles, row, weight);
            for (uint32_t s = 0; s < SLOTS; s++) {
                double want = 0, size = 0;
                for (uint32_t c = 0; c < model.hp.dim; c++) {
                    want += (double)weight[c] * (double)x[s][c];
                    size += fabs((double)weight[c] * (double)x[s][c]);
                }
                ck_assert_double_le(fabs((double)exact[s][row] - want), 1e-4 * size);
            }
        }
        free_tiles();
    }
}
END_TEST

int main(void)
{
    seed = unit_seed();
    Suite *s = suite_create("head");
    TCase *c = tcase_create("head");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, the_best_is_the_best);
    tcase_add_test(c, nobody_else_shows);
    tcase_add_test(c, uses_are_mixed);
    tcase_add_test(c, what_is_no_number_stays_so);
    tcase_add_test(c, f16_is_exact_anyway);
    tcase_add_test(c, ternary_is_exact_anyway);
    suite_add_tcase(s, c);
    return unit_run(s);
}
