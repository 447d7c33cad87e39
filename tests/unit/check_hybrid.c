/* SPDX-License-Identifier: MIT */
/*
 * check_hybrid.c - models with gated delta rules: what of a file is refused, and the slots of their
 * states, which leases of the KV pool have.
 *
 * That answers are right and the same bits in every configuration is held by golden and check_same.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "model/model.h"
#include "engine/kv.h"
#include "engine/states.h"
#include "unit/unit.h"

/* ------------------------------------------------------------------ files */

static char path[] = "/tmp/check_hybrid.XXXXXX";

enum { TYPE = 4, ARRAY = 16 }; /* bytes between a key and its value, its first value */

/* The made model with `len` bytes at `skip` behind the first `key` in it replaced. */
static void copy_with(const char *file, const char *key, size_t skip, const void *to, size_t len)
{
    static char bytes[1 << 20];
    char source[4096];
    const char *srcdir = getenv("srcdir");
    snprintf(source, sizeof source, "%s/tests/golden/models/%s.q2_0.gguf", srcdir ? srcdir : ".",
             file);
    FILE *f = fopen(source, "re");
    ck_assert_msg(f != NULL, "%s", source);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    char *at = memmem(bytes, n, key, strlen(key));
    ck_assert_msg(at != NULL, "%s", key);
    memcpy(at + skip, to, len);
    f = fopen(path, "we");
    ck_assert(f && fwrite(bytes, 1, n, f) == n);
    fclose(f);
}

static void refused(const char *expected)
{
    struct model_options o = {.layout = LAYOUT_T2, .tables = TABLE_Q8};
    struct trit_error err = {0};
    struct model *m;
    ck_assert_int_lt(model_load(path, &o, &m, &err), 0);
    ck_assert_msg(strstr(err.text, expected) != NULL, "\"%s\" has no \"%s\"", err.text, expected);
}

/* Values of keys: behind the key stand four bytes of its type. */
START_TEST(broken_values)
{
    static const struct {
        const char *key;
        uint32_t value;
        const char *error;
    } cases[] = {
        {"qwen35.full_attention_interval", 1, "qwen35.full_attention_interval is 1, expected 2 to"},
        {"qwen35.full_attention_interval", 6, "qwen35.block_count is 5, expected at least"},
        {"qwen35.full_attention_interval", 3, "tensor blk.2.attn_q.weight is missing"},
        {"qwen35.ssm.conv_kernel", 1, "qwen35.ssm.conv_kernel is 1, expected 2 to 8"},
        {"qwen35.ssm.conv_kernel", 9, "qwen35.ssm.conv_kernel is 9, expected 2 to 8"},
        {"qwen35.ssm.conv_kernel", 3,
         "tensor blk.0.ssm_conv1d.weight is [4, 640], expected [3, 640]"},
        {"qwen35.ssm.state_size", 72, "qwen35.ssm.state_size is 72, expected a multiple of 16"},
        {"qwen35.ssm.state_size", 32, "qwen35.ssm.inner_size is 384, expected 192, 6 heads of 32"},
        {"qwen35.ssm.state_size", 1 << 30, "qwen35.ssm.state_size is 1073741824, expected 16 to"},
        {"qwen35.ssm.group_count", 0, "qwen35.ssm.group_count is 0, expected 1 to"},
        {"qwen35.ssm.group_count", 4,
         "time_step_rank 6 is not a multiple of qwen35.ssm.group_count 4"},
        {"qwen35.ssm.group_count", 3,
         "tensor blk.0.attn_qkv.weight is [128, 640], expected [128, 768]"},
        {"qwen35.ssm.inner_size", 512, "qwen35.ssm.inner_size is 512, expected 384, 6 heads of 64"},
    };
    copy_with("hybrid", cases[_i].key, strlen(cases[_i].key) + TYPE, &cases[_i].value,
              sizeof cases[_i].value);
    refused(cases[_i].error);
}
END_TEST
enum { BROKEN_VALUES = 13 };

START_TEST(broken_names)
{
    static const struct {
        const char *from, *to, *error;
    } cases[] = {
        {"qwen35.ssm.group_count", "qwen35.ssm.group_kount",
         "key qwen35.ssm.group_count is missing"},
        {"blk.0.ssm_a", "blk.0.ssm_b", "tensor blk.0.ssm_a is missing"},
        {"blk.0.ssm_dt.bias", "blk.0.ssm_dt.bios", "tensor blk.0.ssm_dt.bias is missing"},
        {"blk.4.ssm_alpha.weight", "blk.4.ssm_alfa_.weight",
         "tensor blk.4.ssm_alpha.weight is missing"},
        {"blk.1.attn_gate.weight", "blk.1.attn_gaat.weight",
         "tensor blk.1.attn_gate.weight is missing"},
        {"blk.3.attn_q_norm.weight", "blk.3.attn_q_morn.weight",
         "tensor blk.3.attn_q_norm.weight is missing"},
        {"blk.2.post_attention_norm.weight", "blk.2.post_attention_morn.weight",
         "tensor blk.2.post_attention_norm.weight is missing"},
        /* What would change answers, and is not done. */
        {"qwen35.rope.dimension_count", "qwen35.nextn_predict_layers",
         "qwen35.nextn_predict_layers is 16, supported is 0"},
    };
    ck_assert_uint_eq(strlen(cases[_i].from), strlen(cases[_i].to));
    copy_with("hybrid", cases[_i].from, 0, cases[_i].to, strlen(cases[_i].to));
    refused(cases[_i].error);
}
END_TEST
enum { BROKEN_NAMES = 8 };

/* What a rotated model says of its rotation. */
START_TEST(broken_rotations)
{
    static const struct {
        const char *from, *to; /* in the place of `from`; NULL: the value behind it */
        size_t skip;
        int32_t value;
        const char *error;
    } cases[] = {
        {"hadamard.version", NULL, TYPE, 2, "prism.hadamard.version is 2, supported is 1"},
        {"hadamard.block_size", NULL, TYPE, 96, "block_size is 96, expected a power of two"},
        {"hadamard.block_size", NULL, TYPE, 1, "block_size is 1, expected a power of two"},
        {"hadamard.block_size", NULL, TYPE, 256, "sign_widths has 128, expected a multiple of 256"},
        {"hadamard.sign_widths", NULL, ARRAY, 1280,
         "sign_widths has 1280, expected a multiple of 128"},
        {"hadamard.sign_widths", NULL, ARRAY, -128, "sign_widths has -128, expected"},
        {"hadamard.sign_widths", NULL, ARRAY, 256, "prism.hadamard.sign_"},
        {"hadamard.sign_values", NULL, ARRAY, 2, "sign_values has 2, expected 1 and -1"},
        {"hadamard.sign_values", "hadamard.sign_valuez", 0, 0,
         "prism.hadamard.sign_values are missing"},
        {"hadamard.transform", "hadamard.transfork", 0, 0, "prism.hadamard.transform is missing"},
        {"explicit", "identity", 0, 0, "sign_mode is \"identity\", supported is explicit"},
        {"input-last-dimension", "input-last-dimensiom", 0, 0, "axis is \"input-last-dimensiom\""},
        /* The names come before the tensors. */
        {"blk.0.ffn_gate.weight", "blk.0.ffn_gaat.weight", 0, 0,
         "blk.0: of linears that read the same"},
        {"blk.0.ffn_down.weight", "blk.0.ffn_dawn.weight", 0, 0, "names, of which"},
        {"output.weight", "outpat.weight", 0, 0, "names, of which"},
    };
    if (cases[_i].to)
        copy_with("hybrid-rotated", cases[_i].from, 0, cases[_i].to, strlen(cases[_i].to));
    else
        copy_with("hybrid-rotated", cases[_i].from, strlen(cases[_i].from) + cases[_i].skip,
                  &cases[_i].value, sizeof cases[_i].value);
    refused(cases[_i].error);
}
END_TEST
enum { BROKEN_ROTATIONS = 15 };

/* What stands where in the graph: every fourth layer attends, and cuts of the context are for it
 * alone. */
START_TEST(layers)
{
    struct model_options o = {.layout = LAYOUT_T2, .tables = TABLE_TERNARY};
    struct trit_error err = {0};
    struct model *m;
    copy_with("hybrid", "GGUF", 0, "GGUF", 4);
    ck_assert_msg(model_load(path, &o, &m, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(m->hp.delta.n_layers, 4);
    ck_assert_uint_eq(hparams_kv_layers(&m->hp), 1);
    for (uint32_t i = 0; i < 5; i++) {
        const struct layer *l = &m->layers[i];
        ck_assert_int_eq(l->attends, i == 3);
        ck_assert_uint_eq(l->cache, i < 3 ? i : i == 3 ? 0 : 3);
        ck_assert_int_eq(l->q.codes != NULL, l->attends);
        ck_assert_int_eq(l->delta.qkv.codes != NULL, !l->attends);
        ck_assert_ptr_nonnull(l->ffn_norm);
    }
    /* K and V of one layer, two heads of 64. */
    ck_assert_uint_eq(kv_page_bytes(m, KV_F16), (size_t)2 * KV_PAGE_TOKENS * 2 * 64 * 2);
    /* Six matrices of 64 x 64, three rows of 640 channels, in four layers. */
    ck_assert_uint_eq(states_slot_bytes(m), (size_t)4 * (6 * 64 * 64 + 3 * 640) * sizeof(float));
    model_close(&m);
}
END_TEST

/* ------------------------------------------------------------------ slots */

enum { SLOTS = 3, PAGES = 16 };

static const struct model small = {
    .hp = {
        .n_layers = 4,
        .n_kv_heads = 1,
        .head_dim = 16,
        .delta = {
            .interval = 4, .n_layers = 3, .k_heads = 1, .v_heads = 2, .head_dim = 16, .conv = 4}}};
static struct kv kv;
static uint32_t pages[SLOTS + 1][PAGES];
static struct kv_lease leases[SLOTS + 1];

static void open_pool(void)
{
    struct trit_error err;
    ck_assert_int_eq(
        kv_open(&small, KV_F32, PAGES * kv_page_bytes(&small, KV_F32), false, &kv, &err), 0);
    ck_assert_int_eq(kv_open_states(&kv, &small, SLOTS, &err), 0);
    for (int i = 0; i <= SLOTS; i++)
        leases[i] = (struct kv_lease){.page = pages[i], .cap = 4};
}

static void close_pool(void)
{
    kv_close(&kv);
}

static bool begin(int i, uint32_t n, const struct kv_lease *twin)
{
    static const int32_t text[PAGES * KV_PAGE_TOKENS];
    uint32_t done;
    bool begun = kv_begin(&kv, &leases[i], 0, text, n, twin, &done);
    if (begun)
        ck_assert_uint_eq(done, twin ? n : 0);
    return begun;
}

/* An open lease has a slot that nobody else has; one more waits until somebody gives his back. */
START_TEST(slots_of_leases)
{
    for (int i = 0; i < SLOTS; i++)
        ck_assert(begin(i, 0, NULL));
    ck_assert(leases[0].state != leases[1].state && leases[1].state != leases[2].state &&
              leases[0].state != leases[2].state);
    ck_assert_uint_eq(states_free(kv.states), 0);
    ck_assert(!begin(SLOTS, 0, NULL));
    ck_assert(!leases[SLOTS].open);
    kv_release(&kv, &leases[1]);
    ck_assert(begin(SLOTS, 0, NULL));
    ck_assert_uint_eq(leases[SLOTS].state, leases[1].state);
    kv_discard(&kv, &leases[0]);
    kv_release(&kv, &leases[0]); /* not open any more: nothing */
    kv_release(&kv, &leases[2]);
    kv_release(&kv, &leases[SLOTS]);
    ck_assert_uint_eq(states_free(kv.states), SLOTS);
    kv_check(&kv);
}
END_TEST

/* Without pages there is no lease, and the slot is nobody's. */
START_TEST(slots_without_pages)
{
    leases[0].cap = PAGES;
    ck_assert(begin(0, 0, NULL));
    ck_assert(!begin(1, 0, NULL));
    ck_assert_uint_eq(states_free(kv.states), SLOTS - 1);
    kv_release(&kv, &leases[0]);
    ck_assert(begin(1, 0, NULL));
    kv_release(&kv, &leases[1]);
    ck_assert_uint_eq(states_free(kv.states), SLOTS);
}
END_TEST

/* What a twin begins with is what the first had computed, and his own from then on. */
START_TEST(slots_of_twins)
{
    ck_assert(begin(0, 0, NULL));
    kv_grow(&kv, &leases[0], 40);
    for (uint32_t layer = 0; layer < 3; layer++) {
        states_past(kv.states, leases[0].state, layer)[7] = (float)(1 + layer);
        states_matrix(kv.states, leases[0].state, layer, 1)[255] = (float)(10 + layer);
    }
    ck_assert(begin(1, 40, &leases[0]));
    ck_assert_uint_ne(leases[1].state, leases[0].state);
    for (uint32_t layer = 0; layer < 3; layer++) {
        float *past = states_past(kv.states, leases[1].state, layer);
        float *matrix = states_matrix(kv.states, leases[1].state, layer, 1);
        ck_assert(past[7] == (float)(1 + layer) && matrix[255] == (float)(10 + layer));
        ck_assert_ptr_eq(matrix, past + 3 * 64 + 256);
        matrix[255] = 0;
        ck_assert(states_matrix(kv.states, leases[0].state, layer, 1)[255] == (float)(10 + layer));
    }
    kv_release(&kv, &leases[0]);
    kv_release(&kv, &leases[1]);
}
END_TEST

int main(void)
{
    log_open(LOG_ERROR, 0);
    int fd = mkstemp(path);
    if (fd < 0)
        return 99;
    close(fd);
    Suite *s = suite_create("hybrid");
    TCase *files = tcase_create("files");
    tcase_add_loop_test(files, broken_values, 0, BROKEN_VALUES);
    tcase_add_loop_test(files, broken_names, 0, BROKEN_NAMES);
    tcase_add_loop_test(files, broken_rotations, 0, BROKEN_ROTATIONS);
    tcase_add_test(files, layers);
    tcase_set_timeout(files, 60);
    suite_add_tcase(s, files);
    TCase *slots = tcase_create("slots");
    tcase_add_checked_fixture(slots, open_pool, close_pool);
    tcase_add_test(slots, slots_of_leases);
    tcase_add_test(slots, slots_without_pages);
    tcase_add_test(slots, slots_of_twins);
    suite_add_tcase(s, slots);
    int rc = unit_run(s);
    unlink(path);
    return rc;
}
