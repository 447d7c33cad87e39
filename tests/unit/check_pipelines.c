/* SPDX-License-Identifier: MIT */
/*
 * check_pipelines.c - tokenizer.json in all shapes that are read: ids equal to those of
 * @huggingface/tokenizers (tests/golden/tokenizer/make-small.mjs made them); and shapes that are
 * not, each refused by the name of its part.
 *
 * Not here: tokenizer.model (check_sentencepiece.c).
 */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "model/hf.h"
#include "tok-folder.h"

/* A tokenizer.json: a base with parts put over it. */
static cJSON *compose(const char *base, const cJSON *parts)
{
    const cJSON *from = cJSON_GetObjectItem(cJSON_GetObjectItem(small, "bases"), base), *part;
    cJSON *whole = cJSON_Duplicate(from, true);
    ck_assert_ptr_nonnull(whole);
    cJSON_ArrayForEach(part, parts)
        cJSON_ReplaceItemInObjectCaseSensitive(whole, part->string, cJSON_Duplicate(part, true));
    return whole;
}

/* Write it and open it.  *t is NULL where it is refused, and err tells. */
static void open_json(cJSON *whole, struct tok **t, struct trit_error *err)
{
    struct gguf *g = NULL;
    char *text = cJSON_PrintUnformatted(whole);
    put("tokenizer.json", text, strlen(text));
    cJSON_free(text);
    cJSON_Delete(whole);
    *t = NULL;
    if (hf_open(dir, &g, err) == 0)
        (void)tok_open(g, 4096, t, err);
    gguf_close(&g);
}

static struct tok *open_named(const char *name)
{
    const cJSON *one = named(name);
    struct trit_error err = {0};
    struct tok *t;
    const char *base = cJSON_GetStringValue(cJSON_GetObjectItem(one, "base"));
    open_json(compose(base, cJSON_GetObjectItem(one, "parts")), &t, &err);
    ck_assert_msg(t != NULL, "%s: %s", name, err.text);
    return t;
}

START_TEST(ids_are_the_same)
{
    const cJSON *one, *texts = cJSON_GetObjectItem(small, "texts");
    int n_tokenizers = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItem(small, "tokenizers"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(one, "name"));
        const cJSON *want = cJSON_GetObjectItem(one, "ids")->child, *id;
        const cJSON *text = texts->child;
        struct tok *t = open_named(name);
        for (; text; text = text->next, want = want->next) {
            struct tok_ids ids = {0};
            const char *s = text->valuestring;
            ck_assert_int_eq(tok_encode(t, s, strlen(s), TOK_PARSE_SPECIAL, 0, &ids), 0);
            size_t i = 0;
            bool same = ids.n == (size_t)cJSON_GetArraySize(want);
            cJSON_ArrayForEach(id, want)
            {
                same = same && ids.id[i] == id->valueint;
                i++;
            }
            ck_assert_msg(same, "%s differs: \"%s\"", name, s);
            tok_ids_free(&ids);
        }
        ck_assert_ptr_null(want);
        tok_close(&t);
        n_tokenizers++;
    }
    ck_assert_int_ge(n_tokenizers, 12);
    ck_assert_int_ge(cJSON_GetArraySize(texts), 90);
}
END_TEST

/* What is encoded comes back, but for U+2581 where that is a space. */
START_TEST(text_comes_back)
{
    static const char *const names[] = {"GPT-2", "Falcon", "Llama 2", "Gemma"};
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        struct tok *t = open_named(names[k]);
        const cJSON *text;
        cJSON_ArrayForEach(text, cJSON_GetObjectItem(small, "texts"))
        {
            struct tok_ids ids = {0};
            struct buf want = {0}, back = {0};
            const char *s = text->valuestring;
            for (size_t i = 0; s[i]; i++) {
                bool space = k >= 2 && strncmp(s + i, "\xe2\x96\x81", 3) == 0;
                buf_addc(&want, space ? ' ' : s[i]);
                i += space ? 2 : 0;
            }
            ck_assert_int_eq(tok_encode(t, s, strlen(s), 0, 0, &ids), 0);
            tok_decode(t, ids.id, ids.n, false, &back);
            ck_assert_msg(back.len == want.len && memcmp(back.data, want.data, want.len) == 0,
                          "%s: \"%s\" comes back as \"%s\"", names[k], s, back.data);
            tok_ids_free(&ids);
            buf_free(&want);
            buf_free(&back);
        }
        tok_close(&t);
    }
}
END_TEST

/* The space in front belongs to the beginning of a text, not to an answer; control tokens are no
 * text; bytes are. */
START_TEST(sentencepiece_pieces)
{
    struct tok *t = open_named("Llama 2");
    struct tok_ids ids = {0};
    struct buf out = {0};
    size_t len;
    ck_assert_int_eq(tok_bos(t), -1); /* nothing names one here */
    ck_assert_int_eq(tok_find(t, "<s>"), 1);
    ck_assert(tok_is_control(t, 1));
    ck_assert_int_eq(tok_encode(t, "<s>the\1", 7, TOK_PARSE_SPECIAL, 0, &ids), 0);
    ck_assert_int_eq(ids.id[0], 1);
    const char *piece = tok_piece(t, ids.id[1], &len);
    ck_assert_int_eq(piece[0], ' ');
    size_t whole = len;
    ck_assert_ptr_eq(tok_piece_of(t, ids.id, 1, &len), piece + 1);
    ck_assert_uint_eq(len, whole - 1);
    ck_assert_ptr_eq(tok_piece_of(t, ids.id + 1, 0, &len), piece + 1);
    const int32_t twice[] = {ids.id[1], ids.id[1]};
    ck_assert_ptr_eq(tok_piece_of(t, twice, 1, &len), piece);
    ck_assert_int_eq(ids.id[ids.n - 1], 3 + 1);
    ck_assert(tok_is_text(t, 3 + 1) && !tok_is_control(t, 3 + 1));
    ck_assert_mem_eq(tok_piece(t, 3 + 1, &len), "\1", 1);
    ck_assert_uint_eq(len, 1);
    tok_decode(t, ids.id, ids.n, true, &out);
    ck_assert_str_eq(out.data, "<s>the\1");

    /* A literal range is text, also to the space in front. */
    const struct tok_range literal = {0, 3};
    ids.n = 0;
    ck_assert_int_eq(tok_encode_ranges(t, "<s>", 3, &literal, 1, TOK_PARSE_SPECIAL, 0, &ids), 0);
    buf_reset(&out);
    tok_decode(t, ids.id, ids.n, false, &out);
    ck_assert_str_eq(out.data, "<s>");

    /* The bytes of a character that has no piece come one by one, and are held back. */
    static const char cat[] = "\xf0\x9f\x90\x88";
    struct tok_stream stream = {0};
    ids.n = 0;
    buf_reset(&out);
    ck_assert_int_eq(tok_encode(t, cat, 4, 0, 0, &ids), 0);
    ck_assert_uint_eq(ids.n, 5); /* the space, and four bytes */
    for (size_t i = 0; i < 5; i++) {
        piece = tok_piece_of(t, ids.id, i, &len);
        tok_stream_push(&stream, piece, len, &out);
        ck_assert_uint_eq(out.len, i < 4 ? 0 : 4);
    }
    ck_assert_str_eq(out.data, cat);
    tok_ids_free(&ids);
    buf_free(&out);
    tok_close(&t);
}
END_TEST

/* Parts that would tokenise otherwise: refused, with the file, the part and what is had. */
START_TEST(refusals)
{
    static const struct {
        const char *base, *parts, *a, *b;
    } cases[] = {
        {"bytes", "{\"normalizer\":{\"type\":\"NFKC\"}}", "normalizer", "NFKC"},
        {"bytes",
         "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},"
         "{\"type\":\"Lowercase\"}]}}",
         "normalizer", "Lowercase"},
        {"bytes", "{\"normalizer\":{\"type\":\"Sequence\"}}", "normalizer", "a list of"},
        {"bytes", "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":7}}", "normalizer",
         "a list of"},
        {"bytes",
         "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
         "{\"type\":\"NFC\"},{\"type\":\"NFC\"},{\"type\":\"NFC\"},{\"type\":\"NFC\"},"
         "{\"type\":\"NFC\"},{\"type\":\"NFC\"},{\"type\":\"NFC\"}]}}",
         "normalizer", "at most six parts"},
        {"bytes", "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":{}}}",
         "pre_tokenizer", "a list of"},
        {"bytes", "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":\"\"}}", "decoder",
         "ByteLevel"},
        {"bytes", "{\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"}}", "normalizer",
         "Prepend"},
        {"bytes", "{\"pre_tokenizer\":null}", "pre_tokenizer", "ByteLevel"},
        {"bytes", "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}}",
         "pre_tokenizer", "prefix space"},
        {"bytes",
         "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
         "\"use_regex\":false}}",
         "pre_tokenizer", "cut"},
        {"bytes", "{\"pre_tokenizer\":{\"type\":\"Whitespace\"}}", "pre_tokenizer", "Whitespace"},
        {"bytes",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
         "\"pattern\":{\"Regex\":\"\\\\w+\"},\"behavior\":\"Isolated\"},{\"type\":"
         "\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}}",
         "pre_tokenizer", "Llama 3"},
        {"bytes",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
         "\"pattern\":{\"Regex\":\"[0-9][0-9][0-9]\"},\"behavior\":\"Removed\",\"invert\":"
         "true},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]}}",
         "pre_tokenizer", "Split"},
        {"bytes",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
         "\"Punctuation\",\"behavior\":\"MergedWithNext\"},{\"type\":\"ByteLevel\","
         "\"add_prefix_space\":false}]}}",
         "pre_tokenizer", "MergedWithNext"},
        {"bytes",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
         "\"ByteLevel\",\"add_prefix_space\":false},{\"type\":\"Punctuation\"}]}}",
         "pre_tokenizer", "Punctuation"},
        {"bytes", "{\"decoder\":{\"type\":\"WordPiece\"}}", "decoder", "ByteLevel"},
        {"bytes", "{\"model\":{\"type\":\"Unigram\",\"vocab\":{},\"merges\":[]}}", "model.type",
         "BPE"},
        {"bytes", "{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{},\"merges\":[]}}",
         "dropout", "null"},
        {"bytes",
         "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{},\"merges\":[]}}",
         "byte_fallback", "false"},
        {"characters", "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "byte_fallback",
         "true"},
        {"characters",
         "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":3},"
         "\"merges\":[]}}",
         "tokens", "byte 0x00"},
        {"characters", "{\"pre_tokenizer\":{\"type\":\"Whitespace\"}}", "pre_tokenizer",
         "Whitespace"},
        {"characters", "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"}}",
         "pre_tokenizer", "Replace"},
        {"characters",
         "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Metaspace\","
         "\"replacement\":\"_\"}}",
         "pre_tokenizer", "U+2581"},
        {"characters",
         "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Metaspace\","
         "\"replacement\":\"\\u2581\",\"prepend_scheme\":\"often\"}}",
         "pre_tokenizer", "Metaspace with"},
        {"characters",
         "{\"added_tokens\":[{\"id\":0,\"content\":\"x\",\"special\":false,"
         "\"normalized\":true}]}",
         "added_tokens", "normalized"},
        {"characters", "{\"decoder\":{\"type\":\"ByteLevel\"}}", "decoder", "ByteFallback"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trit_error err = {0};
        struct tok *t;
        cJSON *parts = cJSON_Parse(cases[i].parts);
        ck_assert_msg(parts != NULL, "case %zu is not JSON", i);
        open_json(compose(cases[i].base, parts), &t, &err);
        ck_assert_msg(!t, "case %zu is taken: %s", i, cases[i].parts);
        ck_assert_msg(strstr(err.text, dir) && strstr(err.text, cases[i].a) &&
                          strstr(err.text, cases[i].b),
                      "case %zu lacks \"%s\" or \"%s\": %s", i, cases[i].a, cases[i].b, err.text);
        cJSON_Delete(parts);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipelines");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, folder_setup, folder_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, ids_are_the_same);
    tcase_add_test(all, text_comes_back);
    tcase_add_test(all, sentencepiece_pieces);
    tcase_add_test(all, refusals);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
