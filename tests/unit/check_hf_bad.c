/* SPDX-License-Identifier: MIT */
/*
 * check_hf_bad.c - folders that are refused: each with the file, the member, what was found and
 * what was expected, word for word.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "unit/hf-folder.h"
#include "unit/unit.h"

enum { BAD = TRIT_EFORMAT, OTHER = TRIT_EUNSUPP };

/* A change of one file, the code of the refusal and what it says behind the file's name. */
struct bad {
    const char *from, *to;
    int code;
    const char *says;
};

/* A member that is not in the good file stands before this one. */
#define MORE(members) "\"rope_theta\"", members ",\"rope_theta\""
#define ROPE(members) MORE("\"rope_scaling\":{" members "}")
#define QUANT(members)                                                                             \
    "{\"quant_method\":\"bitnet\",\"linear_class\":\"autobitlinear\"}", "{" members "}"
#define ARCH(value) "[\"BitNetForCausalLM\"]", value

static const struct bad in_config[] = {
    {CONFIG, "[]", BAD, "found an array, expected an object"},
    {CONFIG, "{} {}", BAD, "not JSON: found '{' at byte 3, expected nothing behind the document"},
    {ARCH("[]"), BAD, "architectures is [], expected an array of names"},
    {ARCH("[7]"), BAD, "architectures is [7], expected an array of names"},
    {ARCH("\"x\""), BAD, "architectures is \"x\", expected an array"},
    {ARCH("null"), BAD, "architectures is missing"},
    {ARCH("[\"GPT2LMHeadModel\"]"), OTHER,
     "architectures is [\"GPT2LMHeadModel\"], expected BitNetForCausalLM, BitnetForCausalLM, "
     "LlamaForCausalLM, BitLlamaForCausalLM, BitLlamaForCausalLMInf, Qwen3ForCausalLM, "
     "Qwen3_5ForCausalLM or Gemma3ForCausalLM"},
    {"\"relu2\"", "\"gelu\"", OTHER,
     "hidden_act is \"gelu\", expected \"silu\", of BitNet also \"relu2\", of Gemma "
     "\"gelu_pytorch_tanh\""},
    {"\"relu2\"", "3", BAD, "hidden_act is 3, expected a string"},
    {"\"hidden_size\":8", "\"hidden_size\":8,\"hidden\\u005fsize\":8", BAD,
     "hidden_size stands twice"},
    {"\"hidden_size\":8", "\"hidden_size\":8.5", BAD,
     "hidden_size is 8.5, expected a whole number"},
    {"\"hidden_size\":8", "\"hidden_size\":-8", BAD, "hidden_size is -8, expected a whole number"},
    {"\"hidden_size\":8", "\"hidden_size\":18446744073709551616", BAD,
     "hidden_size is 18446744073709551616, expected a whole number"},
    {"\"hidden_size\":8", "\"hidden_size\":\"8\"", BAD, "hidden_size is \"8\", expected a number"},
    {"\"hidden_size\":8", "\"hidden_size\":null", BAD, "hidden_size is missing"},
    {"\"intermediate_size\"", "\"size\"", BAD, "intermediate_size is missing"},
    {"\"num_hidden_layers\"", "\"layers\"", BAD, "num_hidden_layers is missing"},
    {"\"num_attention_heads\"", "\"heads\"", BAD, "num_attention_heads is missing"},
    {"\"max_position_embeddings\"", "\"most\"", BAD, "max_position_embeddings is missing"},
    {"\"rms_norm_eps\"", "\"eps\"", BAD, "rms_norm_eps is missing"},
    {"1e-05", "[1e-05]", BAD, "rms_norm_eps is [1e-05], expected a number"},
    {"\"num_key_value_heads\":1", "\"num_key_value_heads\":true", BAD,
     "num_key_value_heads is true, expected a number"},
    {"\"vocab_size\":260", "\"vocab_size\":{}", BAD, "vocab_size is {}, expected a number"},
    {MORE("\"head_dim\":4.0"), BAD, "head_dim is 4.0, expected a whole number"},
    {MORE("\"attention_bias\":true"), OTHER, "attention_bias is true, expected false"},
    {MORE("\"mlp_bias\":true"), OTHER, "mlp_bias is true, expected false"},
    {MORE("\"use_sliding_window\":true"), OTHER, "use_sliding_window is true, expected false"},
    {MORE("\"use_rms_norm\":true"), OTHER, "use_rms_norm is true, expected false"},
    {MORE("\"attention_bias\":0"), BAD, "attention_bias is 0, expected true or false"},
    {MORE("\"input_bits\":4"), OTHER, "input_bits is 4, expected 8"},
    {MORE("\"input_bits\":16"), OTHER, "input_bits is 16, expected 8"},
    {MORE("\"input_bits\":\"8\""), BAD, "input_bits is \"8\", expected a number"},
    {MORE("\"weight_bits\":1.58"), OTHER,
     "weight_bits is 1.58, expected 1, which 1bitLLM writes for 1.58, or 2"},
    {MORE("\"partial_rotary_factor\":0.5"), OTHER, "partial_rotary_factor is 0.5, expected 1"},
    {MORE("\"partial_rotary_factor\":\"\""), BAD,
     "partial_rotary_factor is \"\", expected a number"},
    {"\"rope_theta\":500000.0", "\"rope_theta\":\"far\"", BAD,
     "rope_theta is \"far\", expected a number"},
    {MORE("\"rope_parameters\":3"), BAD, "rope_parameters is 3, expected an object"},
    {MORE("\"rope_scaling\":[]"), BAD, "rope_scaling is [], expected an object"},
    {ROPE("\"rope_theta\":\"near\""), BAD, "rope_theta is \"near\", expected a number"},
    {ROPE("\"rope_type\":1"), BAD, "rope_type is 1, expected a string"},
    {ROPE("\"type\":1"), BAD, "type is 1, expected a string"},
    {ROPE("\"type\":\"dynamic\""), OTHER,
     "rope_type is \"dynamic\", expected default, linear, yarn or llama3"},
    {ROPE("\"type\":\"linear\""), BAD, "factor is missing"},
    {ROPE("\"type\":\"yarn\""), BAD, "factor is missing"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"beta_fast\":\"\""), BAD,
     "beta_fast is \"\", expected a number"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"beta_slow\":\"\""), BAD,
     "beta_slow is \"\", expected a number"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"original_max_position_embeddings\":1.5"), BAD,
     "original_max_position_embeddings is 1.5, expected a whole number"},
    {MORE("\"original_max_position_embeddings\":true,\"rope_scaling\":{\"type\":\"yarn\","
          "\"factor\":2}"),
     BAD, "original_max_position_embeddings is true, expected a number"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"attention_factor\":\"\""), BAD,
     "attention_factor is \"\", expected a number"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"mscale\":1"), OTHER, "mscale is 1, expected none"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"mscale\":null,\"mscale_all_dim\":1"), OTHER,
     "mscale_all_dim is 1, expected none"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"truncate\":false"), OTHER,
     "truncate is false, expected true"},
    {ROPE("\"type\":\"yarn\",\"factor\":2,\"truncate\":0"), BAD,
     "truncate is 0, expected true or false"},
    {ROPE("\"type\":\"llama3\""), BAD, "factor is missing"},
    {ROPE("\"type\":\"llama3\",\"factor\":8"), BAD, "low_freq_factor is missing"},
    {ROPE("\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1"), BAD,
     "high_freq_factor is missing"},
    {"\"quantization_config\":{", "\"quantization_config\":3,\"other\":{", BAD,
     "quantization_config is 3, expected an object"},
    {QUANT(""), BAD, "quant_method is missing"},
    {QUANT("\"quant_method\":\"gptq\""), OTHER, "quant_method is \"gptq\", expected bitnet"},
    {"\"BitNetForCausalLM\"],\"hidden_act\":\"relu2\"", "\"BitLlamaForCausalLM\"]", OTHER,
     "quantization_config is {\"quant_method\":\"bitnet\",\"linear_class\":\"autobitlinear\"}, "
     "expected none, as the architecture has its own method"},
    {QUANT("\"quant_method\":\"bitnet\",\"linear_class\":1"), BAD,
     "linear_class is 1, expected a string"},
    {QUANT("\"quant_method\":\"bitnet\",\"linear_class\":\"linear\""), OTHER,
     "linear_class is \"linear\", expected bitlinear or autobitlinear"},
    {QUANT("\"quant_method\":\"bitnet\",\"quantization_mode\":\"later\""), OTHER,
     "quantization_mode is \"later\", expected offline or online"},
    {QUANT("\"quant_method\":\"bitnet\",\"modules_to_not_convert\":\"lm_head\""), BAD,
     "modules_to_not_convert is \"lm_head\", expected an array"},
    {QUANT("\"quant_method\":\"bitnet\",\"modules_to_not_convert\":[\"lm_head\",\"mlp\"]"), OTHER,
     "modules_to_not_convert is \"mlp\", expected lm_head or embed_tokens"},
    {QUANT("\"quant_method\":\"bitnet\",\"modules_to_not_convert\":[0]"), OTHER,
     "modules_to_not_convert is 0, expected lm_head or embed_tokens"},
    {QUANT("\"quant_method\":\"bitnet\",\"use_rms_norm\":true"), OTHER,
     "use_rms_norm is true, expected false"},
    {QUANT("\"quant_method\":\"bitnet\",\"use_rms_norm\":1"), BAD,
     "use_rms_norm is 1, expected true or false"},
    {"[257,258]", "\"<|e|>\"", BAD, "eos_token_id is \"<|e|>\", expected a token's id"},
    {"[257,258]", "[257,-1]", BAD, "eos_token_id is -1, expected a token's id"},
    {"[257,258]", "536870912", BAD, "eos_token_id is 536870912, expected a token's id"},
    {"[257,258]", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", OTHER,
     "eos_token_id has more than 16 ids"},
    {"\"eos_token_id\":[257,258]", "\"eos_token_id\":257,\"eos_token_id\":258", BAD,
     "eos_token_id stands twice"},
    {"\"bos_token_id\":256", "\"bos_token_id\":[256]", BAD,
     "bos_token_id is [256], expected a number"},
    {"\"tie_word_embeddings\":true", "\"tie_word_embeddings\":1", BAD,
     "tie_word_embeddings is 1, expected true or false"},
    /* A character that does not fit is left out whole. */
    {ARCH("\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xe2\x82\xac\""), BAD,
     "architectures is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..., expected "
     "an array"},
};

static const struct bad in_generation[] = {
    {GENERATION, "{", BAD, "not JSON: the text ends at byte 1, expected a member name in quotes"},
    {GENERATION, "null", BAD, "found null, expected an object"},
    {"0.6", "\"warm\"", BAD, "temperature is \"warm\", expected a number"},
    {"0.9", "[]", BAD, "top_p is [], expected a number"},
    {"\"top_k\":-1", "\"top_k\":\"few\"", BAD, "top_k is \"few\", expected a number"},
    {"\"top_k\"", "\"eos_token_id\":[[]],\"top_k\"", BAD,
     "eos_token_id is [], expected a token's id"},
};

static const struct bad in_tokenizer_config[] = {
    {TOKENIZER_CONFIG, "[1]", BAD, "found an array, expected an object"},
    {"\"<|b|>\"", "\"<|z|>\"", BAD, "bos_token is \"<|z|>\", expected the name of a token"},
    {"{\"content\":\"<|b|>\"}", "[]", BAD, "bos_token is [], expected the name of a token"},
    {"\"<|e|>\"", "7", BAD, "eos_token is 7, expected the name of a token"},
    {"\"bos_token\"", "\"add_bos_token\":\"yes\",\"bos_token\"", BAD,
     "add_bos_token is \"yes\", expected true or false"},
    {"\"bos_token\"", "\"add_eos_token\":1,\"bos_token\"", BAD,
     "add_eos_token is 1, expected true or false"},
    {"\"chat_template\":[", "\"chat_template\":7,\"other\":[", BAD,
     "chat_template is 7, expected a string or an array"},
    {"{\"name\":\"default\"", "3,{\"name\":\"default\"", BAD,
     "an element of chat_template is 3, expected an object"},
    {"\"name\":\"default\",", "", BAD, "name is missing"},
    {"\"name\":\"default\"", "\"name\":0", BAD, "name is 0, expected a string"},
    {",\"template\":\"tools\"", "", BAD, "template is missing"},
    {"\"template\":\"tools\"", "\"template\":{}", BAD, "template is {}, expected a string"},
    {"\"<|b|>\"", "\"<|f|>\"", OTHER, NULL}, /* said of tokenizer.json */
};

#define PIECES(pieces)                                                                             \
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|b|>\"}},"          \
    "{\"Sequence\":{\"id\":\"A\"}}]}",                                                             \
        pieces
#define SINGLE(single) PIECES("{\"type\":\"TemplateProcessing\",\"single\":" single "}")
#define AT_MOST        ", expected at most one special token, the text, at most one special token"
#define B_TOKEN        "{\"SpecialToken\":{\"id\":\"<|b|>\"}}"
#define A_TEXT         "{\"Sequence\":{\"id\":\"A\"}}"

static const struct bad in_tokenizer[] = {
    {"\"model\":{", "\"model\":[],\"other\":{", BAD, "model is [], expected an object"},
    {"\"model\":{", "\"other\":{", BAD, "model is missing"},
    {"\"vocab\":{", "\"vocab\":7,\"other\":{", BAD, "vocab is 7, expected an object"},
    {"\"vocab\":{", "\"other\":{", BAD, "vocab is missing"},
    {":97,", ":\"a\",", BAD, "model.vocab is \"a\", expected a token's id below 4194304"},
    {":97,", ":4194304,", BAD, "model.vocab is 4194304, expected a token's id below 4194304"},
    {":97,", ":98,", BAD, "model.vocab is 98, expected each id once"},
    {"\"merges\":[]", "\"merges\":{}", BAD, "merges is {}, expected an array"},
    {",\"merges\":[]", "", BAD, "merges is missing"},
    {"\"merges\":[]", "\"merges\":[7]", BAD,
     "an element of model.merges is 7, expected \"left right\" or [\"left\", \"right\"]"},
    {"\"merges\":[]", "\"merges\":[[\"t\"]]", BAD,
     "an element of model.merges is [\"t\"], expected"},
    {"\"merges\":[]", "\"merges\":[[\"t\",\"h\",\"e\"]]", BAD,
     "an element of model.merges is [\"t\",\"h\",\"e\"], expected"},
    {"\"merges\":[]", "\"merges\":[[\"t\",1]]", BAD, "an element of model.merges is [\"t\",1], "},
    {"\"merges\":[]", "\"merges\":[[\"t \",\"h\"]]", BAD,
     "an element of model.merges is [\"t \",\"h\"], expected"},
    {"\"added_tokens\":[", "\"added_tokens\":true,\"other\":[", BAD,
     "added_tokens is true, expected an array"},
    {"\"added_tokens\":[", "\"added_tokens\":[3,", BAD,
     "an element of added_tokens is 3, expected an object"},
    {"{\"id\":257,", "{", BAD, "id is missing"},
    {"{\"id\":257,", "{\"id\":\"257\",", BAD, "id is \"257\", expected a number"},
    {"{\"id\":257,", "{\"id\":-1,", BAD,
     "id of an added token is -1, expected a token's id below 4194304"},
    {"\"content\":\"<think>\",", "", BAD, "content is missing"},
    {"\"content\":\"<think>\",", "\"content\":null,", BAD, "content is missing"},
    {"\"content\":\"<think>\",", "\"content\":0,", BAD, "content is 0, expected a string"},
    {PIECES("{\"type\":\"BertProcessing\"}"), OTHER,
     "post_processor is {\"type\":\"BertProcessing\"}, expected ByteLevel or TemplateProcessing"},
    {PIECES("{\"type\":\"Sequence\"}"), OTHER,
     "post_processor is {\"type\":\"Sequence\"}, expected ByteLevel or TemplateProcessing"},
    {PIECES("{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":"
            "\"ByteLevel\"},{\"type\":\"ByteLevel\"}]}"),
     OTHER, ", expected ByteLevel or TemplateProcessing"},
    {PIECES("7"), OTHER, "post_processor is 7, expected ByteLevel or TemplateProcessing"},
    {PIECES("{\"type\":\"TemplateProcessing\"}"), OTHER,
     "post_processor.single is null, expected an array"},
    {SINGLE("[7]"), OTHER, "post_processor.single is [7]" AT_MOST},
    {SINGLE("[{}]"), OTHER, "post_processor.single is [{}]" AT_MOST},
    {SINGLE("[{\"SpecialToken\":{}}]"), OTHER,
     "post_processor.single is [{\"SpecialToken\":{}}]" AT_MOST},
    {SINGLE("[{\"SpecialToken\":{\"id\":7}}]"), OTHER,
     "post_processor.single is [{\"SpecialToken\":{\"id\":7}}]" AT_MOST},
    {SINGLE("[" B_TOKEN "," B_TOKEN "," A_TEXT "]"), OTHER, AT_MOST},
    {SINGLE("[" A_TEXT "," B_TOKEN "," B_TOKEN "]"), OTHER, AT_MOST},
    {SINGLE("[" A_TEXT "," A_TEXT "]"), OTHER, AT_MOST},
    {SINGLE("[{\"SpecialToken\":{\"id\":\"<|z|>\"}}," A_TEXT "]"), OTHER,
     "a token of post_processor.single is \"<|z|>\", expected the name of a token"},
    {SINGLE("[{\"SpecialToken\":{\"id\":\"<|f|>\"}}," A_TEXT "]"), OTHER,
     "a token of post_processor.single is \"<|f|>\", expected the one that tokenizer_config.json "
     "names"},
    {SINGLE("[" A_TEXT ",{\"SpecialToken\":{\"id\":\"<|z|>\"}}]"), OTHER,
     "a token of post_processor.single is \"<|z|>\", expected the name of a token"},
};

static void refused(const char *file, const struct bad *b)
{
    char says[512];
    int rc = open_it();
    ck_assert_msg(rc != 0, "%s: \"%s\" for \"%s\" is taken", file, b->to, b->from);
    snprintf(says, sizeof says, "%s: %s", file, b->says);
    ck_assert_msg(strstr(err.text, says) || (*b->says == ',' && strstr(err.text, b->says)),
                  "\"%s\" lacks \"%s\"", err.text, says);
    ck_assert_msg(rc == -b->code, "%s: code %d", err.text, rc);
}

START_TEST(bad_config)
{
    put_changed("config.json", CONFIG, in_config[_i].from, in_config[_i].to);
    refused("config.json", &in_config[_i]);
}
END_TEST

START_TEST(bad_generation)
{
    put_changed("generation_config.json", GENERATION, in_generation[_i].from, in_generation[_i].to);
    refused("generation_config.json", &in_generation[_i]);
}
END_TEST

START_TEST(bad_tokenizer_config)
{
    const struct bad *b = &in_tokenizer_config[_i];
    static const struct bad elsewhere = {
        "", "", OTHER,
        "a token of post_processor.single is \"<|b|>\", expected the one that "
        "tokenizer_config.json names"};
    put_changed("tokenizer_config.json", TOKENIZER_CONFIG, b->from, b->to);
    refused(b->says ? "tokenizer_config.json" : "tokenizer.json", b->says ? b : &elsewhere);
}
END_TEST

START_TEST(bad_tokenizer)
{
    put_changed("tokenizer.json", tokenizer, in_tokenizer[_i].from, in_tokenizer[_i].to);
    refused("tokenizer.json", &in_tokenizer[_i]);
}
END_TEST

/* ------------------------------------------------------------------ tensors */

/* The file of tensors with a change of its directory that keeps the data. */
static void put_tensors(const char *name, const char *from, const char *to)
{
    static const char zeros[8192];
    struct buf b = {0};
    const char *at = strstr(TENSORS, from);
    uint64_t len = strlen(TENSORS) - strlen(from) + strlen(to);
    ck_assert_ptr_nonnull(at);
    buf_add(&b, &len, sizeof len);
    buf_add(&b, TENSORS, (size_t)(at - TENSORS));
    buf_adds(&b, to);
    buf_adds(&b, at + strlen(from));
    buf_add(&b, zeros, 4188);
    put_bytes(name, b.data, b.len);
    buf_free(&b);
}

#define GATE "model.layers.0.mlp.gate_proj.weight"

static const struct bad in_tensors[] = {
    {"\"BF16\",\"shape\":[260,8]", "\"I16\",\"shape\":[260,8]", OTHER,
     "tensor model.embed_tokens.weight is I16, expected F32, F16 or BF16"},
    {"\"U8\"", "\"I8\"", OTHER,
     "tensor " GATE " is I8, expected F32, F16 or BF16, or U8 with packed ternary values"},
    {"[3,8]", "[24]", BAD, "tensor " GATE " has 1 dimensions, expected 2"},
    {"[3,8]", "[4611686018427387904,8]", BAD,
     "tensor " GATE ": more bytes than a 64-bit number counts"},
    {"\"" GATE "\"", "\"model.embed_tokens.weight\"", BAD,
     "tensor model.embed_tokens.weight: found twice, expected once"},
};

START_TEST(bad_tensors)
{
    put_tensors("model.safetensors", in_tensors[_i].from, in_tensors[_i].to);
    refused("model.safetensors", &in_tensors[_i]);
}
END_TEST

static const struct bad in_onebit[] = {
    {"\"U8\"", "\"U8\"", OTHER,
     "tensor " GATE " is U8, expected F32, F16 or BF16, or I8 with packed signs"},
    {"\"U8\",\"shape\":[3,8]", "\"I8\",\"shape\":[1,3,8]", BAD,
     "tensor " GATE " has 3 dimensions, expected 2"},
};

START_TEST(bad_onebit)
{
    put_changed("config.json", CONFIG, "\"BitNetForCausalLM\"],\"hidden_act\":\"relu2\"",
                "\"BitLlamaForCausalLM\"]");
    char config[sizeof CONFIG], path[128];
    snprintf(path, sizeof path, "%s/config.json", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, config, sizeof config - 1);
    ck_assert_int_gt(n, 0);
    config[n] = '\0';
    close(fd);
    put_changed("config.json", config, "\"quantization_config\"", "\"other\"");
    put_tensors("model.safetensors", in_onebit[_i].from, in_onebit[_i].to);
    refused("model.safetensors", &in_onebit[_i]);
}
END_TEST

/* ------------------------------------------------------------------ an index */

#define INDEX(map)   "", "{\"weight_map\":" map "}"
#define MEANT_BESIDE "expected the name of a .safetensors file beside it"

static const struct bad in_index[] = {
    {"", "[", BAD, "not JSON: the text ends at byte 1, expected a value"},
    {"", "7", BAD, "found a number, expected an object"},
    {"", "{}", BAD, "weight_map is missing"},
    {INDEX("[]"), BAD, "weight_map is [], expected an object"},
    {INDEX("{}"), BAD, "weight_map is empty"},
    {INDEX("{\"a\":7}"), BAD, "weight_map is 7, expected names of files"},
    {INDEX("{\"a\":\"a.bin\"}"), BAD, "weight_map has tensor a in \"a.bin\", " MEANT_BESIDE},
    {INDEX("{\"a\":\"pytorch_model.bin\"}"), BAD,
     "weight_map has tensor a in \"pytorch_model.bin\", " MEANT_BESIDE},
    {INDEX("{\"a\":\".safetensors\"}"), BAD,
     "weight_map has tensor a in \".safetensors\", " MEANT_BESIDE},
    {INDEX("{\"a\":\"..safetensors\"}"), BAD,
     "weight_map has tensor a in \"..safetensors\", " MEANT_BESIDE},
    {INDEX("{\"a\":\"../x.safetensors\"}"), BAD,
     "weight_map has tensor a in \"../x.safetensors\", " MEANT_BESIDE},
    {INDEX("{\"a\":\"/x.safetensors\"}"), BAD,
     "weight_map has tensor a in \"/x.safetensors\", " MEANT_BESIDE},
    {INDEX("{\"lm_head.weight\":\"model.safetensors\"}"), BAD, NULL},
    {INDEX("{\"model.embed_tokens.weight\":\"model.safetensors\",\"lm_head.weight\":"
           "\"model.safetensors\",\"" GATE "\":\"model.safetensors\",\"" GATE "_scale\":"
           "\"model.safetensors\",\"model.norm.weight\":\"model.safetensors\"}"),
     BAD, NULL},
};

START_TEST(bad_index)
{
    static const struct bad there[] = {
        {"", "", BAD,
         "tensor model.embed_tokens.weight is not one that the index has in this file"},
        {"", "", BAD, "4 tensors, expected 5 by the index"},
    };
    const struct bad *b = &in_index[_i];
    put("model.safetensors.index.json", b->to);
    if (b->says)
        refused("model.safetensors.index.json", b);
    else
        refused("model.safetensors", &there[_i == ARRAY_LEN(in_index) - 1]);
}
END_TEST

START_TEST(too_many_shards)
{
    static const struct bad many = {"", "", BAD, "1025 files, expected at most 1024"};
    struct buf b = {0};
    buf_adds(&b, "{\"weight_map\":{");
    for (unsigned i = 0; i <= 1024; i++)
        buf_addf(&b, "%s\"t%u\":\"%04u.safetensors\"", i ? "," : "", i, i);
    buf_adds(&b, "}}");
    put_bytes("model.safetensors.index.json", b.data, b.len);
    buf_free(&b);
    refused("model.safetensors.index.json", &many);
}
END_TEST

/* ------------------------------------------------------------------ files */

static void take_away(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    ck_assert_int_eq(unlink(path), 0);
}

START_TEST(missing_files)
{
    static const struct {
        const char *gone, *instead, *says;
        int code;
    } cases[] = {
        {"config.json", NULL, "a folder without config.json, expected a Hugging Face model",
         TRIT_ENOENT},
        {"config.json", "model.gguf",
         "expected a Hugging Face model; it has a .gguf file: name that one", TRIT_ENOENT},
        {"tokenizer.json", NULL, "tokenizer.json: cannot open: No such file", TRIT_ENOENT},
        {"model.safetensors", NULL,
         "found neither model.safetensors nor model.safetensors.index.json", TRIT_ENOENT},
        {"model.safetensors", "pytorch_model.bin",
         "nor model.safetensors.index.json; files of PyTorch have to be converted first",
         TRIT_ENOENT},
    };
    take_away(cases[_i].gone);
    if (cases[_i].instead)
        put(cases[_i].instead, "");
    ck_assert_int_eq(open_it(), -cases[_i].code);
    ck_assert_msg(strstr(err.text, cases[_i].says) != NULL, "%s", err.text);
}
END_TEST

START_TEST(no_file_but_a_folder)
{
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json", "model.safetensors"};
    char path[128], says[128];
    take_away(names[_i]);
    snprintf(path, sizeof path, "%s/%s", dir, names[_i]);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(open_it(), -TRIT_EFORMAT);
    snprintf(says, sizeof says, "%s: a directory, expected a regular file", names[_i]);
    ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
}
END_TEST

/* Nothing of it is read. */
START_TEST(too_large)
{
    static const struct {
        const char *name;
        long long most;
    } cases[] = {
        {"config.json", 4 << 20},
        {"chat_template.jinja", 4 << 20},
        {"tokenizer.json", 64 << 20},
        {"model.safetensors.index.json", 16 << 20},
    };
    char path[128], says[128];
    put(cases[_i].name, "{}");
    snprintf(path, sizeof path, "%s/%s", dir, cases[_i].name);
    ck_assert_int_eq(truncate(path, cases[_i].most + 1), 0);
    ck_assert_int_eq(open_it(), -TRIT_EFORMAT);
    snprintf(says, sizeof says, "%s: %lld bytes, expected at most %lld", cases[_i].name,
             cases[_i].most + 1, cases[_i].most);
    ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
}
END_TEST

START_TEST(untied_without_a_head)
{
    static const struct bad untied = {
        "", "", BAD, "tie_word_embeddings is false, but there is no tensor lm_head.weight"};
    put_changed("config.json", CONFIG, "\"tie_word_embeddings\":true",
                "\"tie_word_embeddings\":false");
    put_tensors("model.safetensors", "lm_head.weight", "other.weight");
    refused("config.json", &untied);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hf_bad");
    TCase *c = tcase_create("hf_bad");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, bad_config, 0, ARRAY_LEN(in_config));
    tcase_add_loop_test(c, bad_generation, 0, ARRAY_LEN(in_generation));
    tcase_add_loop_test(c, bad_tokenizer_config, 0, ARRAY_LEN(in_tokenizer_config));
    tcase_add_loop_test(c, bad_tokenizer, 0, ARRAY_LEN(in_tokenizer));
    tcase_add_loop_test(c, bad_tensors, 0, ARRAY_LEN(in_tensors));
    tcase_add_loop_test(c, bad_onebit, 0, ARRAY_LEN(in_onebit));
    tcase_add_loop_test(c, bad_index, 0, ARRAY_LEN(in_index));
    tcase_add_test(c, too_many_shards);
    tcase_add_loop_test(c, missing_files, 0, 5);
    tcase_add_loop_test(c, no_file_but_a_folder, 0, 5);
    tcase_add_loop_test(c, too_large, 0, 4);
    tcase_add_test(c, untied_without_a_head);
    suite_add_tcase(s, c);
    return unit_run(s);
}
