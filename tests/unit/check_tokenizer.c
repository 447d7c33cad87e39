/* SPDX-License-Identifier: MIT */
/*
 * check_tokenizer.c - ids equal to Hugging Face's, special tokens and literal ranges, limits,
 * decoding whole and in a stream.  Merging: check_bpe.c; broken files: check_vocab.c.
 */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tok-file.h"
#include "unit.h"

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(unit_random(&seed) >> 33) % n;
}

/* Ids 0 to 255 are bytes; then the merges; then these. */
static int32_t begin, end, think, think_more, pad, x, xa;

static struct tok *small_with(int add_eos)
{
    struct tok_file *f = tok_file_init();
    f->add_eos = add_eos;
    tok_file_merge(f, "t", "h");
    tok_file_merge(f, "th", "e");
    tok_file_merge(f, "Ġ", "the");
    tok_file_merge(f, "e", "r");
    begin = tok_file_add(f, "<|begin|>", 3);
    end = tok_file_add(f, "<|end|>", 3);
    think = tok_file_add(f, "<think>", 4);
    think_more = tok_file_add(f, "<think>hard", 4);
    x = tok_file_add(f, "<x>", 4);
    tok_file_add(f, "zz", 4);
    xa = tok_file_add(f, "<x>a", 4);
    pad = tok_file_add(f, "[PAD]", 5);
    f->bos = begin;
    f->eos = end;
    struct tok *t = tok_file_open(f);
    free(f);
    return t;
}

static struct tok *small(void)
{
    return small_with(ABSENT);
}

/* A character of some script, white space, or digit; now and then a NUL. */
static void add_character(struct buf *b)
{
    static const uint32_t first[] = {0x20,   0x0,     0x61,    0x30,   0xc0,    0x300,
                                     0x400,  0x5d0,   0x900,   0x2000, 0x3041,  0x4e00,
                                     0xac00, 0x1f600, 0x20000, 0xe000, 0x10fff0};
    static const uint32_t count[] = {95,   0x30, 26,     10,     0x100, 0x70,   0x100, 27,  0x80,
                                     0x70, 0x56, 0x4000, 0x2000, 0x50,  0x5000, 0x100, 0x10};
    char s[4];
    uint32_t k = below(ARRAY_LEN(first));
    buf_add(b, s, utf8_encode(s, first[k] + below(count[k])));
}

START_TEST(vectors)
{
    char path[512];
    const char *srcdir = getenv("srcdir");
    struct trit_error err = {0};
    struct gguf *g = NULL;
    struct tok *t = NULL;
    snprintf(path, sizeof path, "%s/tests/golden/models/b158.tq1_0.gguf", srcdir ? srcdir : ".");
    ck_assert_msg(gguf_open(path, &g, &err) == 0, "%s", err.text);
    ck_assert_msg(tok_open(g, 512, &t, &err) == 0, "%s", err.text);
    gguf_close(&g);
    ck_assert_uint_eq(tok_size(t), 512);
    ck_assert_int_eq(tok_bos(t), 507);
    ck_assert_int_eq(tok_eos(t), 508);

    cJSON *json = read_json("tests/golden/tokenizer/vectors.json"), *one;
    int n = 0;
    cJSON_ArrayForEach(one, json)
    {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(one, "text"));
        const cJSON *want = cJSON_GetObjectItem(one, "ids");
        struct tok_ids ids = {0};
        struct buf back = {0};
        int rc = tok_encode(t, text, strlen(text), TOK_PARSE_SPECIAL, 0, &ids);
        bool same = rc == 0 && ids.n == (size_t)cJSON_GetArraySize(want);
        size_t i = 0;
        const cJSON *id;
        cJSON_ArrayForEach(id, want)
        {
            same = same && ids.id[i] == id->valueint;
            i++;
        }
        ck_assert_msg(same, "vector %d differs: %s", n, text);
        tok_decode(t, ids.id, ids.n, true, &back);
        ck_assert_msg(back.len == strlen(text) && memcmp(back.data, text, back.len) == 0,
                      "vector %d does not come back: %s", n, text);
        buf_free(&back);
        tok_ids_free(&ids);
        n++;
    }
    ck_assert_int_ge(n, 400);
    cJSON_Delete(json);
    tok_close(&t);
}
END_TEST

/* The ids of a text by both are the same, and so are pieces and kinds. */
static void same_tokenizer(const struct tok *a, const struct tok *b)
{
    ck_assert_uint_eq(tok_size(a), tok_size(b));
    for (int round = 0; round < 300; round++) {
        struct buf text = {0};
        struct tok_ids one = {0}, two = {0};
        for (uint32_t n = below(60); n > 0; n--)
            add_character(&text);
        buf_reserve(&text, 0);
        ck_assert_int_eq(tok_encode(a, text.data, text.len, TOK_PARSE_SPECIAL, 0, &one),
                         tok_encode(b, text.data, text.len, TOK_PARSE_SPECIAL, 0, &two));
        ck_assert_uint_eq(one.n, two.n);
        if (one.n)
            ck_assert_mem_eq(one.id, two.id, one.n * sizeof *one.id);
        tok_ids_free(&one);
        tok_ids_free(&two);
        buf_free(&text);
    }
    for (size_t i = 0; i < tok_size(a); i++) {
        size_t n, m;
        const char *p = tok_piece(a, (int32_t)i, &n), *q = tok_piece(b, (int32_t)i, &m);
        ck_assert(n == m && memcmp(p, q, n) == 0);
        ck_assert(tok_is_control(a, (int32_t)i) == tok_is_control(b, (int32_t)i));
        ck_assert(tok_is_text(a, (int32_t)i) == tok_is_text(b, (int32_t)i));
    }
    ck_assert_int_eq(tok_bos(a), tok_bos(b));
    ck_assert_int_eq(tok_eos(a), tok_eos(b));
}

/* Tables that one tokenizer has written make another without a copy of them; tables that were cut
 * short, or are of another file, are not used. */
START_TEST(tables_in_a_segment)
{
    static const char *const files[] = {"b158.tq1_0.gguf", "embed-gemma3.gguf",
                                        "bonsai.q2_0_g128.gguf"};
    const char *srcdir = getenv("srcdir");
    struct trit_error err = {0};
    uint8_t *before = NULL;
    size_t before_len = 0;
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[512];
        struct gguf *g = NULL;
        struct tok *made = NULL, *t = NULL;
        snprintf(path, sizeof path, "%s/tests/golden/models/%s", srcdir ? srcdir : ".", files[i]);
        if (gguf_open(path, &g, &err) != 0 || tok_open(g, 1 << 20, &made, &err) != 0)
            ck_abort_msg("%s", err.text);
        size_t len = tok_tables_bytes(made), own = tok_bytes(made);
        uint8_t *tables = mem_zalloc_line(len, 1);
        ck_assert_ptr_nonnull(tables);
        tok_tables_write(made, g, tables);
        ck_assert_int_eq(tok_open_tables(g, 1 << 20, tables, len, &t, &err), 0);
        ck_assert_uint_lt(tok_bytes(t), own);
        same_tokenizer(made, t);
        tok_close(&t);
        const struct {
            const uint8_t *bytes;
            size_t len;
        } others[] = {{tables, len - 1}, {tables, 100}, {tables, 0}, {before, before_len}};
        for (size_t k = 0; k < ARRAY_LEN(others); k++) {
            ck_assert_int_eq(
                tok_open_tables(g, 1 << 20, others[k].bytes, others[k].len, &t, &err), 0);
            ck_assert_uint_eq(tok_bytes(t), own);
            tok_close(&t);
        }
        /* A rule of the file that says fewer rows than the tables have tokens. */
        ck_assert_int_eq(tok_open_tables(g, (uint32_t)tok_size(made) - 1, tables, len, &t, &err),
                         -TRIT_EFORMAT);
        tok_close(&made);
        gguf_close(&g);
        mem_free(before);
        before = tables;
        before_len = len;
        n++;
    }
    mem_free(before);
    ck_assert_uint_eq(n, ARRAY_LEN(files));
}
END_TEST

START_TEST(text_comes_back)
{
    struct tok *t = small();
    for (int round = 0; round < 2000; round++) {
        struct buf text = {0}, back = {0};
        struct tok_ids ids = {0};
        for (uint32_t n = below(40); n > 0; n--)
            add_character(&text);
        buf_reserve(&text, 0);
        ck_assert_int_eq(tok_encode(t, text.data, text.len, 0, 0, &ids), 0);
        tok_decode(t, ids.id, ids.n, false, &back);
        ck_assert_uint_eq(back.len, text.len);
        ck_assert_int_eq(memcmp(back.data ? back.data : "", text.data, text.len), 0);
        tok_ids_free(&ids);
        buf_free(&text);
        buf_free(&back);
    }
    tok_close(&t);
}
END_TEST

/* Any run of ids gives the bytes of its pieces; control tokens and padding are silent. */
START_TEST(pieces_are_bytes)
{
    struct tok *t = small();
    char bytes[256];
    int32_t ids[300];
    struct buf out = {0};
    size_t len;
    for (int i = 0; i < 256; i++) {
        ids[i] = i;
        bytes[i] = (char)i;
        ck_assert_int_eq(tok_piece(t, i, &len)[0], bytes[i]);
        ck_assert_uint_eq(len, 1);
    }
    tok_decode(t, ids, 256, false, &out);
    ck_assert_uint_eq(out.len, 256);
    ck_assert_int_eq(memcmp(out.data, bytes, 256), 0);
    buf_reset(&out);
    const int32_t mixed[] = {begin, 'a', think, end, pad, 100000, -1, 'b'};
    tok_decode(t, mixed, ARRAY_LEN(mixed), false, &out);
    ck_assert_str_eq(out.data, "a<think>[PAD]b");
    buf_reset(&out);
    tok_decode(t, mixed, ARRAY_LEN(mixed), true, &out);
    ck_assert_str_eq(out.data, "<|begin|>a<think><|end|>[PAD]b");
    buf_free(&out);

    ck_assert_int_eq(tok_find(t, "<|end|>"), end);
    ck_assert_int_eq(tok_find(t, "<think>"), think);
    ck_assert_int_eq(tok_find(t, "<|end|"), -1);
    ck_assert_int_eq(tok_find(t, "the"), -1);
    ck_assert_int_eq(tok_find(t, ""), -1);
    ck_assert_int_eq(tok_find(t, "[PAD]"), -1);
    ck_assert(tok_is_control(t, begin) && tok_is_control(t, end));
    ck_assert(!tok_is_control(t, think) && !tok_is_control(t, 'a') && !tok_is_control(t, pad));
    ck_assert_uint_eq(tok_size(t), (size_t)pad + 1);
    ck_assert_uint_gt(tok_bytes(t), 1000);
    tok_close(&t);
}
END_TEST

START_TEST(special_tokens)
{
    struct tok *t = small();
    const int P = TOK_PARSE_SPECIAL, A = TOK_ADD_SPECIAL;
    CK_ENCODES(t, "a<|end|>b", P, 'a', end, 'b');
    CK_ENCODES(t, "a<|end|>b", 0, 'a', '<', '|', 'e', 'n', 'd', '|', '>', 'b');
    CK_ENCODES(t, "<|end|><|begin|>", P, end, begin);
    CK_ENCODES(t, "<<|end|>>", P, '<', end, '>');
    CK_ENCODES(t, "<|end|", P, '<', '|', 'e', 'n', 'd', '|');
    CK_ENCODES(t, "<|en<|end|>", P, '<', '|', 'e', 'n', end);
    CK_ENCODES(t, "a", A, begin, 'a');
    CK_ENCODES(t, "<|end|>", A | P, begin, end);
    /* User-defined ones are words: taken always, the longest first. */
    CK_ENCODES(t, "x<think>y", 0, 'x', think, 'y');
    CK_ENCODES(t, "<think>hard", 0, think_more);
    CK_ENCODES(t, "<think>har", 0, think, 'h', 'a', 'r');
    CK_ENCODES(t, "<x>a<x>b", 0, xa, x, 'b');
    CK_ENCODES(t, "[PAD]", P, '[', 'P', 'A', 'D', ']');
    /* Text between special tokens is cut as if it stood alone: a space before one stays whole. */
    CK_ENCODES(t, "x the<|end|> the", P, 'x', 258, end, 258);
    struct tok_ids none = {0};
    ck_assert_int_eq(tok_encode(t, "", 0, P, 0, &none), 0);
    ck_assert_uint_eq(none.n, 0);
    tok_ids_free(&none);
    tok_close(&t);
}
END_TEST

/* Whether a name at [7, 14) counts, for every literal range there is. */
START_TEST(literal_ranges)
{
    static const char text[] = "a <|en the<|end|>the";
    const size_t len = strlen(text), at = 10, after = 17;
    struct tok *t = small();
    struct tok_ids whole = {0}, plain = {0};
    ck_assert_int_eq(tok_encode(t, text, len, TOK_PARSE_SPECIAL, 0, &whole), 0);
    ck_assert_int_eq(tok_encode(t, text, len, 0, 0, &plain), 0);
    ck_assert_uint_ne(whole.n, plain.n);
    for (size_t i = 0; i <= len; i++) {
        for (size_t k = i; k <= len; k++) {
            struct tok_range r = {i, k};
            struct tok_ids ids = {0};
            const struct tok_ids *want = i < after && k > at ? &plain : &whole;
            ck_assert_int_eq(tok_encode_ranges(t, text, len, &r, 1, TOK_PARSE_SPECIAL, 0, &ids), 0);
            ck_ids(&ids, want->id, want->n);
            tok_ids_free(&ids);
        }
    }
    tok_ids_free(&whole);
    tok_ids_free(&plain);

    /* Several ranges, of which each guards its own name. */
    static const char many[] = "<|end|><|end|><|end|><|end|>";
    const struct tok_range two[] = {{3, 4}, {21, 28}};
    struct tok_ids ids = {0};
    ck_assert_int_eq(tok_encode_ranges(t, many, 28, two, 2, TOK_PARSE_SPECIAL, 0, &ids), 0);
    const int32_t want[] = {'<', '|', 'e', 'n', 'd', '|', '>', end,
                            end, '<', '|', 'e', 'n', 'd', '|', '>'};
    ck_ids(&ids, want, ARRAY_LEN(want));
    tok_ids_free(&ids);

    const struct tok_range all = {0, 11};
    ck_assert_int_eq(tok_encode_ranges(t, "<think>hard", 11, &all, 1, 0, 0, &ids), 0);
    ck_ids(&ids, &think_more, 1);
    tok_ids_free(&ids);
    tok_close(&t);
}
END_TEST

/* For every limit: enough, or refused with the ids as they were. */
START_TEST(limits)
{
    static const char text[] = "the theory <|end|> of<think> everything 12345\n\n  <|begin|>";
    struct tok *t = small_with(true);
    const unsigned flags = TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL;
    struct tok_ids full = {0}, ids = {0};
    ck_assert_int_eq(tok_encode(t, text, strlen(text), flags, 0, &full), 0);
    ck_assert_int_eq(tok_ids_add(&ids, 42), 0);
    for (size_t max = 1; max < full.n; max++) {
        ck_assert_int_eq(tok_encode(t, text, strlen(text), flags, max, &ids), -TRIT_ETOOBIG);
        ck_assert_uint_eq(ids.n, 1);
    }
    ck_assert_int_eq(tok_encode(t, text, strlen(text), flags, full.n, &ids), 0);
    ck_assert_int_eq(ids.id[0], 42);
    ck_assert_uint_eq(ids.n, full.n + 1);
    ck_assert_int_eq(memcmp(ids.id + 1, full.id, full.n * sizeof *full.id), 0);
    ids.n = 1;
    ck_assert_int_eq(tok_encode(t, "a\xff", 2, 0, 0, &ids), -TRIT_EINVAL);
    ck_assert_int_eq(tok_encode(t, "a\xe2\x82", 3, 0, 0, &ids), -TRIT_EINVAL);
    ck_assert_uint_eq(ids.n, 1);
    tok_ids_free(&ids);
    tok_ids_free(&full);
    tok_close(&t);
}
END_TEST

/* BOS and EOS: what the file says, else the habit of the family. */
START_TEST(begin_and_end)
{
    static const struct {
        const char *pre;
        int add_bos, add_eos;
        bool has_bos, bos, eos;
    } cases[] = {
        {"llama-bpe", ABSENT, ABSENT, true, true, false},
        {NULL, ABSENT, ABSENT, true, true, false},
        {"llama-bpe", 0, ABSENT, true, false, false},
        {"qwen2", ABSENT, 1, true, false, true},
        {"qwen2", 1, 1, true, true, true},
        {"llama3", 1, 0, false, false, false},
        {"falcon3", ABSENT, 0, true, true, false},
        {"gpt-2", ABSENT, 0, true, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tok_file *f = tok_file_init();
        int32_t bos = tok_file_add(f, "<s>", 3), eos = tok_file_add(f, "</s>", 3);
        f->pre = cases[i].pre;
        f->add_bos = cases[i].add_bos;
        f->add_eos = cases[i].add_eos;
        f->bos = cases[i].has_bos ? bos : ABSENT;
        f->eos = eos;
        struct tok *t = tok_file_open(f);
        struct tok_ids ids = {0};
        ck_assert_int_eq(tok_encode(t, "x", 1, TOK_ADD_SPECIAL, 0, &ids), 0);
        ck_assert_uint_eq(ids.n, 1u + cases[i].bos + cases[i].eos);
        ck_assert_int_eq(ids.id[0], cases[i].bos ? bos : 'x');
        ck_assert_int_eq(ids.id[ids.n - 1], cases[i].eos ? eos : 'x');
        ck_assert_int_eq(tok_adds_bos(t), cases[i].bos);
        ck_assert_int_eq(tok_bos(t), cases[i].has_bos ? bos : -1);
        ids.n = 0;
        ck_assert_int_eq(tok_encode(t, "x", 1, 0, 0, &ids), 0);
        ck_assert_uint_eq(ids.n, 1);
        tok_ids_free(&ids);
        tok_close(&t);
        free(f);
    }
}
END_TEST

/* What streaming must give, from the definition in Unicode 3.9: one U+FFFD for each maximal part.
 */
static void replace_invalid(const char *s, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len;) {
        int n = utf8_scan(s + i, len - i);
        if (n > 0)
            buf_add(out, s + i, (size_t)n);
        else
            buf_adds(out, "\xef\xbf\xbd");
        i += n > 0 ? (size_t)n : n < 0 ? (size_t)-n : len - i;
    }
}

static void ck_stream(const char *s, size_t len, uint32_t longest_push)
{
    struct buf want = {0}, have = {0};
    struct tok_stream stream = {0};
    replace_invalid(s, len, &want);
    for (size_t i = 0, n; i < len; i += n) {
        n = longest_push > 1 ? below(longest_push) : 1;
        n = MIN(n, len - i);
        tok_stream_push(&stream, s + i, n, &have);
        ck_assert(utf8_valid(have.data ? have.data : "", have.len));
        ck_assert_uint_le(stream.n_held, 3);
    }
    tok_stream_end(&stream, &have);
    ck_assert_uint_eq(stream.n_held, 0);
    ck_assert_uint_eq(have.len, want.len);
    ck_assert_int_eq(memcmp(have.data ? have.data : "", want.data ? want.data : "", want.len), 0);
    buf_free(&want);
    buf_free(&have);
}

START_TEST(streaming)
{
    /* Table 3-8 of the Unicode standard. */
    static const char table[] = "\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64";
    struct buf out = {0};
    struct tok_stream s = {0};
    for (size_t i = 0; i < sizeof table - 1; i++)
        tok_stream_push(&s, table + i, 1, &out);
    tok_stream_end(&s, &out);
    ck_assert_str_eq(out.data, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                               "b\xef\xbf\xbd"
                               "c\xef\xbf\xbd\xef\xbf\xbd"
                               "d");
    buf_reset(&out);

    /* A sequence shows when it is whole, not before; its first half at the end is one mark. */
    tok_stream_push(&s, "\xf0\x9f", 2, &out);
    tok_stream_push(&s, "\x91", 1, &out);
    tok_stream_push(&s, NULL, 0, &out);
    ck_assert_uint_eq(out.len, 0);
    tok_stream_push(&s, "\x8d\xf0\x9f", 3, &out);
    ck_assert_str_eq(out.data, "\xf0\x9f\x91\x8d");
    tok_stream_end(&s, &out);
    ck_assert_str_eq(out.data, "\xf0\x9f\x91\x8d\xef\xbf\xbd");
    tok_stream_end(&s, &out);
    ck_assert_uint_eq(out.len, 7);
    buf_free(&out);

    for (int round = 0; round < 3000; round++) {
        struct buf text = {0};
        for (uint32_t n = 1 + below(12); n > 0; n--) {
            if (round % 3 == 0)
                buf_addc(&text, (char)(below(4) ? 0x80 + below(0x80) : below(0x100)));
            else
                add_character(&text);
        }
        if (round % 3 == 1)
            text.len -= below((uint32_t)MIN(text.len, (size_t)4));
        ck_stream(text.data, text.len, 1);
        ck_stream(text.data, text.len, 6);
        buf_free(&text);
    }
}
END_TEST

/* Several threads, one tokenizer, the same ids. */
static const struct tok *shared;

static void *encode_often(void *arg)
{
    static const char text[] = "the other theory, the <|end|> of other things 123 \n\n";
    struct tok_ids first = {0}, ids = {0};
    intptr_t wrong = tok_encode(shared, text, strlen(text), TOK_PARSE_SPECIAL, 0, &first);
    for (int i = 0; i < 200; i++, ids.n = 0)
        wrong += tok_encode(shared, text, strlen(text), TOK_PARSE_SPECIAL, 0, &ids) != 0 ||
                 ids.n != first.n || memcmp(ids.id, first.id, ids.n * sizeof *ids.id) != 0;
    tok_ids_free(&first);
    tok_ids_free(&ids);
    (void)arg;
    return (void *)wrong;
}

START_TEST(threads_share_it)
{
    struct tok *t = small();
    pthread_t thread[4];
    void *wrong;
    shared = t;
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, encode_often, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(thread); i++) {
        ck_assert_int_eq(pthread_join(thread[i], &wrong), 0);
        ck_assert_ptr_null(wrong);
    }
    tok_close(&t);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    log_open(LOG_ERROR, 0);
    Suite *suite = suite_create("tokenizer");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, vectors);
    tcase_add_test(all, tables_in_a_segment);
    tcase_add_test(all, text_comes_back);
    tcase_add_test(all, pieces_are_bytes);
    tcase_add_test(all, special_tokens);
    tcase_add_test(all, literal_ranges);
    tcase_add_test(all, limits);
    tcase_add_test(all, begin_and_end);
    tcase_add_test(all, streaming);
    tcase_add_test(all, threads_share_it);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
