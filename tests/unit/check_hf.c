/* SPDX-License-Identifier: MIT */
/*
 * check_hf.c - folders of Hugging Face files: the keys and tensors that come of them, and files
 * that are changed, cut or missing.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/gguf.h"
#include "model/hf-parts.h"
#include "model/quant.h"
#include "model/tokenizer.h"
#include "unit/hf-folder.h"
#include "unit/unit.h"

static double number(const char *key)
{
    double d = -1;
    uint64_t u;
    struct trit_error ignored;
    if (gguf_uint(g, key, &u, &ignored) == 0)
        return (double)u;
    (void)gguf_float(g, key, &d, &ignored);
    return d;
}

static bool is_text(const char *key, const char *want)
{
    struct gguf_str s;
    return gguf_string(g, key, &s, NULL) == 0 && s.len == strlen(want) &&
           memcmp(s.data, want, s.len) == 0;
}

START_TEST(a_good_folder)
{
    bool yes;
    const int32_t *ids;
    size_t n;
    ck_assert_msg(open_it() == 0, "%s", err.text);
    ck_assert(is_text("general.architecture", "bitnet-b1.58"));
    ck_assert_double_eq(number("bitnet-b1.58.embedding_length"), 8);
    ck_assert_double_eq(number("bitnet-b1.58.rope.freq_base"), 500000);
    ck_assert(!gguf_has(g, "bitnet-b1.58.attention.key_length"));
    ck_assert_double_eq(number("general.sampling.temp"), 0.6);
    ck_assert(!gguf_has(g, "general.sampling.top_k"));
    ck_assert(is_text("tokenizer.ggml.pre", "gpt-2"));
    ck_assert(is_text("tokenizer.chat_template", "<|im_start|><|im_end|>"));
    ck_assert(is_text("tokenizer.chat_template.tool_use", "tools"));
    ck_assert_double_eq(number("tokenizer.ggml.bos_token_id"), 256);
    ck_assert_double_eq(number("tokenizer.ggml.eos_token_id"), 257);
    ck_assert_int_eq(gguf_ints(g, "tokenizer.ggml.eos_token_ids", &ids, &n, NULL), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(ids[1], 258);
    ck_assert(gguf_bool(g, "tokenizer.ggml.add_bos_token", &yes, NULL) == 0 && yes);
    ck_assert(gguf_bool(g, "general.master_weights", &yes, NULL) == 0 && !yes);
    /* The head is tied, so lm_head is left out. */
    ck_assert_uint_eq(gguf_n_tensors(g), 3);
    const struct gguf_tensor *t = gguf_tensor(g, "blk.0.ffn_gate.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_str_eq(t->origin, "model.layers.0.mlp.gate_proj.weight");
    ck_assert_uint_eq(t->type, QUANT_HF_U8);
    ck_assert_uint_eq(t->ne[0], 8);
    ck_assert_uint_eq(t->ne[1], 12);
    ck_assert_uint_eq(t->bytes, 24);
    ck_assert_ptr_nonnull(gguf_tensor(g, "blk.0.ffn_gate.scale"));
    ck_assert_uint_eq(gguf_n_files(g), 5);
}
END_TEST

/* A change of config.json, and what is to come of it. */
#define CLASS "\"BitNetForCausalLM\"],\"hidden_act\":\"relu2\""

static const struct {
    const char *from, *to, *key;
    double value;
} meant[] = {
    {CLASS, "\"Gemma3ForCausalLM\"]", "gemma3-offset.attention.sliding_window", 4096},
    {CLASS, "\"Gemma3ForCausalLM\"]", "gemma3-offset.attention.sliding_window_pattern", 6},
    {CLASS,
     "\"Mine\"],\"model_type\":\"gemma3_text\",\"sliding_window\":24,\"layer_types\":["
     "\"sliding_attention\",\"full_attention\",\"sliding_attention\"]",
     "gemma3-offset.attention.sliding_window_pattern", 2},
    {CLASS,
     "\"Gemma3TextModel\"],\"model_type\":\"gemma3_text\",\"rope_parameters\":{"
     "\"full_attention\":{\"rope_theta\":77},\"sliding_attention\":{\"rope_theta\":33}}",
     "gemma3-offset.rope.freq_base_swa", 33},
    {CLASS, "\"Gemma3ForCausalLM\"],\"query_pre_attn_scalar\":64", "gemma3-offset.attention.scale",
     0.125},
    {CLASS, "\"Mine\"],\"model_type\":\"qwen3\"", "qwen3.attention.key_length", 128},
    {"autobitlinear", "bitlinear", "blk.0.ffn_gate.divisor", 0},
    {",\"linear_class\":\"autobitlinear\"", "", "blk.0.ffn_gate.divisor", 0},
    {"\"hidden_act\":\"relu2\"", "\"hidden_act\":\"silu\"", "bitnet-silu.block_count", 1},
    {"\"BitNetForCausalLM\"],\"hidden_act\":\"relu2\"", "\"BitnetForCausalLM\"]",
     "bitnet-silu.block_count", 1},
    {"\"BitNetForCausalLM\"],\"hidden_act\":\"relu2\"", "\"LlamaForCausalLM\"]",
     "llama-neox.block_count", 1},
    {"\"BitNetForCausalLM\"],\"hidden_act\":\"relu2\"", "\"Qwen3ForCausalLM\"]",
     "qwen3.attention.key_length", 128},
    {"\"vocab_size\"", "\"head_dim\":16,\"vocab_size\"", "bitnet-b1.58.attention.key_length", 16},
    {"\"rope_theta\":500000.0", "\"rope_parameters\":{\"rope_theta\":77}",
     "bitnet-b1.58.rope.freq_base", 77},
    {"\"rope_theta\"", "\"rope_scaling\":{\"type\":\"linear\",\"factor\":4},\"rope_theta\"",
     "bitnet-b1.58.rope.scaling.factor", 4},
    {"\"rope_theta\"",
     "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4,\"beta_fast\":30},\"rope_theta\"",
     "bitnet-b1.58.rope.scaling.original_context_length", 512},
    {"\"rope_theta\"",
     "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":1,\"attention_factor\":2},\"rope_theta\"",
     "bitnet-b1.58.rope.scaling.attn_factor", 2},
    {"\"rope_theta\"",
     "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
     "\"high_freq_factor\":4,\"original_max_position_embeddings\":64},\"rope_theta\"",
     "bitnet-b1.58.rope.scaling.high_freq_factor", 4},
    {"[257,258]", "258", "tokenizer.ggml.eos_token_id", 257}, /* named in tokenizer_config.json */
    {"[257,258]", "null", "tokenizer.ggml.eos_token_id", 257},
    {"\"rope_theta\"", "\"rope_scaling\":{\"rope_type\":\"default\"},\"rope_theta\"",
     "bitnet-b1.58.rope.freq_base", 500000},
    {"\"rope_theta\"",
     "\"original_max_position_embeddings\":64,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,"
     "\"beta_slow\":2,\"truncate\":true,\"mscale\":null},\"rope_theta\"",
     "bitnet-b1.58.rope.scaling.original_context_length", 64},
    {"\"rope_theta\"",
     "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"beta_slow\":2},\"rope_theta\"",
     "bitnet-b1.58.rope.scaling.yarn_beta_slow", 2},
    /* What changes nothing is passed over. */
    {"\"rope_theta\"",
     "\"attention_bias\":false,\"mlp_bias\":null,\"input_bits\":8,\"weight_bits\":2,"
     "\"partial_rotary_factor\":1.0,\"rope_theta\"",
     "bitnet-b1.58.block_count", 1},
    {"\"autobitlinear\"",
     "\"autobitlinear\",\"quantization_mode\":\"offline\",\"use_rms_norm\":false,"
     "\"modules_to_not_convert\":[\"lm_head\",\"embed_tokens\",\"model.norm\"]",
     "bitnet-b1.58.block_count", 1},
};

START_TEST(meanings)
{
    put_changed("config.json", CONFIG, meant[_i].from, meant[_i].to);
    ck_assert_msg(open_it() == 0, "%s", err.text);
    if (meant[_i].value == 0)
        ck_assert_ptr_nonnull(gguf_tensor(g, meant[_i].key));
    else
        ck_assert_double_eq(number(meant[_i].key), meant[_i].value);
}
END_TEST

/* What the graph of Gemma 3 cannot be, and what of it is not there. */
START_TEST(refused_of_gemma)
{
    static const struct {
        const char *more, *why;
    } bad[] = {
        {"\"layer_types\":[\"full_attention\",\"sliding_attention\"]", "layer_types"},
        {"\"layer_types\":[\"chunked_attention\"]", "chunked_attention"},
        {"\"use_bidirectional_attention\":true", "use_bidirectional_attention"},
        {"\"final_logit_softcapping\":30.0", "final_logit_softcapping"},
        {"\"query_pre_attn_scalar\":0", "query_pre_attn_scalar"},
        {"\"hidden_activation\":\"gelu\"", "gelu_pytorch_tanh"},
        {"\"rope_parameters\":{\"sliding_attention\":{}}", "full_attention"},
    };
    char to[200];
    snprintf(to, sizeof to, "\"Gemma3ForCausalLM\"],%s", bad[_i].more);
    put_changed("config.json", CONFIG, CLASS, to);
    ck_assert_int_lt(open_it(), 0);
    ck_assert_msg(strstr(err.text, bad[_i].why) != NULL, "%s", err.text);
}
END_TEST

/* The folder's own name; in the cache of the hub, where it is a digest, the model's. */
START_TEST(names_of_models)
{
    static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors"};
    char folder[128], link[200], target[200];
    ck_assert_int_eq(open_it(), 0);
    ck_assert(is_text("general.name", strrchr(dir, '/') + 1));
    snprintf(folder, sizeof folder, "%s/models--owner--tiny-1.58", dir);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    strcat(folder, "/snapshots");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    strcat(folder, "/0a1b2c");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(link, sizeof link, "%s/%s", folder, files[i]);
        snprintf(target, sizeof target, "%s/%s", dir, files[i]);
        ck_assert_int_eq(symlink(target, link), 0);
    }
    gguf_close(&g);
    ck_assert_msg(hf_open_any(folder, &g, &err) == 0, "%s", err.text);
    ck_assert(is_text("general.name", "tiny-1.58"));
}
END_TEST

/* A file of its own counts before the member of tokenizer_config.json. */
START_TEST(templates)
{
    put("chat_template.jinja", "{{ 'of its own' }}");
    ck_assert_int_eq(open_it(), 0);
    ck_assert(is_text("tokenizer.chat_template", "{{ 'of its own' }}"));
    ck_assert(!gguf_has(g, "tokenizer.chat_template.tool_use"));
    ck_assert_int_eq(unlink(strcat(strcpy((char[128]){""}, dir), "/chat_template.jinja")), 0);
    put("tokenizer_config.json", "{\"chat_template\":\"{{ 'text' }}\",\"add_bos_token\":false}");
    ck_assert_msg(open_it() == 0, "%s", err.text);
    ck_assert(is_text("tokenizer.chat_template", "{{ 'text' }}"));
    /* Without a post-processor tokenizer_config.json tells. */
    bool yes = true;
    put_changed("tokenizer.json", tokenizer, "\"post_processor\":{", "\"other\":{");
    ck_assert_msg(open_it() == 0, "%s", err.text);
    ck_assert(gguf_bool(g, "tokenizer.ggml.add_bos_token", &yes, NULL) == 0 && !yes);
    put("tokenizer_config.json", "{}");
    ck_assert_msg(open_it() == 0, "%s", err.text);
    ck_assert(!gguf_has(g, "tokenizer.ggml.add_bos_token"));
    ck_assert(!gguf_has(g, "tokenizer.chat_template"));
}
END_TEST

START_TEST(names_of_tensors)
{
    static const struct {
        const char *origin;
        enum hf_role role;
        const char *name;
    } cases[] = {
        {"model.embed_tokens.weight", HF_OTHER, "token_embd.weight"},
        {"model.norm.weight", HF_OTHER, "output_norm.weight"},
        {"lm_head.weight", HF_OTHER, "output.weight"},
        {"model.rotary_emb.inv_freq", HF_IGNORED, ""},
        {"model.layers.0.input_layernorm.weight", HF_OTHER, "blk.0.attn_norm.weight"},
        {"model.layers.9999.self_attn.q_proj.weight", HF_LINEAR, "blk.9999.attn_q.weight"},
        {"model.layers.7.self_attn.o_proj.weight_scale", HF_SCALE, "blk.7.attn_output.divisor"},
        {"model.layers.7.mlp.up_proj.input_factor", HF_SCALE, "blk.7.ffn_up.input_factor"},
        {"model.layers.1.self_attn.inner_attn_ln.weight", HF_OTHER, "blk.1.attn_sub_norm.weight"},
        {"model.layers.1.self_attn.attn_sub_norm.weight", HF_OTHER, "blk.1.attn_sub_norm.weight"},
        {"model.layers.1.mlp.ffn_layernorm.weight", HF_OTHER, "blk.1.ffn_sub_norm.weight"},
        {"model.layers.1.self_attn.rotary_emb.inv_freq", HF_IGNORED, ""},
        {"model.layers.1.self_attn.rotary_emb.inv_freq.weight", HF_UNKNOWN, ""},
        {"model.layers.1.self_attn.q_norm.weight_scale", HF_UNKNOWN, ""},
        {"model.layers.1.self_attn.q_proj.bias", HF_UNKNOWN, ""},
        {"model.layers.1.self_attn.z_proj.weight", HF_UNKNOWN, ""},
        {"model.layers.10000.mlp.up_proj.weight", HF_UNKNOWN, ""},
        {"model.layers.01.mlp.up_proj.weight", HF_UNKNOWN, ""},
        {"model.layers.x.mlp.up_proj.weight", HF_UNKNOWN, ""},
        {"model.layers.1", HF_UNKNOWN, ""},
        {"model.layer", HF_UNKNOWN, ""},
        {"", HF_UNKNOWN, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[GGUF_NAME_MAX + 1] = "";
        ck_assert_msg(hf_name(cases[i].origin, &(struct hf_facts){.divides = true}, name) ==
                          cases[i].role,
                      "%s", cases[i].origin);
        if (cases[i].role != HF_IGNORED && cases[i].role != HF_UNKNOWN)
            ck_assert_str_eq(name, cases[i].name);
    }
    char name[GGUF_NAME_MAX + 1];
    ck_assert_int_eq(
        hf_name("model.layers.7.mlp.up_proj.weight_scale", &(struct hf_facts){0}, name), HF_SCALE);
    ck_assert_str_eq(name, "blk.7.ffn_up.scale");
}
END_TEST

/* All of it, up to conversations. */
static void use(void)
{
    struct tok *t = NULL;
    struct chat *c = NULL;
    if (open_it() || tok_open(g, 260, &t, &err))
        return;
    if (chat_open(g, t, NULL, &c, &err) == 0)
        chat_close(&c);
    tok_close(&t);
}

START_TEST(tokens)
{
    struct tok *t = NULL;
    struct tok_ids ids = {0};
    static const int32_t want[] = {256, 'a', 259, 257};
    ck_assert_int_eq(open_it(), 0);
    ck_assert_msg(tok_open(g, 260, &t, &err) == 0, "%s", err.text);
    ck_assert_int_eq(
        tok_encode(t, "a<think><|e|>", 13, TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL, 0, &ids), 0);
    ck_assert_uint_eq(ids.n, ARRAY_LEN(want));
    ck_assert_mem_eq(ids.id, want, sizeof want);
    tok_ids_free(&ids);
    tok_close(&t);
}
END_TEST

/* Qwen3-Embedding puts <|endoftext|> behind a text, and its EOS is <|im_end|>. */
START_TEST(another_end)
{
    struct tok *t = NULL;
    struct chat *c = NULL;
    struct tok_ids ids = {0};
    struct buf text = {0};
    const struct chat_message m = {.role = "user", .content = "a", .content_len = 1};
    const struct chat_talk talk = {.message = &m, .n = 1};
    static const int32_t want[] = {256, 'a', 258};
    size_t n;
    put_changed("tokenizer.json", tokenizer, "{\"Sequence\":{\"id\":\"A\"}}]",
                "{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"<|f|>\"}}]");
    put_changed("tokenizer_config.json", TOKENIZER_CONFIG, "<|im_start|><|im_end|>",
                "{{ messages[0].content + eos_token }}");
    put_changed("generation_config.json", GENERATION, "{", "{\"eos_token_id\":257,");
    ck_assert_msg(open_it() == 0, "%s", err.text);
    ck_assert_double_eq(number("tokenizer.ggml.eos_token_id"), 258); /* as converters have it */
    ck_assert_msg(tok_open(g, 260, &t, &err) == 0, "%s", err.text);
    ck_assert_int_eq(tok_encode(t, "a", 1, TOK_ADD_SPECIAL, 0, &ids), 0);
    ck_assert_uint_eq(ids.n, ARRAY_LEN(want));
    ck_assert_mem_eq(ids.id, want, sizeof want);
    ck_assert_int_eq(tok_eos(t), 257);
    ck_assert_msg(chat_open(g, t, NULL, &c, &err) == 0, "%s", err.text);
    ck_assert_int_eq(chat_stop_ids(c, &n)[0], 257);
    ck_assert_uint_eq(n, 1);
    ck_assert_msg(chat_render(c, &talk, &text, NULL, NULL, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(text.len, 6);
    ck_assert_mem_eq(text.data, "a<|e|>", 6);
    buf_free(&text);
    chat_close(&c);
    tok_ids_free(&ids);
    tok_close(&t);
}
END_TEST

/* Gemma 3 has a token of images behind the last row of its text models. */
START_TEST(tokens_without_a_row)
{
    static const struct {
        const char *id, *size, *last;
    } cases[] = {{"\"id\":260", "260", "<think>"},
                 {"\"id\":260", "261", "<far>"},
                 {"\"id\":4194303", "260", "<think>"}};
    static const char LIST[] = "\"added_tokens\":[", SIZE[] = "\"vocab_size\":260";
    char text[128], size[32];
    struct gguf_strs names;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof text, "%s{%s,\"content\":\"<far>\",\"special\":true},", LIST,
                 cases[i].id);
        snprintf(size, sizeof size, "\"vocab_size\":%s", cases[i].size);
        put_changed("tokenizer.json", tokenizer, LIST, text);
        put_changed("config.json", CONFIG, SIZE, size);
        ck_assert_msg(open_it() == 0, "%s", err.text);
        ck_assert_int_eq(gguf_strings(g, "tokenizer.ggml.tokens", &names, NULL), 0);
        struct gguf_str last = gguf_str_at(&names, names.n - 1);
        ck_assert_uint_eq(last.len, strlen(cases[i].last));
        ck_assert_mem_eq(last.data, cases[i].last, last.len);
    }
    /* What is asked for by name has to be there, and the vocabulary itself is taken whole. */
    put("tokenizer.json", tokenizer);
    put_changed("config.json", CONFIG, SIZE, "\"vocab_size\":257");
    ck_assert_int_lt(open_it(), 0);
    ck_assert_msg(strstr(err.text, "eos_token is \"<|e|>\"") != NULL, "%s", err.text);
    put_changed("config.json", CONFIG, SIZE, "\"vocab_size\":100");
    put("tokenizer_config.json", "{}");
    put_changed("tokenizer.json", tokenizer, "{\"SpecialToken\":{\"id\":\"<|b|>\"}},", "");
    ck_assert_msg(open_it() == 0, "%s", err.text);
    ck_assert_int_eq(gguf_strings(g, "tokenizer.ggml.tokens", &names, NULL), 0);
    ck_assert_uint_eq(names.n, 256);
}
END_TEST

START_TEST(cut_anywhere)
{
    for (size_t len = 0; len < sizeof CONFIG - 1; len++) {
        put_bytes("config.json", CONFIG, len);
        ck_assert_int_eq(open_it(), -TRIT_EFORMAT);
    }
}
END_TEST

/* Bytes of the JSON files are changed, left out or repeated: refused in words, or of some meaning.
 */
START_TEST(changed_anywhere)
{
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json"};
    static const char marks[] = "{}[]\",:0123456789-.eE\\tfn ";
    const char *const texts[] = {CONFIG, GENERATION, tokenizer, TOKENIZER_CONFIG};
    uint64_t state = unit_seed();
    for (int i = 0; i < 4000; i++) {
        size_t which = unit_random(&state) % ARRAY_LEN(names);
        size_t len = strlen(texts[which]), at = unit_random(&state) % len;
        size_t gone = unit_random(&state) % 3;
        struct buf b = {0};
        buf_add(&b, texts[which], at);
        if (unit_random(&state) % 2)
            buf_addc(&b, marks[unit_random(&state) % (sizeof marks - 1)]);
        at = MIN(at + gone, len);
        buf_add(&b, texts[which] + at, len - at);
        put_bytes(names[which], b.data, b.len);
        buf_free(&b);
        use();
        put(names[which], texts[which]);
    }
}
END_TEST

START_TEST(no_memory)
{
    for (unsigned at = 1;; at++) {
        mem_fail_at(at);
        int rc = open_it();
        bool struck = !mem_fail_pending();
        mem_fail_at(0);
        if (!struck)
            break;
        ck_assert_msg(rc == -TRIT_ENOMEM || rc == 0, "%s", err.text);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hf");
    TCase *c = tcase_create("hf");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_good_folder);
    tcase_add_loop_test(c, meanings, 0, ARRAY_LEN(meant));
    tcase_add_loop_test(c, refused_of_gemma, 0, 7);
    tcase_add_test(c, names_of_models);
    tcase_add_test(c, names_of_tensors);
    tcase_add_test(c, templates);
    tcase_add_test(c, tokens);
    tcase_add_test(c, another_end);
    tcase_add_test(c, tokens_without_a_row);
    tcase_add_test(c, cut_anywhere);
    tcase_add_test(c, changed_anywhere);
    tcase_add_test(c, no_memory);
    suite_add_tcase(s, c);
    return unit_run(s);
}
