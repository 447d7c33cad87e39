/* SPDX-License-Identifier: MIT */
/*
 * check_vocab.c - tokenizer metadata that is wrong: every refusal names the key, what was found and
 * what was expected; and no lack of memory does harm, in opening as in encoding.
 */
#include "config.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tok-file.h"
#include "unit.h"

static uint64_t seed;

static struct tok_file *sound(void)
{
    struct tok_file *f = tok_file_init();
    tok_file_merge(f, "t", "h");
    tok_file_merge(f, "th", "e");
    f->bos = tok_file_add(f, "<|begin|>", 3);
    f->eos = tok_file_add(f, "<|end|>", 3);
    f->rows = (uint32_t)f->n_tokens;
    return f;
}

/* Frees f.  Opening must fail like this, with every one of the words in the message. */
static void ck_refused(struct tok_file *f, int code, const char *a, const char *b, const char *c)
{
    struct trit_error err = {0};
    struct tok *t = (struct tok *)&err;
    struct gguf *g = tok_file_gguf(f);
    int rc = tok_open(g, f->rows, &t, &err);
    ck_assert_msg(rc == -code, "found %d, expected %d: %s", rc, -code, err.text);
    ck_assert_int_eq(err.code, code);
    ck_assert_ptr_null(t);
    ck_assert_msg(strstr(err.text, "/proc/self/fd/"), "no file: %s", err.text);
    ck_assert_msg(strstr(err.text, a) && strstr(err.text, b) && strstr(err.text, c),
                  "lacks \"%s\", \"%s\" or \"%s\": %s", a, b, c, err.text);
    gguf_close(&g);
    free(f);
}

static struct tok_file *bent_key(const char *key)
{
    struct tok_file *f = sound();
    f->as_u32 = key;
    return f;
}

START_TEST(wrong_types_and_missing_keys)
{
    const int F = TRIT_EFORMAT;
    struct tok_file *f;
    ck_refused(bent_key("tokenizer.ggml.model"), F, "tokenizer.ggml.model", "u32", "string");
    ck_refused(bent_key("tokenizer.ggml.pre"), F, "tokenizer.ggml.pre", "u32", "string");
    ck_refused(bent_key("tokenizer.ggml.tokens"), F, "tokenizer.ggml.tokens", "u32", "string");
    ck_refused(bent_key("tokenizer.ggml.token_type"), F, "tokenizer.ggml.token_type", "u32", "i32");
    ck_refused(bent_key("tokenizer.ggml.merges"), F, "tokenizer.ggml.merges", "u32", "string");
    ck_refused(bent_key("tokenizer.ggml.add_bos_token"), F, "add_bos_token", "u32", "bool");
    ck_refused(bent_key("tokenizer.ggml.add_eos_token"), F, "add_eos_token", "u32", "bool");
    f = sound();
    f->model = NULL;
    ck_refused(f, TRIT_ENOENT, "tokenizer.ggml.model", "missing", "");
    f = sound();
    f->no_tokens = true;
    ck_refused(f, TRIT_ENOENT, "tokenizer.ggml.tokens", "missing", "");
    f = sound();
    f->no_merges = true;
    ck_refused(f, TRIT_ENOENT, "tokenizer.ggml.merges", "missing", "");
}
END_TEST

START_TEST(unknown_models)
{
    struct tok_file *f = sound();
    f->model = "bert";
    ck_refused(f, TRIT_EUNSUPP, "tokenizer.ggml.model", "\"bert\"", "gpt2");
    f = sound();
    f->model = "gpt";
    ck_refused(f, TRIT_EUNSUPP, "tokenizer.ggml.model", "\"gpt\"", "gpt2");
    f = sound();
    f->pre = "deepseek-llm";
    ck_refused(f, TRIT_EUNSUPP, "tokenizer.ggml.pre", "deepseek-llm",
               "llama-bpe, llama3, llama-v3, falcon3, falcon_e, falcon-h1, qwen2, qwen35, gpt-2, default, "
               "olmo, starcoder, smollm");
    f = sound();
    f->pre = "";
    ck_refused(f, TRIT_EUNSUPP, "tokenizer.ggml.pre", "\"\"", "llama-bpe");
}
END_TEST

START_TEST(wrong_tokens)
{
    const int F = TRIT_EFORMAT;
    struct tok_file *f = sound();
    f->rows = (uint32_t)f->n_tokens - 1;
    ck_refused(f, F, "tokenizer.ggml.tokens", "found 260", "1 to 259");
    f = sound();
    f->n_tokens = f->n_kinds = 0;
    ck_refused(f, F, "tokenizer.ggml.tokens", "found 0", "1 to 260");
    f = sound();
    f->n_kinds--;
    ck_refused(f, F, "tokenizer.ggml.token_type", "found 259", "expected 260");
    f = sound();
    f->kind[7] = 6;
    ck_refused(f, F, "tokenizer.ggml.token_type", "element 7 is 6", "1 to 5");
    f = sound();
    f->kind[7] = -1;
    ck_refused(f, F, "tokenizer.ggml.token_type", "element 7 is -1", "1 to 5");
    f = sound();
    strcpy(f->token[256], "a b"); /* A space is not in the alphabet. */
    ck_refused(f, F, "tokenizer.ggml.tokens", "element 256", "alphabet");
    f = sound();
    strcpy(f->token[256], "\xff\xfe");
    ck_refused(f, F, "tokenizer.ggml.tokens", "element 256", "alphabet");
    f = sound();
    strcpy(f->token[258], "\xff\xfe");
    ck_refused(f, F, "tokenizer.ggml.tokens", "element 258", "UTF-8");
    f = sound();
    strcpy(f->token[256], "a");
    ck_refused(f, F, "tokenizer.ggml.tokens", "elements 97 and 256", "once");
    f = sound();
    strcpy(f->token[259], "<|begin|>");
    ck_refused(f, F, "tokenizer.ggml.tokens", "258 and 259", "once");
    f = sound();
    strcpy(f->token[200], "zz");
    ck_refused(f, F, "tokenizer.ggml.tokens", "byte 0xC8", "");
    f = sound();
    f->kind['a'] = 3;
    ck_refused(f, F, "tokenizer.ggml.tokens", "byte 0x61", "");
    f = sound();
    f->bos = 260;
    ck_refused(f, F, "tokenizer.ggml.bos_token_id", "found 260", "less than 260");
    f = sound();
    f->eos = 1ll << 40;
    ck_refused(f, F, "tokenizer.ggml.eos_token_id", "found 1099511627776", "less than 260");
}
END_TEST

START_TEST(wrong_merges)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"", "two tokens"},           {"t", "two tokens"},     {"t ", "two tokens"},
        {" t", "two tokens"},         {" ", "two tokens"},     {"qq e", "left part"},
        {"t qq", "right part"},       {"t z", "whole"},        {"t h e", "right part"},
        {"t  h", "right part"},       {"\xff h", "left part"}, {"t \xe2\x82", "right part"},
        {"<|begin|> h", "left part"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tok_file *f = sound();
        strcpy(f->merge[1], cases[i].line);
        ck_refused(f, TRIT_EFORMAT, "tokenizer.ggml.merges", "element 1", cases[i].why);
    }
}
END_TEST

static struct tok_file *sound_llama(void)
{
    struct tok_file *f = tok_file_init_llama();
    tok_file_add(f, "th", 1);
    f->rows = (uint32_t)f->n_tokens;
    return f;
}

START_TEST(wrong_sentencepiece)
{
    const int F = TRIT_EFORMAT;
    struct tok_file *f = sound_llama();
    f->as_u32 = "tokenizer.ggml.scores";
    ck_refused(f, F, "tokenizer.ggml.scores", "u32", "f32");
    f = sound_llama();
    f->as_u32 = "tokenizer.ggml.add_space_prefix";
    ck_refused(f, F, "add_space_prefix", "u32", "bool");
    f = sound_llama();
    f->n_scores_more = -1;
    ck_refused(f, F, "tokenizer.ggml.scores", "found 260", "expected 261");
    f = sound_llama();
    f->score[7] = 0.0f / 0.0f;
    ck_refused(f, F, "tokenizer.ggml.scores", "element 7", "finite");
    f = sound_llama();
    f->kind[3 + 'a'] = 1;
    ck_refused(f, F, "tokenizer.ggml.tokens", "byte 0x61", "");
    f = sound_llama();
    f->kind[260] = 6;
    ck_refused(f, F, "tokenizer.ggml.tokens", "element 260", "\"th\"");
    f = sound_llama();
    strcpy(f->token[3 + 'b'], "<0x61>");
    ck_refused(f, F, "tokenizer.ggml.tokens", "element 101", "each once");
    f = sound_llama();
    f->kind[260] = 7;
    ck_refused(f, F, "tokenizer.ggml.token_type", "element 260 is 7", "1 to 6");
    f = sound_llama();
    strcpy(f->token[260], "\xff\xfe");
    ck_refused(f, F, "tokenizer.ggml.tokens", "element 260", "UTF-8");
    f = sound_llama();
    strcpy(f->token[260], "\xe2\x96\x81");
    ck_refused(f, F, "tokenizer.ggml.tokens", "elements 259 and 260", "once");
    /* A space as it stands is no way to write one: the piece is never found, and does no harm. */
    f = sound_llama();
    strcpy(f->token[260], " ");
    f->no_kinds = true; /* names tell bytes, too */
    struct tok *t = tok_file_open(f);
    CK_ENCODES(t, " a", 0, 259, 259, 3 + 'a');
    tok_close(&t);
    f->space_prefix = 0;
    t = tok_file_open(f);
    CK_ENCODES(t, " a", 0, 259, 3 + 'a');
    tok_close(&t);
    free(f);
}
END_TEST

START_TEST(long_names)
{
    /* The name of a special token costs at every position where it begins. */
    struct tok_file *f = sound();
    struct buf file = {0}, name = {0};
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct trit_error err = {0};
    char path[64];
    int fd = memfd_create("long-name", MFD_CLOEXEC);
    for (int i = 0; i < 513; i++)
        buf_addc(&name, 'x');
    gguf_put_head(&file, 3, 0, 4);
    gguf_put_key(&file, "tokenizer.ggml.model", GGUF_STRING);
    gguf_put_text(&file, "gpt2", 4);
    gguf_put_array(&file, "tokenizer.ggml.tokens", GGUF_STRING, 257);
    for (size_t i = 0; i < 256; i++)
        gguf_put_text(&file, f->token[i], strlen(f->token[i]));
    gguf_put_text(&file, name.data, name.len);
    gguf_put_array(&file, "tokenizer.ggml.token_type", GGUF_I32, 257);
    for (size_t i = 0; i < 257; i++)
        gguf_put_u32(&file, i < 256 ? 1 : 4);
    gguf_put_array(&file, "tokenizer.ggml.merges", GGUF_STRING, 0);
    ck_assert_int_eq(pwrite(fd, file.data, file.len, 0), (ssize_t)file.len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ck_assert_msg(gguf_open(path, &g, &err) == 0, "%s", err.text);
    ck_assert_int_eq(tok_open(g, 1000, &t, &err), -TRIT_EFORMAT);
    ck_assert_msg(strstr(err.text, "256") && strstr(err.text, "513"), "%s", err.text);
    gguf_close(&g);
    close(fd);
    buf_free(&file);
    buf_free(&name);
    free(f);
}
END_TEST

/* Files that are odd and good all the same. */
START_TEST(odd_but_sound)
{
    struct tok_file *f = sound();
    /* Bytes that UTF-8 never has may lack tokens. */
    strcpy(f->token[0xc0], "unlikely");
    strcpy(f->token[0xff], "unlikelier");
    /* Without kinds all tokens are normal but for those that cannot be. */
    f->no_kinds = true;
    f->bos = tok_file_add(f, "begin", 1);
    f->rows++;
    struct tok *t = tok_file_open(f);
    ck_assert(tok_is_control(t, 259));
    ck_assert(tok_is_control(t, 260));
    ck_assert(!tok_is_control(t, 'a'));
    ck_assert_int_eq(tok_find(t, "<|end|>"), 259);
    tok_close(&t);
    free(f);

    /* Names that look like commands are commands, whatever the file says; others are not. */
    static const struct {
        const char *name;
        int kind;
        bool control;
    } names[] = {
        {"<|eot_id|>", 1, true}, {"<|im_end|>", 4, true}, {"<|a-b_9|>", 1, true},
        {"<think>", 4, false},   {"<||>", 4, false},      {"<|a.b|>", 4, false},
        {"<|>", 1, false},       {"<unk>", 2, true},      {"", 1, false},
    };
    f = sound();
    int32_t first = (int32_t)f->n_tokens;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        tok_file_add(f, names[i].name, names[i].kind);
    f->rows = 5000; /* More rows than tokens are padding. */
    t = tok_file_open(f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_msg(tok_is_control(t, first + (int32_t)i) == names[i].control, "%s",
                      names[i].name);
    ck_assert_uint_eq(tok_size(t), f->n_tokens);
    tok_close(&t);
    free(f);

    /* A pair that is written twice: the last one counts, so "bc" comes before "ab" here. */
    f = tok_file_init();
    tok_file_merge(f, "a", "b");
    tok_file_merge(f, "b", "c");
    tok_file_merge(f, "a", "b");
    f->pre = "qwen2";
    t = tok_file_open(f);
    CK_ENCODES(t, "abc", 0, 'a', 257);
    tok_close(&t);
    free(f);

    /* A user-defined token may be a part of merges, and a character that bytes spell as well. */
    f = tok_file_init();
    int32_t lines = tok_file_add(f, "\n\n", 4);
    tok_file_merge(f, "Ċ", "Ċ");
    ck_assert_str_eq(f->token[f->n_tokens - 1], "ĊĊ");
    int32_t merged = (int32_t)f->n_tokens - 1;
    t = tok_file_open(f);
    CK_ENCODES(t, "a\n\n\n", 0, 'a', lines, '\n');
    ck_assert(merged != lines);
    tok_close(&t);
    free(f);
}
END_TEST

/* Every allocation in turn fails once: a clean error, or success where it was not needed. */
START_TEST(no_memory_to_open)
{
    struct tok_file *f = sound();
    struct gguf *g = tok_file_gguf(f);
    bool failed = true;
    unsigned n = 0;
    while (failed) {
        struct trit_error err = {0};
        struct tok *t = NULL;
        mem_fail_at(++n);
        int rc = tok_open(g, f->rows, &t, &err);
        failed = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? -TRIT_ENOMEM : 0);
        ck_assert_int_eq(err.code, failed ? TRIT_ENOMEM : 0);
        ck_assert(failed == (t == NULL));
        tok_close(&t);
    }
    ck_assert_uint_gt(n, 10);
    gguf_close(&g);
    free(f);
}
END_TEST

START_TEST(no_memory_to_encode)
{
    struct tok_file *f = sound();
    struct tok *t = tok_file_open(f);
    struct buf text = {0};
    for (int i = 0; i < 300; i++)
        buf_adds(&text, i % 7 ? "other" : " <|end|>\n");
    bool failed = true;
    unsigned n = 0;
    while (failed) {
        struct tok_ids ids = {0};
        mem_fail_at(++n);
        int rc = tok_encode(t, text.data, text.len, TOK_PARSE_SPECIAL, 0, &ids);
        failed = !mem_fail_pending();
        mem_fail_at(0);
        ck_assert_int_eq(rc, failed ? -TRIT_ENOMEM : 0);
        ck_assert(failed == (ids.n == 0));
        tok_ids_free(&ids);
    }
    ck_assert_uint_gt(n, 8);
    buf_free(&text);
    tok_close(&t);
    free(f);
}
END_TEST

/* Descriptions bent at random: refused or opened, never more than that. */
START_TEST(random_damage)
{
    unsigned opened = 0, refused = 0;
    for (int round = 0; round < 1500; round++) {
        struct tok_file *f = sound();
        for (int n = 1 + (int)(unit_random(&seed) % 3); n > 0; n--) {
            uint64_t r = unit_random(&seed) >> 8;
            size_t i = r % f->n_tokens;
            switch ((r >> 32) % 6) {
            case 0:
                f->token[i][r % 3] = (char)(r >> 16);
                break;
            case 1:
                f->kind[i] = (int32_t)(r >> 16) % 8;
                break;
            case 2:
                f->merge[r % 2][(r >> 3) % 5] = (char)(r >> 16);
                break;
            case 3:
                f->n_merges = r % 4;
                break;
            case 4:
                f->bos = (int64_t)(r % 300);
                break;
            default:
                f->kind[256 + r % 4] = (int32_t)(1 + r % 5);
                break;
            }
        }
        struct trit_error err = {0};
        struct tok *t = NULL;
        struct gguf *g = tok_file_gguf(f);
        if (tok_open(g, f->rows, &t, &err) == 0) {
            struct tok_ids ids = {0};
            ck_assert_int_eq(tok_encode(t, "the other <|end|>", 17, 3, 0, &ids), 0);
            tok_ids_free(&ids);
            opened++;
        } else {
            ck_assert_str_ne(err.text, "");
            refused++;
        }
        tok_close(&t);
        gguf_close(&g);
        free(f);
    }
    ck_assert_uint_gt(opened, 20);
    ck_assert_uint_gt(refused, 20);
}
END_TEST

int main(void)
{
    seed = unit_seed();
    log_open(LOG_ERROR, 0);
    Suite *suite = suite_create("vocab");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, wrong_types_and_missing_keys);
    tcase_add_test(all, unknown_models);
    tcase_add_test(all, wrong_tokens);
    tcase_add_test(all, wrong_merges);
    tcase_add_test(all, wrong_sentencepiece);
    tcase_add_test(all, long_names);
    tcase_add_test(all, odd_but_sound);
    tcase_add_test(all, no_memory_to_open);
    tcase_add_test(all, no_memory_to_encode);
    tcase_add_test(all, random_damage);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
