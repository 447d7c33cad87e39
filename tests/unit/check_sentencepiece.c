/* SPDX-License-Identifier: MIT */
/*
 * check_sentencepiece.c - tokenizer.model of sentencepiece, made piece by piece: ids equal to those
 * of the same tokenizer as tokenizer.json; what is refused, damaged, or finds no memory.
 */
#include "config.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/hf.h"
#include "tok-folder.h"

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_addc(b, (char)(v | 0x80));
    buf_addc(b, (char)v);
}

static void put_number(struct buf *b, uint32_t field, uint64_t v)
{
    put_varint(b, (uint64_t)field << 3);
    put_varint(b, v);
}

static void put_message(struct buf *b, uint32_t field, const void *bytes, size_t len)
{
    put_varint(b, (uint64_t)field << 3 | 2);
    put_varint(b, len);
    buf_add(b, bytes, len);
}

static void put_piece(struct buf *b, const char *text, float score, uint64_t kind)
{
    struct buf piece = {0};
    put_message(&piece, 1, text, strlen(text));
    put_varint(&piece, 2 << 3 | 5);
    buf_add(&piece, &score, sizeof score);
    if (kind != 1)
        put_number(&piece, 3, kind);
    put_message(b, 1, piece.data, piece.len);
    buf_free(&piece);
}

struct spec {
    uint64_t model_type, byte_fallback, prefix, removes;
    const char *map;
};
static const struct spec sound = {2, 1, 1, 0, ""};

static void put_specs(struct buf *b, const struct spec *s)
{
    struct buf trainer = {0}, normalizer = {0};
    put_message(&trainer, 1, "corpus.txt", 10); /* nobody's concern here */
    put_number(&trainer, 3, s->model_type);
    put_number(&trainer, 35, s->byte_fallback);
    put_message(&normalizer, 1, "identity", 8);
    put_message(&normalizer, 2, s->map, strlen(s->map));
    put_number(&normalizer, 3, s->prefix);
    put_number(&normalizer, 4, s->removes);
    put_message(b, 2, trainer.data, trainer.len);
    put_message(b, 3, normalizer.data, normalizer.len);
    buf_free(&trainer);
    buf_free(&normalizer);
}

/* The pieces of the small Llama 2, with the scores that its merges would come from. */
static void put_pieces(struct buf *b)
{
    const cJSON *base = cJSON_GetObjectItem(cJSON_GetObjectItem(small, "bases"), "characters");
    const cJSON *model = cJSON_GetObjectItem(base, "model"), *piece, *merge;
    const cJSON *vocab = cJSON_GetObjectItem(model, "vocab"), *by_id[1024] = {NULL};
    const int n = cJSON_GetArraySize(vocab);
    ck_assert_int_le(n, (int)ARRAY_LEN(by_id));
    cJSON_ArrayForEach(piece, vocab) by_id[piece->valueint] = piece;
    for (int i = 0; i < n; i++) {
        piece = by_id[i];
        float score = -10000, rank = 0;
        cJSON_ArrayForEach(merge, cJSON_GetObjectItem(model, "merges"))
        {
            const char *line = merge->valuestring, *space = strchr(line, ' ');
            size_t left = (size_t)(space - line);
            if (strncmp(piece->string, line, left) == 0 &&
                strcmp(piece->string + left, space + 1) == 0)
                score = -rank;
            rank++;
        }
        bool byte = strncmp(piece->string, "<0x", 3) == 0;
        put_piece(b, piece->string, score,
                  byte                   ? 6
                  : piece->valueint == 0 ? 2
                  : piece->valueint < 3  ? 3
                                         : 1);
    }
}

/* Gives the tokenizer, or NULL and err. */
static struct tok *open_model(const void *bytes, size_t len, struct trit_error *err)
{
    struct gguf *g = NULL;
    struct tok *t = NULL;
    put("tokenizer.model", bytes, len);
    if (hf_open(dir, &g, err) == 0)
        (void)tok_open(g, 4096, &t, err);
    gguf_close(&g);
    return t;
}

/* Every text has the ids that this one of small.json has. */
static void ck_same_ids(const struct tok *t, const char *name)
{
    const cJSON *text = cJSON_GetObjectItem(small, "texts")->child;
    const cJSON *want = cJSON_GetObjectItem(named(name), "ids")->child, *id;
    for (; text; text = text->next, want = want->next) {
        struct tok_ids ids = {0};
        size_t i = 0, len = strlen(text->valuestring);
        if (strstr(text->valuestring, "<pad>"))
            continue; /* which the other does not have */
        ck_assert_int_eq(tok_encode(t, text->valuestring, len, TOK_PARSE_SPECIAL, 0, &ids), 0);
        ck_assert_int_eq(ids.n, cJSON_GetArraySize(want));
        cJSON_ArrayForEach(id, want)
            ck_assert_msg(ids.id[i++] == id->valueint, "differs: \"%s\"", text->valuestring);
        tok_ids_free(&ids);
    }
}

START_TEST(sentencepiece_models)
{
    static const char LIST[] = "{\"<pad>\":4000,\"<more>\":4001}";
    static const char ROLES[] = "{\"bos_token\":\"<s>\",\"pad_token\":\"<pad>\"}";
    static const char NEWER[] = "{\"bos_token\":\"<s>\",\"legacy\":false}";
    static const char DECODER[] =
        "{\"added_tokens_decoder\":{\"4000\":{\"content\":\"<pad>\",\"special\":true,"
        "\"lstrip\":true},\"4001\":{\"content\":\"<more>\"}}}";
    struct trit_error err = {0};
    struct buf b = {0};
    put_specs(&b, &sound);
    put_pieces(&b);
    put("added_tokens.json", LIST, strlen(LIST));
    put("tokenizer_config.json", ROLES, strlen(ROLES));
    struct tok *t = open_model(b.data, b.len, &err);
    ck_assert_msg(t != NULL, "%s", err.text);
    ck_assert_int_eq(tok_bos(t), 1);
    ck_assert(tok_adds_bos(t));
    ck_assert(tok_is_control(t, 4000) && tok_is_text(t, 4001));
    ck_same_ids(t, "Llama 2");
    tok_close(&t);

    /* Which since 2023 is the legacy of some: others have a space only where a text begins. */
    put("tokenizer_config.json", NEWER, strlen(NEWER));
    t = open_model(b.data, b.len, &err);
    ck_assert_msg(t != NULL, "%s", err.text);
    ck_same_ids(t, "Llama 2, Metaspace");
    tok_close(&t);

    /* tokenizer_config.json counts before added_tokens.json, and says more. */
    put("tokenizer_config.json", DECODER, strlen(DECODER));
    t = open_model(b.data, b.len, &err);
    ck_assert_msg(t != NULL, "%s", err.text);
    struct tok_ids ids = {0};
    ck_assert_int_eq(tok_encode(t, "\1 <pad>", 7, TOK_PARSE_SPECIAL, 0, &ids), 0);
    ck_assert_uint_eq(ids.n, 3); /* the space in front, a byte; the space between goes with <pad> */
    ck_assert_int_eq(ids.id[1], 3 + 1);
    ck_assert_int_eq(ids.id[2], 4000);
    tok_ids_free(&ids);
    tok_close(&t);
    buf_free(&b);
}
END_TEST

START_TEST(sentencepiece_refusals)
{
    static const struct {
        struct spec spec;
        const char *why;
    } cases[] = {
        {{1, 1, 1, 0, ""}, "BPE"},
        {{2, 0, 1, 0, ""}, "byte_fallback"},
        {{2, 1, 1, 1, ""}, "remove_extra_whitespaces"},
        {{2, 1, 1, 0, "map"}, "normalizer_spec"},
    };
    static const char LIST[] = "{\"<pad>\":\"x\"}";
    struct trit_error err = {0};
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&b);
        put_piece(&b, "a", -1, 1);
        put_specs(&b, &cases[i].spec);
        ck_assert_ptr_null(open_model(b.data, b.len, &err));
        ck_assert_msg(strstr(err.text, "tokenizer.model") && strstr(err.text, cases[i].why),
                      "case %zu: %s", i, err.text);
    }
    buf_reset(&b);
    put_piece(&b, "a", -1, 1);
    put_piece(&b, "b", -1, 5);
    ck_assert_ptr_null(open_model(b.data, b.len, &err));
    ck_assert_msg(strstr(err.text, "piece 1") && strstr(err.text, "type 5"), "%s", err.text);
    buf_reset(&b);
    put_piece(&b, "\xff", -1, 1);
    ck_assert_ptr_null(open_model(b.data, b.len, &err));
    ck_assert_msg(strstr(err.text, "piece 0") && strstr(err.text, "UTF-8"), "%s", err.text);

    /* Cut anywhere: never taken, as the specs come last. */
    buf_reset(&b);
    put_piece(&b, "ab\"\\", -1, 1);
    put_piece(&b, "<0x00>", 0, 6);
    put_specs(&b, &sound);
    for (size_t len = 0; len < b.len; len++)
        ck_assert_ptr_null(open_model(b.data, len, &err));
    put("added_tokens.json", LIST, strlen(LIST));
    ck_assert_ptr_null(open_model(b.data, b.len, &err));
    ck_assert_msg(strstr(err.text, "a number"), "%s", err.text);
    buf_free(&b);
}
END_TEST

/* A piece, a message with these bytes behind it, and the rest of a sound file. */
START_TEST(sentencepiece_damage)
{
    static const struct {
        uint32_t field; /* 0: the bytes stand as they are */
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {2, "\x08", 1, "trainer_spec is broken"},
        {2, "\xc0\x01\x01", 3, "trainer_spec.treat_whitespace_as_suffix is true, expected false"},
        {3, "\x12\x05x", 3, "normalizer_spec is broken"},
        {3, "\x28\x00\x20\x00", 4,
         "normalizer_spec changes more than spaces, expected the identity"},
        {1, "\x0a\x01", 2, "piece 1 is broken, expected a text in UTF-8 and a finite score"},
        {1, "\x0a\x00\x15\0\0\0\0", 7, "piece 1 is broken"},
        {1,
         "\x0a\x01"
         "a\x15\0\0\xc0\x7f",
         8, "piece 1 is broken"},
        {1,
         "\x0a\x02"
         "a\0",
         4, "piece 1 is broken"},
        {1,
         "\x0a\x01"
         "a\x18\x07",
         5, "piece 1 is of type 7, expected 1 to 4 or 6"},
        {1,
         "\x0a\x01"
         "a\x18\x00",
         5, "piece 1 is of type 0, expected 1 to 4 or 6"},
        {0, "\x08\x01", 2, "tokenizer.model: not a SentencePiece model"},
        {0, "\x23", 1, "not a SentencePiece model, or cut short"}, /* a group */
        {0,
         "\x21"
         "1234567",
         8, "not a SentencePiece model, or cut short"}, /* too few of 8 bytes */
        {0,
         "\x25"
         "123",
         4, "not a SentencePiece model, or cut short"},
        {0, "\x22\xff", 2, "not a SentencePiece model, or cut short"},
        {0, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
         "not a SentencePiece model, or cut short"},
    };
    struct trit_error err = {0};
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&b);
        put_piece(&b, "a", -1, 1);
        put_specs(&b, &sound);
        if (cases[i].field)
            put_message(&b, cases[i].field, cases[i].bytes, cases[i].len);
        else
            buf_add(&b, cases[i].bytes, cases[i].len);
        ck_assert_ptr_null(open_model(b.data, b.len, &err));
        ck_assert_msg(strstr(err.text, "tokenizer.model: ") && strstr(err.text, cases[i].why),
                      "case %zu: %s", i, err.text);
    }
    ck_assert_ptr_null(open_model("", 0, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "not a SentencePiece model, or cut short"));
    buf_free(&b);
}
END_TEST

/* Whatever fails for want of memory, nothing else is said. */
START_TEST(sentencepiece_without_memory)
{
    struct buf b = {0};
    unsigned n = 1;
    put_piece(&b, "<unk>", 0, 2);
    put_piece(&b, "<s>", 0, 3);
    put_piece(&b, "</s>", 0, 4);
    put_specs(&b, &sound);
    put("tokenizer.model", b.data, b.len);
    for (;; n++) {
        struct trit_error err = {0};
        struct gguf *g = NULL;
        mem_fail_at(n);
        int rc = hf_open(dir, &g, &err);
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        gguf_close(&g);
        if (!struck)
            break;
        ck_assert_msg(rc == -TRIT_ENOMEM || rc == 0, "%s", err.text);
    }
    ck_assert_uint_gt(n, 20);
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentencepiece");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, folder_setup, folder_teardown);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, sentencepiece_models);
    tcase_add_test(all, sentencepiece_refusals);
    tcase_add_test(all, sentencepiece_damage);
    tcase_add_test(all, sentencepiece_without_memory);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
