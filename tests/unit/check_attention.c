/* SPDX-License-Identifier: MIT */
/*
 * check_attention.c - how attention is dealt: whoever computes what, a row gets the bits that
 * scalar.c gives it alone, range after range.  The kernels themselves are kcheck's business.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/attention.h"
#include "unit/unit.h"

enum {
    HEADS = 6,
    KV_HEADS = 3,
    HEAD_DIM = 24,
    LAYERS = 2,
    N_CTX = 4 * ATTEND_RANGE,
    MAX_ROWS = 96,
    STREAMS = 4,
};

static struct model model;
static struct kv kv;
static struct kv_lease leases[STREAMS];
static float *q, *out;
static uint64_t state;

static float random_float(void)
{
    return (float)(unit_random(&state) >> 40) * 0x1p-23f - 1;
}

static const struct kernels *best(void)
{
    return kernels_pick(kernels_cpu_detect());
}

static void open_all(enum kv_type type)
{
    struct trit_error err;
    model.hp = (struct hparams){
        .n_layers = LAYERS, .n_heads = HEADS, .n_kv_heads = KV_HEADS, .head_dim = HEAD_DIM};
    uint32_t pages = kv_pages_for(N_CTX);
    ck_assert_int_eq(
        kv_open(&model, type, STREAMS * pages * kv_page_bytes(&model, type), false, &kv, &err), 0);
    for (int i = 0; i < STREAMS; i++) {
        leases[i] = (struct kv_lease){.page = mem_zalloc(pages, sizeof(uint32_t)), .cap = pages};
        uint32_t done;
        ck_assert(kv_begin(&kv, &leases[i], 0, NULL, 0, NULL, &done));
    }
    /* One page of each in turn, so that those of a stream are scattered. */
    for (uint32_t page = 1; page <= pages; page++)
        for (int i = 0; i < STREAMS; i++)
            kv_grow(&kv, &leases[i], (uint64_t)page * KV_PAGE_TOKENS);
    float key[HEAD_DIM], value[HEAD_DIM];
    for (int i = 0; i < STREAMS; i++)
        for (uint32_t at = 0; at < N_CTX * LAYERS * KV_HEADS; at++) {
            for (int d = 0; d < HEAD_DIM; d++) {
                key[d] = 3 * random_float();
                value[d] = random_float();
            }
            kv_store(&kv, best(), &leases[i], at / KV_HEADS % LAYERS, at % KV_HEADS,
                     at / KV_HEADS / LAYERS, key, value);
        }
    q = mem_zalloc_line(MAX_ROWS * HEADS * HEAD_DIM, sizeof *q);
    out = mem_zalloc_line(MAX_ROWS * HEADS * HEAD_DIM, sizeof *out);
    for (int i = 0; i < MAX_ROWS * HEADS * HEAD_DIM; i++)
        q[i] = random_float();
}

static void close_all(void)
{
    for (int i = 0; i < STREAMS; i++) {
        kv_release(&kv, &leases[i]);
        mem_free(leases[i].page);
    }
    kv_close(&kv);
    mem_free(q);
    mem_free(out);
}

/* The specification, for one row and one KV head. */
static void want_head(const struct forward_row *row, uint32_t layer, uint32_t head, const float *x,
                      float *want)
{
    uint32_t window = hparams_is_local(&model.hp, layer) ? model.hp.window : 0;
    uint32_t begin = window && row->pos >= window ? row->pos + 1 - window : 0;
    enum { N_Q = HEADS / KV_HEADS, WIDTH = (HEAD_DIM + 15) / 16 * 16 };
    static float mix[2][N_Q * WIDTH], max[2][N_Q], sum[2][N_Q], scratch[1 << 16];
    const struct kernels *k = kernels_pick(0);
    struct attend_part all = {mix[0], max[0], sum[0]}, part = {mix[1], max[1], sum[1]};
    struct attend_tile t = {.q = x,
                            .n_rows = 1,
                            .n_q = N_Q,
                            .head_dim = HEAD_DIM,
                            .window = window,
                            .scale = 1.0f / sqrtf((float)HEAD_DIM)};
    ck_assert_uint_le(attend_scratch(N_Q, HEAD_DIM), ARRAY_LEN(scratch));
    begin = begin / ATTEND_RANGE * ATTEND_RANGE;
    for (uint32_t first = begin; first <= row->pos; first += ATTEND_RANGE) {
        struct kv_span span = kv_span(&kv, row->lease, layer, head);
        span.pages += first / KV_PAGE_TOKENS;
        k->attend(first > begin ? &part : &all, &t, &span, row->pos + 1 - first, scratch);
        if (first > begin)
            k->attend_merge(&all, &part, N_Q, HEAD_DIM);
    }
    k->attend_finish(want, &all, N_Q, HEAD_DIM);
}

struct run {
    struct attention *a;
    struct team *team;
    uint32_t layer, n;
};

static void run_step(void *ctx, unsigned worker)
{
    struct run *r = ctx;
    attention_run(r->a, r->layer, q, out, worker);
    for (size_t i; (i = team_take(r->team, 1)) < r->n;)
        attention_join(r->a, r->layer, (uint32_t)i, out);
}

static void check_rows(const struct forward_row *rows, uint32_t n, unsigned threads)
{
    enum { N_Q = HEADS / KV_HEADS };
    struct trit_error err;
    struct run r = {.n = n};
    ck_assert_int_eq(team_open(&r.team, threads, false, &err), 0);
    ck_assert_int_eq(attention_open(&model, best(), r.team, &kv, MAX_ROWS, N_CTX, &r.a, &err), 0);
    ck_assert_uint_gt(attention_bytes(r.a), 0);
    for (r.layer = 0; r.layer < LAYERS; r.layer++) {
        memset(out, 0xff, (size_t)n * HEADS * HEAD_DIM * sizeof *out);
        attention_plan(r.a, rows, n);
        team_run(r.team, run_step, &r);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t h = 0; h < KV_HEADS; h++) {
                size_t at = ((size_t)i * HEADS + h * N_Q) * HEAD_DIM;
                float want[N_Q * HEAD_DIM];
                want_head(&rows[i], r.layer, h, q + at, want);
                ck_assert_msg(memcmp(want, out + at, sizeof want) == 0,
                              "row %u of %u at %u, layer %u, head %u, %u threads: found %a, "
                              "expected %a",
                              i, n, rows[i].pos, r.layer, h, threads, (double)out[at],
                              (double)want[0]);
            }
    }
    attention_close(&r.a);
    team_close(&r.team);
}

static void check_threads(const struct forward_row *rows, uint32_t n)
{
    static const unsigned threads[] = {1, 2, 7};
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        check_rows(rows, n, threads[i]);
}

static const enum kv_type types[] = {KV_F16, KV_F32, KV_Q8};

/* One row: its ranges are dealt, to more workers than there are heads. */
START_TEST(one_row)
{
    static const uint32_t pos[] = {0, ATTEND_RANGE - 1, ATTEND_RANGE, N_CTX - 1};
    open_all(types[_i]);
    for (size_t i = 0; i < ARRAY_LEN(pos); i++)
        check_threads(&(struct forward_row){.pos = pos[i], .lease = &leases[1]}, 1);
    close_all();
}
END_TEST

/* A chunk of a prompt: tiles, and a border of ranges inside. */
START_TEST(a_chunk_over_a_border)
{
    struct forward_row rows[MAX_ROWS];
    open_all(types[_i]);
    for (uint32_t i = 0; i < MAX_ROWS; i++)
        rows[i] = (struct forward_row){.pos = 2 * ATTEND_RANGE - 37 + i, .lease = &leases[2]};
    check_threads(rows, MAX_ROWS);
    check_threads(rows, 38);
    check_threads(rows, 7);
    close_all();
}
END_TEST

/* One long context among short ones, rows of two streams with following positions, and a chunk. */
START_TEST(a_mixed_batch)
{
    struct forward_row rows[12];
    open_all(types[_i]);
    for (uint32_t i = 0; i < 4; i++)
        rows[i] = (struct forward_row){.pos = i == 1 ? N_CTX - 1 : 40 + i, .lease = &leases[i]};
    for (uint32_t i = 4; i < 12; i++)
        rows[i] = (struct forward_row){.pos = 600 + i, .lease = &leases[i < 8 ? 0 : 3]};
    check_threads(rows, 12);
    close_all();
}
END_TEST

/* Layer 0 has a window and layer 1 has none: chunks over the borders of both, rows far apart. */
START_TEST(windows)
{
    static const uint32_t sizes[] = {1, 24, ATTEND_RANGE - 3, ATTEND_RANGE, 2 * ATTEND_RANGE + 5};
    struct forward_row rows[MAX_ROWS];
    open_all(types[_i]);
    model.hp.window_period = 2;
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        model.hp.window = sizes[k];
        for (uint32_t i = 0; i < MAX_ROWS; i++)
            rows[i] = (struct forward_row){.pos = 2 * ATTEND_RANGE - 37 + i, .lease = &leases[2]};
        check_threads(rows, MAX_ROWS);
        for (uint32_t i = 0; i < MAX_ROWS; i++)
            rows[i].pos = (2 * ATTEND_RANGE + sizes[k] - 40 + i) % N_CTX;
        check_threads(rows, MAX_ROWS);
        for (uint32_t i = 0; i < STREAMS; i++)
            rows[i] = (struct forward_row){.pos = i == 1 ? N_CTX - 1 : sizes[k] - 1 + i,
                                           .lease = &leases[i]};
        check_threads(rows, STREAMS);
    }
    model.hp.window = 0;
    close_all();
}
END_TEST

START_TEST(a_page_of_bytes_is_small)
{
    model.hp = (struct hparams){.n_layers = 3, .n_heads = 8, .n_kv_heads = 2, .head_dim = 128};
    size_t numbers = (size_t)3 * 2 * 2 * KV_PAGE_TOKENS * 128;
    ck_assert_uint_eq(kv_page_bytes(&model, KV_F32), numbers * 4);
    ck_assert_uint_eq(kv_page_bytes(&model, KV_F16), numbers * 2);
    ck_assert_uint_eq(kv_page_bytes(&model, KV_Q8), numbers + numbers / 128 * sizeof(float));
}
END_TEST

int main(void)
{
    state = unit_seed();
    Suite *s = suite_create("attention");
    TCase *c = tcase_create("attention");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, one_row, 0, ARRAY_LEN(types));
    tcase_add_loop_test(c, a_chunk_over_a_border, 0, ARRAY_LEN(types));
    tcase_add_loop_test(c, a_mixed_batch, 0, ARRAY_LEN(types));
    tcase_add_loop_test(c, windows, 0, ARRAY_LEN(types));
    tcase_add_test(c, a_page_of_bytes_is_small);
    suite_add_tcase(s, c);
    return unit_run(s);
}
