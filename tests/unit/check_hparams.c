/* SPDX-License-Identifier: MIT */
/*
 * check_hparams.c - hyperparameters from metadata: what a sound model means, and each way to be
 * refused, word for word.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "model/arch.h"
#include "model/gguf-private.h"
#include "model/load-parts.h"
#include "model/quant.h"
#include "unit/unit.h"

/* "name value" with ';' between; NAME of "bitnet-b1.58.NAME" unless it begins with '/'.  Later ones
 * replace earlier ones; "-" takes a key away.  A value with quotes is a text, one with a point a
 * float, true and false are what they say, "[" an array of integers. */
static const char SOUND[] =
    "/general.architecture \"bitnet-b1.58\";block_count 2;embedding_length 64;"
    "feed_forward_length 128;context_length 512;attention.head_count 4;"
    "attention.layer_norm_rms_epsilon .00001";

struct pair {
    char key[160], value[80];
};

static size_t split(struct pair *pair, size_t n, const char *text)
{
    while (*text) {
        const char *space = strchr(text, ' ');
        size_t len = strcspn(text, ";"), name = (size_t)(space - text);
        struct pair p = {.key = ""};
        snprintf(p.key, sizeof p.key, "%s%.*s", *text == '/' ? "" : "bitnet-b1.58.",
                 (int)name - (*text == '/'), text + (*text == '/'));
        snprintf(p.value, sizeof p.value, "%.*s", (int)(len - name - 1), space + 1);
        size_t i = 0;
        while (i < n && strcmp(pair[i].key, p.key) != 0)
            i++;
        pair[i] = p;
        n = MAX(n, i + 1);
        text += len + (text[len] == ';');
    }
    return n;
}

/* ne: of token_embd.weight; NULL: it is not there.  The path is "file". */
static int read_them(const char *changes, const uint64_t ne[2], struct model *m,
                     struct trit_error *err)
{
    struct pair pair[32];
    struct gguf *g;
    size_t n = split(pair, split(pair, 0, SOUND), changes);
    ck_assert_uint_le(n, ARRAY_LEN(pair));
    ck_assert_int_eq(gguf_make("file", &g, err), 0);
    for (size_t i = 0; i < n; i++) {
        const char *key = pair[i].key, *v = pair[i].value;
        if (*v == '"')
            gguf_make_string(g, key, v + 1, strlen(v) - 2);
        else if (*v == '[')
            gguf_make_ints(g, key, (int32_t[]){1, 2}, 2);
        else if (*v == 't' || *v == 'f')
            gguf_make_bool(g, key, *v == 't');
        else if (strpbrk(v, ".n"))
            gguf_make_float(g, key, strtod(v, NULL));
        else if (strcmp(v, "-") != 0)
            gguf_make_uint(g, key, strtoull(v, NULL, 10));
    }
    if (ne) {
        struct gguf_tensor t = {.name = "token_embd.weight",
                                .quant = quant_find(QUANT_F32),
                                .type = QUANT_F32,
                                .n_dims = ne[1] ? 2 : 1,
                                .ne = {ne[0], MAX(ne[1], 1u), 1, 1}};
        gguf_make_tensor(g, &t, t.name, -1, 0);
    }
    ck_assert_int_eq(gguf_make_done(g, err), 0);
    memset(m, 0, sizeof *m);
    memset(err, 0, sizeof *err);
    int rc = hparams_read(g, m, err);
    ck_assert_int_eq(err->code, -rc);
    gguf_close(&g);
    return rc;
}

static const uint64_t embedding[2] = {64, 300};

START_TEST(sound)
{
    struct model m;
    struct trit_error err;
    ck_assert_msg(read_them("", embedding, &m, &err) == 0, "%s", err.text);
    ck_assert_str_eq(m.arch->name, "bitnet-b1.58");
    ck_assert_uint_eq(m.hp.n_layers, 2);
    ck_assert_uint_eq(m.hp.dim, 64);
    ck_assert_uint_eq(m.hp.ffn, 128);
    ck_assert_uint_eq(m.hp.n_ctx, 512);
    ck_assert_uint_eq(m.hp.n_heads, 4);
    ck_assert_uint_eq(m.hp.n_kv_heads, 4);
    ck_assert_uint_eq(m.hp.head_dim, 16);
    ck_assert_uint_eq(m.hp.rope_dims, 16);
    ck_assert_uint_eq(m.hp.vocab, 300);
    ck_assert_double_eq(m.hp.rope_base, 10000);
    ck_assert_double_eq(m.hp.rope_scale, 1);
    ck_assert(m.hp.absmean && m.hp.output_norm && m.hp.method == METHOD_TERNARY);
    ck_assert(!m.hp.yarn.on && !m.hp.bands.on);

    const char *other = "attention.head_count_kv 2;attention.key_length 32;"
                        "attention.value_length 32;rope.dimension_count 8;rope.freq_base 5.5;"
                        "/general.master_weights false;/tritd.method \"onebit\";"
                        "/tritd.onebit.output_norm false;vocab_size 300;"
                        "rope.scaling.type \"linear\";rope.scaling.factor 4.";
    ck_assert_msg(read_them(other, embedding, &m, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(m.hp.n_kv_heads, 2);
    ck_assert_uint_eq(m.hp.head_dim, 32);
    ck_assert_uint_eq(m.hp.rope_dims, 8);
    ck_assert_double_eq(m.hp.rope_base, 5.5);
    ck_assert_double_eq(m.hp.rope_scale, 4);
    ck_assert(!m.hp.absmean && !m.hp.output_norm && m.hp.method == METHOD_ONEBIT);

    ck_assert_int_eq(
        read_them("rope.scaling.type \"none\";rope.scaling.factor 4.", embedding, &m, &err), 0);
    ck_assert_double_eq(m.hp.rope_scale, 1);
}
END_TEST

START_TEST(scaled)
{
    struct model m;
    struct trit_error err;
    const char *yarn = "rope.scaling.type \"yarn\";rope.scaling.original_context_length 128;"
                       "rope.scaling.factor 4.;rope.scaling.attn_factor .5;"
                       "rope.scaling.yarn_beta_fast 30.;rope.scaling.yarn_beta_slow 2.";
    const char *llama3 = "rope.scaling.type \"llama3\";rope.scaling.original_context_length 128;"
                         "rope.scaling.factor 8.;rope.scaling.low_freq_factor 1.;"
                         "rope.scaling.high_freq_factor 4.";
    ck_assert_msg(read_them(yarn, embedding, &m, &err) == 0, "%s", err.text);
    ck_assert(m.hp.yarn.on && m.hp.yarn.n_ctx == 128);
    ck_assert_double_eq(m.hp.rope_scale, 4);
    ck_assert_double_eq(m.hp.yarn.beta_fast, 30);
    ck_assert_double_eq(m.hp.yarn.beta_slow, 2);
    ck_assert_double_eq_tol(m.hp.yarn.size, 0.5 * (1 + 0.1 * log(4)), 1e-12);
    ck_assert_msg(read_them(llama3, embedding, &m, &err) == 0, "%s", err.text);
    ck_assert(m.hp.bands.on && m.hp.bands.n_ctx == 128);
    ck_assert_double_eq(m.hp.bands.low, 1);
    ck_assert_double_eq(m.hp.bands.high, 4);
}
END_TEST

#define YARN "rope.scaling.type \"yarn\";rope.scaling.original_context_length 128;"
#define L3   "rope.scaling.type \"llama3\";rope.scaling.original_context_length 128;"

static const struct {
    const char *changes, *says;
    int code; /* 0: TRIT_EFORMAT */
} bad[] = {
    {"/general.architecture -", "key general.architecture is missing", 0},
    {"/general.architecture 7", "key general.architecture: found u64, expected string", 0},
    {"/general.architecture \"gpt2\"",
     "general.architecture is \"gpt2\", supported are bitnet, bitnet-25, bitnet-b1.58, llama, ",
     TRIT_EUNSUPP},
    {"block_count -", "key bitnet-b1.58.block_count is missing", 0},
    {"block_count \"2\"", "key bitnet-b1.58.block_count: found string, expected an integer", 0},
    {"block_count 2.", "key bitnet-b1.58.block_count: found f64, expected an integer", 0},
    {"block_count [", "key bitnet-b1.58.block_count: found array of i32, expected an integer", 0},
    {"block_count 0", "bitnet-b1.58.block_count is 0, expected 1 to 1024", 0},
    {"block_count 1025", "bitnet-b1.58.block_count is 1025, expected 1 to 1024", 0},
    {"embedding_length -", "key bitnet-b1.58.embedding_length is missing", 0},
    {"embedding_length 65537", "bitnet-b1.58.embedding_length is 65537, expected 1 to 65536", 0},
    {"feed_forward_length -", "key bitnet-b1.58.feed_forward_length is missing", 0},
    {"feed_forward_length 524289",
     "bitnet-b1.58.feed_forward_length is 524289, expected 1 to 524288", 0},
    {"context_length -", "key bitnet-b1.58.context_length is missing", 0},
    {"context_length 0", "bitnet-b1.58.context_length is 0, expected 1 to 16777216", 0},
    {"attention.head_count -", "key bitnet-b1.58.attention.head_count is missing", 0},
    {"attention.head_count 18446744073709551615",
     "bitnet-b1.58.attention.head_count is 18446744073709551615, expected 1 to 1024", 0},
    {"attention.head_count_kv 0", "bitnet-b1.58.attention.head_count_kv is 0, expected 1 to 1024",
     0},
    {"attention.head_count_kv 3", "4 attention heads cannot share 3 KV heads evenly", 0},
    {"attention.key_length 1", "bitnet-b1.58.attention.key_length is 1, expected 2 to 1024", 0},
    {"attention.value_length 1025",
     "bitnet-b1.58.attention.value_length is 1025, expected 2 to 1024", 0},
    {"attention.value_length 8", "attention.value_length is 8, expected 16 as the keys",
     TRIT_EUNSUPP},
    {"attention.head_count 3", "embedding_length 64 does not divide into 3 heads of 2 to 1024", 0},
    {"attention.head_count 64", "embedding_length 64 does not divide into 64 heads of 2 to 1024",
     0},
    {"embedding_length 4096;attention.head_count 1",
     "embedding_length 4096 does not divide into 1 heads of 2 to 1024", 0},
    {"rope.dimension_count 18", "bitnet-b1.58.rope.dimension_count is 18, expected 2 to 16", 0},
    {"rope.dimension_count 7", "bitnet-b1.58.rope.dimension_count is 7, expected even", 0},
    {"attention.layer_norm_rms_epsilon -",
     "key bitnet-b1.58.attention.layer_norm_rms_epsilon is missing", 0},
    {"attention.layer_norm_rms_epsilon 1",
     "key bitnet-b1.58.attention.layer_norm_rms_epsilon: found u64, expected f32 or f64", 0},
    {"attention.layer_norm_rms_epsilon 0.0",
     "bitnet-b1.58.attention.layer_norm_rms_epsilon is 0, expected 1e-12 to 1", 0},
    {"attention.layer_norm_rms_epsilon nan",
     "key bitnet-b1.58.attention.layer_norm_rms_epsilon: found nan, expected a finite number", 0},
    {"rope.freq_base .5", "bitnet-b1.58.rope.freq_base is 0.5, expected 1 to 1e+12", 0},
    {"pooling_type 2147483648", "bitnet-b1.58.pooling_type is 2147483648, expected 0 to 2147483647",
     0},
    {"rope.scaling.type 3", "key bitnet-b1.58.rope.scaling.type: found u64, expected string", 0},
    {"rope.scaling.type \"longrope\"",
     "bitnet-b1.58.rope.scaling.type is \"longrope\", supported are none, linear, yarn and llama3",
     TRIT_EUNSUPP},
    {"rope.scaling.type \"linear\";rope.scaling.factor 0.0",
     "bitnet-b1.58.rope.scaling.factor is 0, expected 0.001 to 1e+06", 0},
    {"rope.scaling.type \"yarn\"",
     "key bitnet-b1.58.rope.scaling.original_context_length is missing", 0},
    {YARN "a 1", "key bitnet-b1.58.rope.scaling.factor is missing", 0},
    {YARN "rope.scaling.factor .5", "bitnet-b1.58.rope.scaling.factor is 0.5, expected 1 to 1e+06",
     0},
    {YARN "rope.scaling.factor 2.;rope.scaling.attn_factor 0.0",
     "bitnet-b1.58.rope.scaling.attn_factor is 0, expected 0.001 to 1000", 0},
    {YARN "rope.scaling.factor 2.;rope.scaling.yarn_beta_fast 0.0",
     "bitnet-b1.58.rope.scaling.yarn_beta_fast is 0, expected 0.001 to 1e+06", 0},
    {YARN "rope.scaling.factor 2.;rope.scaling.yarn_beta_slow 0.0",
     "bitnet-b1.58.rope.scaling.yarn_beta_slow is 0, expected 0.001 to 1e+06", 0},
    {"rope.scaling.type \"llama3\"",
     "key bitnet-b1.58.rope.scaling.original_context_length is missing", 0},
    {L3 "a 1", "key bitnet-b1.58.rope.scaling.factor is missing", 0},
    {L3 "rope.scaling.factor 8.", "key bitnet-b1.58.rope.scaling.low_freq_factor is missing", 0},
    {L3 "rope.scaling.factor 8.;rope.scaling.low_freq_factor 1.",
     "key bitnet-b1.58.rope.scaling.high_freq_factor is missing", 0},
    {L3 "rope.scaling.factor 8.;rope.scaling.low_freq_factor 4.;rope.scaling.high_freq_factor 4.",
     "rope.scaling.low_freq_factor is 4, expected less than 4, the high one", 0},
    {"/general.master_weights 1", "key general.master_weights: found u64, expected bool", 0},
    {"/tritd.method 1", "key tritd.method: found u64, expected string", 0},
    {"/tritd.method \"two\"",
     "tritd.method is \"two\", supported are ternary, onebit, b1 and billm", TRIT_EUNSUPP},
    {"/tritd.method \"onebit\";/tritd.onebit.output_norm 1",
     "key tritd.onebit.output_norm: found u64, expected bool", 0},
    {"vocab_size 301", "bitnet-b1.58.vocab_size is 301, but token_embd.weight has 300 rows", 0},
    {"vocab_size 0", "bitnet-b1.58.vocab_size is 0, expected 1 to 2147483647", 0},
};

START_TEST(refused)
{
    struct model m;
    struct trit_error err;
    char says[300];
    int rc = read_them(bad[_i].changes, embedding, &m, &err);
    ck_assert_msg(rc != 0, "%s: taken", bad[_i].changes);
    snprintf(says, sizeof says, "file: %s", bad[_i].says);
    ck_assert_msg(strncmp(err.text, says, strlen(says)) == 0, "\"%s\" is not \"%s\"", err.text,
                  says);
    ck_assert_int_eq(err.code, bad[_i].code ? bad[_i].code : TRIT_EFORMAT);
}
END_TEST

START_TEST(embeddings)
{
    struct model m;
    struct trit_error err;
    ck_assert_int_eq(read_them("", NULL, &m, &err), -TRIT_EFORMAT);
    ck_assert_str_eq(err.text, "file: tensor token_embd.weight is missing");
    ck_assert_int_eq(read_them("", (uint64_t[]){64, 0}, &m, &err), -TRIT_EFORMAT);
    ck_assert_str_eq(err.text, "file: tensor token_embd.weight is not a matrix");
    ck_assert_int_eq(read_them("", (uint64_t[]){64, 536870912}, &m, &err), -TRIT_EFORMAT);
    ck_assert_str_eq(err.text,
                     "file: token_embd.weight has 536870912 rows, expected at most 536870911");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hparams");
    TCase *c = tcase_create("hparams");
    tcase_add_test(c, sound);
    tcase_add_test(c, scaled);
    tcase_add_loop_test(c, refused, 0, ARRAY_LEN(bad));
    tcase_add_test(c, embeddings);
    suite_add_tcase(s, c);
    return unit_run(s);
}
