/* SPDX-License-Identifier: MIT */
/*
 * check_pipelines.c - tokenizer.json in all shapes that are read: ids equal to those of
 * @huggingface/tokenizers (tests/golden/tokenizer/make-small.mjs made them); and shapes that are
 * not, each refused by the name of its part.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/hf.h"
#include "tok-file.h"
#include "unit.h"

static char dir[64];
static cJSON *small;

static void put(const char *name, const void *bytes, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert(f && fwrite(bytes, 1, len, f) == len);
    ck_assert_int_eq(fclose(f), 0);
}

/* A folder with nothing in it that a tokenizer could depend on. */
static void setup(void)
{
    static const char CONFIG[] =
        "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_act\":\"silu\",\"hidden_size\":8,"
        "\"intermediate_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":1,"
        "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"vocab_size\":4096,"
        "\"torch_dtype\":\"bfloat16\"}";
    static const char TENSOR[] = "\x48\0\0\0\0\0\0\0{\"model.norm.weight\":{\"dtype\":\"BF16\","
                                 "\"shape\":[8],\"data_offsets\":[0,16]}}0123456789abcdef";
    ck_assert_uint_eq(sizeof TENSOR - 1, 8 + 0x48 + 16);
    log_open(LOG_ERROR, 0);
    snprintf(dir, sizeof dir, "/tmp/tritd-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    put("config.json", CONFIG, strlen(CONFIG));
    put("model.safetensors", TENSOR, sizeof TENSOR - 1);
    small = read_json("tests/golden/tokenizer/small.json");
}

static void teardown(void)
{
    static const char *const names[] = {"config.json",     "model.safetensors",
                                        "tokenizer.json",  "tokenizer_config.json",
                                        "tokenizer.model", "added_tokens.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    cJSON_Delete(small);
}

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

static const cJSON *named(const char *name)
{
    const cJSON *t;
    cJSON_ArrayForEach(
        t,
        cJSON_GetObjectItem(
            small, "tokenizers")) if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(t, "name")),
                                             name) == 0) return t;
    ck_abort_msg("no tokenizer is named %s", name);
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

/* ------------------------------------------------------------------ tokenizer.model */

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

START_TEST(sentencepiece_models)
{
    static const char LIST[] = "{\"<pad>\":4000,\"<more>\":4001}";
    static const char ROLES[] = "{\"bos_token\":\"<s>\",\"pad_token\":\"<pad>\"}";
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
    const cJSON *text = cJSON_GetObjectItem(small, "texts")->child;
    const cJSON *want = cJSON_GetObjectItem(named("Llama 2"), "ids")->child, *id;
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
    Suite *suite = suite_create("pipelines");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 60);
    tcase_add_test(all, ids_are_the_same);
    tcase_add_test(all, text_comes_back);
    tcase_add_test(all, sentencepiece_pieces);
    tcase_add_test(all, refusals);
    tcase_add_test(all, sentencepiece_models);
    tcase_add_test(all, sentencepiece_refusals);
    tcase_add_test(all, sentencepiece_damage);
    tcase_add_test(all, sentencepiece_without_memory);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
