/* SPDX-License-Identifier: MIT */
/*
 * check_bpe.c - byte pair encoding: the patterns that cut, the order in which pieces are merged,
 * and texts that would take a careless implementation for ever.
 */
#include "config.h"

#include <string.h>

#include "base/log.h"
#include "model/tokenizer-parts.h"
#include "tok-file.h"
#include "unit.h"

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(unit_random(&seed) >> 33) % n;
}

/* A vocabulary without pieces, which tells nothing. */
static const struct vocab bare = {.model = VOCAB_GPT2};

/* Every text of the vectors, cut by every pattern. */
START_TEST(pre_tokenizers)
{
    static const struct {
        const char *pre;
        int list; /* which list of cuts, where they differ */
    } cases[] = {
        {"llama-bpe", 0}, {"llama3", 0}, {"llama-v3", 0}, {"falcon3", 0}, {"falcon_e", 0},
        {NULL, 0},        {"qwen2", 1},  {"gpt-2", 2},    {"default", 2},
    };
    cJSON *json = read_json("tests/golden/tokenizer/vectors.json"), *one;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tok_file *f = tok_file_init();
        struct pretok *p = NULL;
        struct trit_error err = {0};
        f->pre = cases[i].pre;
        struct gguf *g = tok_file_gguf(f);
        ck_assert_msg(pretok_open(g, &bare, &p, &err) == 0, "%s", err.text);
        ck_assert_int_eq(pretok_is_llama3(p), cases[i].list == 0);
        ck_assert_int_eq(pretok_takes_words(p), cases[i].list == 0);
        cJSON_ArrayForEach(one, json)
        {
            const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(one, "text"));
            const cJSON *cuts = cJSON_GetObjectItem(one, "cuts"), *cut;
            cuts = cJSON_GetArrayItem(cuts, cJSON_GetArraySize(cuts) > 1 ? cases[i].list : 0);
            struct pretok_cutter *c = pretok_cutter_open(p);
            size_t start, end, at = 0;
            pretok_cutter_set(c, text, strlen(text));
            cJSON_ArrayForEach(cut, cuts)
            {
                ck_assert_int_eq(pretok_next(c, &start, &end), 1);
                ck_assert_msg(start == at && end == at + (size_t)cut->valueint,
                              "%s: cut at %zu, expected at %zu: %s", pretok_name(p), end,
                              at + (size_t)cut->valueint, text);
                at = end;
            }
            ck_assert_int_eq(pretok_next(c, &start, &end), 0);
            ck_assert_uint_eq(at, strlen(text));
            pretok_cutter_close(c);
        }
        pretok_close(&p);
        gguf_close(&g);
        free(f);
    }
    cJSON_Delete(json);
}
END_TEST

/* Marks belong to words, and digits stand alone. */
START_TEST(marks_in_words)
{
    static const char text[] = "e\xcc\x81t\xc3\xa9 12!\xcc\x81"
                               "a";
    static const struct {
        const char *pre;
        size_t n, cut[8];
    } cases[] = {{"qwen35", 5, {6, 1, 1, 1, 4}}, {"qwen2", 7, {1, 5, 1, 1, 1, 3, 1}}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tok_file *f = tok_file_init();
        struct pretok *p = NULL;
        struct trit_error err = {0};
        f->pre = cases[i].pre;
        struct gguf *g = tok_file_gguf(f);
        ck_assert_msg(pretok_open(g, &bare, &p, &err) == 0, "%s", err.text);
        struct pretok_cutter *c = pretok_cutter_open(p);
        pretok_cutter_set(c, text, sizeof text - 1);
        size_t start, end;
        for (size_t k = 0; k < cases[i].n; k++) {
            ck_assert_int_eq(pretok_next(c, &start, &end), 1);
            ck_assert_msg(end - start == cases[i].cut[k], "%s: piece %zu has %zu bytes",
                          cases[i].pre, k, end - start);
        }
        ck_assert_int_eq(pretok_next(c, &start, &end), 0);
        pretok_cutter_close(c);
        pretok_close(&p);
        gguf_close(&g);
        free(f);
    }
}
END_TEST

/* A file that names no pre-tokenizer is judged by what its pieces join. */
START_TEST(unnamed)
{
    static const struct {
        bool marked;      /* there are many pieces of a mark and a letter */
        const char *more; /* one more piece */
        const char *name;
    } cases[] = {
        {false, "ab", "llama-bpe"},      {false, "\xc4\xa0\x31", "gpt-2"}, /* " 1" */
        {true, "12", "llama-bpe"},       {true, "ab", "qwen2"},
        {true, "\xc4\xa0\x31", "qwen2"}, /* one of many */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tok_file *f = tok_file_init();
        struct vocab v = {.model = VOCAB_GPT2};
        struct pretok *p = NULL;
        struct trit_error err = {0};
        f->pre = NULL;
        for (unsigned k = 0; cases[i].marked && k < 26 * 5; k++) {
            char piece[] = {".:(#_"[k / 26], (char)('a' + k % 26), '\0'};
            tok_file_add(f, piece, 1);
        }
        tok_file_add(f, cases[i].more, 1);
        struct gguf *g = tok_file_gguf(f);
        ck_assert_msg(vocab_read(g, f->rows, &v, &err) == 0, "%s", err.text);
        ck_assert_msg(pretok_open(g, &v, &p, &err) == 0, "%s", err.text);
        ck_assert_msg(strncmp(pretok_name(p), cases[i].name, strlen(cases[i].name)) == 0 &&
                          strstr(pretok_name(p), "names none"),
                      "case %zu: %s", i, pretok_name(p));
        ck_assert_int_eq(pretok_is_llama3(p), strcmp(cases[i].name, "llama-bpe") == 0);
        pretok_close(&p);
        vocab_free(&v);
        gguf_close(&g);
        free(f);
    }
}
END_TEST

/* A part of a text is cut as if nothing stood around it. */
START_TEST(parts_stand_alone)
{
    struct tok_file *f = tok_file_init();
    struct pretok *p = NULL;
    struct gguf *g = tok_file_gguf(f);
    size_t start, end;
    ck_assert_int_eq(pretok_open(g, &bare, &p, NULL), 0);
    struct pretok_cutter *c = pretok_cutter_open(p);
    pretok_cutter_set(c, &"a  b"[1], 2); /* "  ", no longer followed by a letter */
    ck_assert_int_eq(pretok_next(c, &start, &end), 1);
    ck_assert_uint_eq(start, 0);
    ck_assert_uint_eq(end, 2);
    ck_assert_int_eq(pretok_next(c, &start, &end), 0);
    pretok_cutter_set(c, "a  b", 4);
    for (size_t at = 0; at < 4; at = end) {
        ck_assert_int_eq(pretok_next(c, &start, &end), 1);
        ck_assert_uint_eq(start, at);
        ck_assert_uint_eq(end, at == 0 ? 1 : at == 1 ? 2 : 4);
    }
    pretok_cutter_close(c);
    pretok_close(&p);
    gguf_close(&g);
    free(f);
}
END_TEST

/* ignore_merges: a piece that is a token is that token, also where no merge makes it. */
START_TEST(whole_pieces)
{
    for (int llama = 0; llama < 2; llama++) {
        struct tok_file *f = tok_file_init();
        f->pre = llama ? "llama-bpe" : "qwen2";
        int32_t word = tok_file_add(f, "Ġword", 1);
        struct tok *t = tok_file_open(f);
        if (llama)
            CK_ENCODES(t, "a word", 0, 'a', word);
        else
            CK_ENCODES(t, "a word", 0, 'a', ' ', 'w', 'o', 'r', 'd');
        CK_ENCODES(t, " words", 0, ' ', 'w', 'o', 'r', 'd', 's');
        tok_close(&t);
        free(f);
    }
}
END_TEST

/* The definition: join the leftmost pair of lowest rank, again and again. */
static size_t merge_slowly(const struct tok_file *f, char part[][64], size_t n)
{
    for (;;) {
        size_t best = SIZE_MAX, at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            char pair[130];
            stpcpy(stpcpy(stpcpy(pair, part[i]), " "), part[i + 1]);
            for (size_t k = f->n_merges; k-- > 0;) {
                if (strcmp(f->merge[k], pair) == 0) {
                    if (k < best) {
                        best = k;
                        at = i;
                    }
                    break; /* Of equal merges the last one counts. */
                }
            }
        }
        if (best == SIZE_MAX)
            return n;
        memcpy(part[at] + strlen(part[at]), part[at + 1], strlen(part[at + 1]) + 1);
        memmove(part + at + 1, part + at + 2, (n - at - 2) * sizeof part[0]);
        n--;
    }
}

START_TEST(merging_follows_its_definition)
{
    for (int round = 0; round < 60; round++) {
        struct tok_file *f = tok_file_init();
        const uint32_t letters = 1 + below(4);
        f->pre = "qwen2";
        for (uint32_t n = 3 + below(25); n > 0; n--) {
            char pair[2][64];
            for (int side = 0; side < 2; side++) {
                uint32_t k = below(letters + (uint32_t)f->n_tokens - 256);
                strcpy(pair[side], f->token[k < letters ? 'a' + k : 256 + k - letters]);
            }
            if (strlen(pair[0]) + strlen(pair[1]) < 20)
                tok_file_merge(f, pair[0], pair[1]);
        }
        struct tok *t = tok_file_open(f);
        for (int text = 0; text < 30; text++) {
            char word[64] = "", part[64][64];
            size_t len = 2 + below(50);
            for (size_t i = 0; i < len; i++) {
                word[i] = (char)('a' + below(letters));
                snprintf(part[i], sizeof part[0], "%c", word[i]);
            }
            struct tok_ids ids = {0};
            ck_assert_int_eq(tok_encode(t, word, len, 0, 0, &ids), 0);
            size_t n = merge_slowly(f, part, len);
            ck_assert_msg(ids.n == n, "%s: found %zu tokens, expected %zu", word, ids.n, n);
            for (size_t i = 0; i < n; i++)
                ck_assert_msg(strcmp(f->token[ids.id[i]], part[i]) == 0,
                              "%s: token %zu is %s, expected %s", word, i, f->token[ids.id[i]],
                              part[i]);
            tok_ids_free(&ids);
        }
        tok_close(&t);
        free(f);
    }
}
END_TEST

/* SentencePiece's definition: of all neighbours that make a piece, join those that make the one
 * with the highest score, the leftmost of equals; what is no piece in the end is its bytes. */
static size_t join_slowly(const struct tok_file *f, char part[][64], size_t n)
{
    for (;;) {
        size_t at = SIZE_MAX;
        float best = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            char pair[130];
            stpcpy(stpcpy(pair, part[i]), part[i + 1]);
            for (size_t k = 259; k < f->n_tokens; k++) {
                if (strcmp(f->token[k], pair) == 0 && (at == SIZE_MAX || f->score[k] > best)) {
                    best = f->score[k];
                    at = i;
                }
            }
        }
        if (at == SIZE_MAX)
            return n;
        memcpy(part[at] + strlen(part[at]), part[at + 1], strlen(part[at + 1]) + 1);
        memmove(part + at + 1, part + at + 2, (n - at - 2) * sizeof part[0]);
        n--;
    }
}

static bool is_piece(const struct tok_file *f, const char *text)
{
    for (size_t k = 259; k < f->n_tokens; k++)
        if (strcmp(f->token[k], text) == 0)
            return true;
    return false;
}

START_TEST(joining_follows_its_definition)
{
    /* The last letter is never a piece by itself, but may be in others. */
    static const char *const letters[] = {"a", "b", "\xe2\x96\x81", "\xc3\xa9", "\xf0\x9f\x90\x88"};
    for (int round = 0; round < 60; round++) {
        struct tok_file *f = tok_file_init_llama();
        f->space_prefix = 0;
        for (size_t i = 0; i < 4; i++)
            if (i != 2)
                f->score[tok_file_add(f, letters[i], 1)] = -1000;
        for (uint32_t n = 3 + below(30); n > 0; n--) {
            char piece[64] = "";
            for (uint32_t k = 2 + below(5); k > 0; k--)
                strcat(piece, letters[below(ARRAY_LEN(letters))]);
            if (!is_piece(f, piece)) /* Few scores, so that some are equal. */
                f->score[tok_file_add(f, piece, 1)] = -(float)below(8) / 2;
        }
        struct tok *t = tok_file_open(f);
        for (int text = 0; text < 30; text++) {
            char word[256] = "", part[64][64];
            size_t len = 1 + below(50);
            for (size_t i = 0; i < len; i++) {
                uint32_t k = below(ARRAY_LEN(letters));
                strcpy(part[i], letters[k]);
                strcat(word, k == 2 ? " " : letters[k]);
            }
            struct tok_ids ids = {0};
            ck_assert_int_eq(tok_encode(t, word, strlen(word), 0, 0, &ids), 0);
            size_t n = join_slowly(f, part, len), at = 0;
            for (size_t i = 0; i < n; i++) {
                bool whole = is_piece(f, part[i]);
                for (size_t k = 0; k < (whole ? 1 : strlen(part[i])); k++, at++) {
                    ck_assert_msg(at < ids.n, "%s: too few tokens", word);
                    if (whole)
                        ck_assert_str_eq(f->token[ids.id[at]], part[i]);
                    else
                        ck_assert_int_eq(ids.id[at], 3 + (unsigned char)part[i][k]);
                }
            }
            ck_assert_uint_eq(ids.n, at);
            tok_ids_free(&ids);
        }
        tok_close(&t);
        free(f);
    }
}
END_TEST

/* Texts made to hurt.  Anything quadratic takes minutes for one of them and runs into the time-out.
 */
START_TEST(long_texts)
{
    static const char *const unit[] = {
        "a",        " ", "7",    "\n",      "<",        "<|en", "<|end|", " \t",
        "\xc2\xa0", "'", "the",  "thethe ", "\xcc\x81", "\r\n", "a ",     "\xe4\xb8\xad",
        "<think",   ".", "   x",
    };
    const size_t size = 256 * 1024;
    struct tok_file *f = _i == 1 ? tok_file_init_llama() : tok_file_init();
    if (_i == 2)
        f->pre = "punctuation-runs+gpt-2+letter-digit-runs+threes";
    if (_i == 3)
        f->pre = "punctuation+digits+gpt-2";
    for (int i = 0; i < 5; i++) {
        const char *half = &"aaaaaaaaaaaaaaaa"[16 - (1 << i)];
        tok_file_merge(f, half, half);
        f->score[f->n_tokens - 1] = -(float)i; /* which counts where merges do not */
    }
    if (_i == 1)
        f->score[tok_file_add(f, "a", 1)] = -1000;
    tok_file_merge(f, "t", "h");
    tok_file_merge(f, "Ġ", "Ġ");
    tok_file_add(f, "<|end|>", 3);
    tok_file_add(f, "<think>", 4);
    struct tok *t = tok_file_open(f);
    for (size_t k = 0; k < ARRAY_LEN(unit); k++) {
        struct buf text = {0}, back = {0};
        struct tok_ids ids = {0};
        while (text.len < size)
            buf_adds(&text, unit[k]);
        buf_adds(&text, k % 2 ? "\n" : "x"); /* Spaces that end in a line end, and others. */
        ck_assert_int_eq(tok_encode(t, text.data, text.len, TOK_PARSE_SPECIAL, 0, &ids), 0);
        tok_decode(t, ids.id, ids.n, true, &back);
        ck_assert(back.len == text.len && memcmp(back.data, text.data, text.len) == 0);
        if (k == 0)
            ck_assert_uint_eq(ids.n, size / 32 + 1 + (_i == 1)); /* and the space in front */
        ck_assert_int_eq(tok_encode(t, text.data, text.len, TOK_PARSE_SPECIAL, ids.n - 1, &ids),
                         -TRIT_ETOOBIG);
        tok_ids_free(&ids);
        buf_free(&text);
        buf_free(&back);
    }
    tok_close(&t);
    free(f);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    log_open(LOG_ERROR, 0);
    Suite *suite = suite_create("bpe");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, pre_tokenizers);
    tcase_add_test(all, marks_in_words);
    tcase_add_test(all, unnamed);
    tcase_add_test(all, parts_stand_alone);
    tcase_add_test(all, whole_pieces);
    tcase_add_test(all, merging_follows_its_definition);
    tcase_add_test(all, joining_follows_its_definition);
    tcase_add_loop_test(all, long_texts, 0, 4);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
