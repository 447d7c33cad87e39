/* SPDX-License-Identifier: MIT */
/*
 * check_layout.c - shapes, single trits found where layout.h says they lie, and the way back.
 */
#include "config.h"

#include <check.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/layout.h"
#include "unit.h"

static uint64_t seed;

static const enum layout_id ids[] = {LAYOUT_T2, LAYOUT_T5};

START_TEST(names_and_blocks)
{
    ck_assert_str_eq(layout_name(LAYOUT_T2), "t2");
    ck_assert_str_eq(layout_name(LAYOUT_T5), "t5");
    ck_assert_uint_eq(layout_block_cols(LAYOUT_T2), 16);
    ck_assert_uint_eq(layout_block_bytes(LAYOUT_T2), 64);
    ck_assert_uint_eq(layout_block_cols(LAYOUT_T5), 12);
    ck_assert_uint_eq(layout_block_bytes(LAYOUT_T5), 40);
}
END_TEST

START_TEST(shapes)
{
    static const struct {
        enum layout_id id;
        uint32_t rows, cols, group, tiles, acts;
        size_t tile_bytes;
    } want[] = {
        {LAYOUT_T2, 2560, 6912, 6912, 160, 6912, 432 * 64},
        {LAYOUT_T5, 2560, 6912, 6912, 160, 6912, 576 * 40},
        {LAYOUT_T2, 17, 5460, 5460, 2, 5472, 342 * 64},
        {LAYOUT_T5, 16, 2560, 2560, 1, 2568, 214 * 40},
        {LAYOUT_T2, 1, 256, 128, 1, 256, 16 * 64},
        {LAYOUT_T5, 33, 256, 128, 3, 264, 22 * 40},
        {LAYOUT_T5, 16, 192, 64, 1, 192, 16 * 40},
        {LAYOUT_T5, 16, 768, 256, 1, 768, 64 * 40},
        {LAYOUT_T2, 1, 1, 1, 1, 16, 64},
        {LAYOUT_T5, 1, 3, 3, 1, 12, 40},
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct linear w;
        memset(&w, 0xff, sizeof w);
        layout_shape(&w, want[i].id, want[i].rows, want[i].cols, want[i].group);
        uint32_t n_groups = want[i].cols / want[i].group;
        ck_assert_uint_eq(w.layout, want[i].id);
        ck_assert_uint_eq(w.rows, want[i].rows);
        ck_assert_uint_eq(w.cols, want[i].cols);
        ck_assert_uint_eq(w.group, want[i].group);
        ck_assert_uint_eq(w.n_groups, n_groups);
        ck_assert_uint_eq(w.tile_bytes, want[i].tile_bytes);
        ck_assert_ptr_null(w.codes);
        ck_assert_ptr_null(w.scales);
        ck_assert_ptr_null(w.group_scales);
        ck_assert_uint_eq(layout_tiles(&w), want[i].tiles);
        ck_assert_uint_eq(layout_acts(&w), want[i].acts);
        ck_assert_uint_eq(layout_code_bytes(&w), want[i].tiles * want[i].tile_bytes + LAYOUT_SLACK);
        ck_assert_uint_eq(layout_scale_bytes(&w),
                          (size_t)want[i].tiles * n_groups * 16 * (n_groups == 1 ? 4 : 2));
    }
}
END_TEST

START_TEST(large_shapes_do_not_wrap)
{
    struct linear w;
    layout_shape(&w, LAYOUT_T2, UINT32_MAX, LAYOUT_COLS_MAX, LAYOUT_COLS_MAX);
    ck_assert_uint_eq(layout_tiles(&w), 1u << 28);
    ck_assert_uint_eq(w.tile_bytes, (size_t)1 << 24);
    ck_assert_uint_eq(layout_code_bytes(&w), ((size_t)1 << 52) + LAYOUT_SLACK);
    layout_shape(&w, LAYOUT_T5, UINT32_MAX, LAYOUT_COLS_MAX / 64 * 64, 64);
    ck_assert_uint_eq(layout_acts(&w), 4194240u);
    ck_assert_uint_eq(layout_scale_bytes(&w), ((size_t)1 << 33) * w.n_groups);
}
END_TEST

/* The code of (row, column) of a packed tile, read bit by bit as the header describes it. */
static unsigned code_at(const struct linear *w, const uint8_t *tile, unsigned row, size_t at)
{
    unsigned lane = 4 * row + at % 4, value = 0;
    if (w->layout == LAYOUT_T2)
        return tile[at / 16 * 64 + lane] >> 2 * (at % 16 / 4) & 3;
    const uint8_t *word = tile + at / 12 * 40 + lane / 8 * 5;
    for (unsigned bit = 5 * (lane % 8), i = 0; i < 5; i++, bit++)
        value |= (word[bit / 8] >> bit % 8 & 1u) << i;
    ck_assert_uint_lt(value, 27);
    for (unsigned t = at % 12 / 4; t > 0; t--)
        value /= 3;
    return value % 3;
}

static int8_t *random_trits(size_t n)
{
    int8_t *trits = mem_zalloc(n, 1);
    ck_assert_ptr_nonnull(trits);
    for (size_t i = 0; i < n; i++)
        trits[i] = (int8_t)((int)(unit_random(&seed) % 3) - 1);
    return trits;
}

/* Every code where it belongs, padding included; unpacking gives the trits back; nothing else is
 * written. */
static void pack_and_look(enum layout_id id, uint32_t cols, uint32_t group)
{
    struct linear w;
    layout_shape(&w, id, 16, cols, group);
    size_t n = (size_t)LAYOUT_TILE * cols;
    int8_t *trits = random_trits(n), *back = mem_zalloc(n + 1, 1);
    uint8_t *tile = mem_zalloc(w.tile_bytes + 16, 1);
    ck_assert(back && tile);
    memset(tile, 0xa5, w.tile_bytes + 16);
    back[n] = 77;
    layout_pack_tile(&w, trits, tile);
    for (size_t i = 0; i < 16; i++)
        ck_assert_uint_eq(tile[w.tile_bytes + i], 0xa5);
    for (unsigned row = 0; row < LAYOUT_TILE; row++)
        for (uint32_t col = 0; col < layout_acts(&w); col++) {
            int want = col < cols ? trits[row * (size_t)cols + col] : 0;
            ck_assert_int_eq((int)code_at(&w, tile, row, col) - 1, want);
        }
    layout_unpack_tile(&w, tile, back);
    ck_assert_mem_eq(back, trits, n);
    ck_assert_int_eq(back[n], 77);
    mem_free(trits);
    mem_free(back);
    mem_free(tile);
}

START_TEST(every_code_in_its_place)
{
    static const uint32_t large[] = {100, 128, 640, 2560, 5460};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        for (uint32_t cols = 1; cols <= 70; cols++)
            pack_and_look(ids[i], cols, cols);
        for (uint32_t group = 64; group <= 512; group += 64)
            pack_and_look(ids[i], group * 3, group);
        for (size_t k = 0; k < ARRAY_LEN(large); k++)
            pack_and_look(ids[i], large[k], large[k]);
        pack_and_look(ids[i], 2560, 128);
        pack_and_look(ids[i], 640, 64);
    }
}
END_TEST

/* Bytes worked out by hand, so that no common mistake can hide in two readers. */
START_TEST(bytes_by_hand)
{
    struct linear w;
    int8_t trits[16 * 16] = {0};
    uint8_t tile[64];

    /* All codes 1: two bits each. */
    layout_shape(&w, LAYOUT_T2, 16, 16, 16);
    trits[3 * 16 + 9] = 1; /* row 3, column 9 = 4 * 2 + 1: byte 13, bits 4 and 5 become 2 */
    trits[15 * 16 + 0] = -1;
    layout_pack_tile(&w, trits, tile);
    for (unsigned i = 0; i < 64; i++)
        ck_assert_uint_eq(tile[i], i == 13 ? 0x65 : i == 60 ? 0x54 : 0x55);

    /* Fields of 1 + 3 + 9 = 13: 40 bits of 01101, low end first. */
    int8_t few[16 * 12] = {0};
    static const uint8_t word[5] = {0xad, 0xb5, 0xd6, 0x5a, 0x6b};
    layout_shape(&w, LAYOUT_T5, 16, 12, 12);
    layout_pack_tile(&w, few, tile);
    for (unsigned i = 0; i < 40; i++)
        ck_assert_uint_eq(tile[i], word[i % 5]);
    /* Row 1, columns 0, 4, 8: lane 4, bits 20 to 24 of the first word; 26 is 11010. */
    few[12 + 0] = few[12 + 4] = few[12 + 8] = 1;
    layout_pack_tile(&w, few, tile);
    ck_assert_uint_eq(tile[2], (0xd6 & 0x0f) | (26 & 15) << 4);
    ck_assert_uint_eq(tile[3], (0x5a & 0xfe) | 26 >> 4);
    for (unsigned i = 0; i < 40; i++)
        if (i != 2 && i != 3)
            ck_assert_uint_eq(tile[i], word[i % 5]);
}
END_TEST

START_TEST(something_else_than_a_trit_asserts)
{
    struct linear w;
    int8_t trits[16 * 12] = {0};
    uint8_t tile[64];
    layout_shape(&w, LAYOUT_T5, 16, 12, 12);
    trits[100] = 2;
    layout_pack_tile(&w, trits, tile);
}
END_TEST

START_TEST(a_group_that_does_not_divide_asserts)
{
    struct linear w;
    layout_shape(&w, LAYOUT_T2, 16, 100, 64);
}
END_TEST

START_TEST(groups_of_other_lengths_assert)
{
    struct linear w;
    layout_shape(&w, LAYOUT_T2, 16, 96, 48);
}
END_TEST

START_TEST(too_many_columns_assert)
{
    struct linear w;
    layout_shape(&w, LAYOUT_T2, 16, LAYOUT_COLS_MAX + 1, LAYOUT_COLS_MAX + 1);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    Suite *s = suite_create("layout");
    TCase *c = tcase_create("layout");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, names_and_blocks);
    tcase_add_test(c, shapes);
    tcase_add_test(c, large_shapes_do_not_wrap);
    tcase_add_test(c, every_code_in_its_place);
    tcase_add_test(c, bytes_by_hand);
    unit_asserts(c, something_else_than_a_trit_asserts);
    unit_asserts(c, a_group_that_does_not_divide_asserts);
    unit_asserts(c, groups_of_other_lengths_assert);
    unit_asserts(c, too_many_columns_assert);
    suite_add_tcase(s, c);
    return unit_run(s);
}
