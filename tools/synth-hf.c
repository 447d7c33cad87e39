/* SPDX-License-Identifier: MIT */
/*
 * synth-hf.c - a made model as a folder of Hugging Face files.
 *
 * Made from its GGUF file, so that both are the same model: config.json, tokenizer.json,
 * tokenizer_config.json, and model.safetensors with the linears packed as transformers packs them
 * (integrations/bitnet.py), a number beside each multiplying its outputs.
 */
#include "config.h"
#include "synth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/quant.h"
#include "tool.h"

struct folder {
    const struct gguf *g;
    const char *path;
    char arch[32];
    struct trit_error *err;
};

// clang-format off
static const struct {
    const char *arch, *class, *act;
} classes[] = {
    {"bitnet",       "BitnetForCausalLM", "silu"},
    {"bitnet-25",    "BitNetForCausalLM", "relu2"},
    {"bitnet-b1.58", "BitNetForCausalLM", "relu2"},
    {"llama",        "LlamaForCausalLM",  "silu"},
    {"qwen3",        "Qwen3ForCausalLM",  "silu"},
};
static const struct {
    const char *gguf, *hf;
} names[] = {
    {"attn_norm", "input_layernorm"},       {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},         {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},    {"attn_sub_norm", "self_attn.attn_sub_norm"},
    {"ffn_norm", "post_attention_layernorm"}, {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},              {"ffn_down", "mlp.down_proj"},
    {"ffn_sub_norm", "mlp.ffn_sub_norm"},
};
// clang-format on

/* The pattern of Llama 3's tokenizer.json. */
static const char pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static void hf_name(const char *gguf, char dst[128])
{
    unsigned layer;
    int end = 0;
    if (sscanf(gguf, "blk.%u.%n", &layer, &end) == 1 && end > 0) {
        size_t len = strcspn(gguf + end, ".");
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (strlen(names[i].gguf) == len && strncmp(names[i].gguf, gguf + end, len) == 0)
                snprintf(dst, 128, "model.layers.%u.%s.weight", layer, names[i].hf);
        return;
    }
    snprintf(dst, 128, "%s",
             strcmp(gguf, "token_embd.weight") == 0    ? "model.embed_tokens.weight"
             : strcmp(gguf, "output_norm.weight") == 0 ? "model.norm.weight"
                                                       : "lm_head.weight");
}

static FILE *create(const struct folder *f, const char *name)
{
    struct buf path = {0};
    buf_addf(&path, "%s/%s", f->path, name);
    FILE *file = path.failed ? NULL : fopen(path.data, "we");
    if (!file)
        trit_fail(f->err, TRIT_EIO, "%.200s/%s: cannot create: %s", f->path, name, strerror(errno));
    buf_free(&path);
    return file;
}

static int finish(const struct folder *f, const char *name, FILE *file)
{
    bool bad = ferror(file) != 0;
    bad = fclose(file) != 0 || bad;
    return bad ? trit_fail(f->err, TRIT_EIO, "%.200s/%s: cannot write: %s", f->path, name,
                           strerror(errno))
               : 0;
}

static int write_json(const struct folder *f, const char *name, cJSON *doc)
{
    char *text = cJSON_PrintUnformatted(doc);
    cJSON_Delete(doc);
    FILE *file = text ? create(f, name) : NULL;
    int rc = text ? -TRIT_EIO : trit_fail(f->err, TRIT_ENOMEM, "%s: out of memory", name);
    if (file) {
        fprintf(file, "%s\n", text);
        rc = finish(f, name, file);
    }
    cJSON_free(text);
    return rc;
}

/* ------------------------------------------------------------------ the text side */

static uint64_t number(const struct folder *f, const char *name)
{
    char key[96];
    uint64_t v = 0;
    snprintf(key, sizeof key, "%s%s%s", strchr(name, ':') ? "" : f->arch,
             strchr(name, ':') ? "" : ".", strchr(name, ':') ? strchr(name, ':') + 1 : name);
    (void)gguf_uint(f->g, key, &v, NULL);
    return v;
}

static double real(const struct folder *f, const char *name)
{
    char key[96];
    double v = 0;
    snprintf(key, sizeof key, "%s.%s", f->arch, name);
    (void)gguf_float(f->g, key, &v, NULL);
    return v;
}

static int write_config(const struct folder *f)
{
    // clang-format off
    static const struct {
        const char *hf, *gguf;
    } sizes[] = {
        {"hidden_size", "embedding_length"},      {"intermediate_size", "feed_forward_length"},
        {"num_hidden_layers", "block_count"},     {"num_attention_heads", "attention.head_count"},
        {"head_dim", "attention.key_length"},     {"num_key_value_heads", "attention.head_count_kv"},
        {"vocab_size", "vocab_size"},             {"max_position_embeddings", "context_length"},
        {"bos_token_id", ":tokenizer.ggml.bos_token_id"},
        {"eos_token_id", ":tokenizer.ggml.eos_token_id"},
    };
    // clang-format on
    cJSON *o = cJSON_CreateObject(), *quantised = cJSON_CreateObject();
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strcmp(classes[i].arch, f->arch) == 0) {
            cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "architectures"),
                                 cJSON_CreateString(classes[i].class));
            cJSON_AddStringToObject(o, "hidden_act", classes[i].act);
        }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        cJSON_AddNumberToObject(o, sizes[i].hf, (double)number(f, sizes[i].gguf));
    cJSON_AddNumberToObject(o, "rms_norm_eps", real(f, "attention.layer_norm_rms_epsilon"));
    cJSON_AddNumberToObject(o, "rope_theta", real(f, "rope.freq_base"));
    cJSON_AddBoolToObject(o, "tie_word_embeddings", gguf_tensor(f->g, "output.weight") == NULL);
    cJSON_AddStringToObject(quantised, "quant_method", "bitnet");
    cJSON_AddStringToObject(quantised, "linear_class", "autobitlinear");
    cJSON_AddStringToObject(quantised, "quantization_mode", "offline");
    cJSON_AddItemToObject(o, "quantization_config", quantised);
    return write_json(f, "config.json", o);
}

/* A copy, for cJSON wants it to end. */
static cJSON *text(struct gguf_str s)
{
    char *copy = mem_strndup(s.data, s.len);
    cJSON *item = copy ? cJSON_CreateString(copy) : NULL;
    mem_free(copy);
    return item;
}

static cJSON *token_name(const struct gguf_strs *tokens, uint64_t id)
{
    return text(gguf_str_at(tokens, MIN(id, (uint64_t)tokens->n - 1)));
}

static cJSON *added_token(struct gguf_str s, size_t id)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "id", (double)id);
    cJSON_AddItemToObject(o, "content", text(s));
    cJSON_AddBoolToObject(o, "single_word", false);
    cJSON_AddBoolToObject(o, "lstrip", false);
    cJSON_AddBoolToObject(o, "rstrip", false);
    cJSON_AddBoolToObject(o, "normalized", false);
    cJSON_AddBoolToObject(o, "special", true);
    return o;
}

/* A Split by the pattern, then the bytes; BOS in front of what is encoded. */
static void add_pipeline(cJSON *o, const struct folder *f, const struct gguf_strs *tokens)
{
    cJSON *all = cJSON_CreateObject(), *split = cJSON_CreateObject();
    cJSON *bytes = cJSON_CreateObject(), *after = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "type", "Sequence");
    cJSON *list = cJSON_AddArrayToObject(all, "pretokenizers");
    cJSON_AddStringToObject(split, "type", "Split");
    cJSON_AddStringToObject(cJSON_AddObjectToObject(split, "pattern"), "Regex", pattern);
    cJSON_AddStringToObject(split, "behavior", "Isolated");
    cJSON_AddBoolToObject(split, "invert", false);
    cJSON_AddStringToObject(bytes, "type", "ByteLevel");
    cJSON_AddBoolToObject(bytes, "add_prefix_space", false);
    cJSON_AddBoolToObject(bytes, "trim_offsets", true);
    cJSON_AddBoolToObject(bytes, "use_regex", false);
    cJSON_AddItemToArray(list, split);
    cJSON_AddItemToArray(list, bytes);
    cJSON_AddItemToObject(o, "pre_tokenizer", all);

    cJSON_AddStringToObject(after, "type", "TemplateProcessing");
    cJSON *single = cJSON_AddArrayToObject(after, "single");
    for (int i = 0; i < 2; i++) {
        cJSON *entry = cJSON_CreateObject(), *part = cJSON_CreateObject();
        cJSON_AddItemToObject(part, "id",
                              i ? cJSON_CreateString("A")
                                : token_name(tokens, number(f, ":tokenizer.ggml.bos_token_id")));
        cJSON_AddNumberToObject(part, "type_id", 0);
        cJSON_AddItemToObject(entry, i ? "Sequence" : "SpecialToken", part);
        cJSON_AddItemToArray(single, entry);
    }
    cJSON_AddArrayToObject(after, "pair");
    cJSON_AddObjectToObject(after, "special_tokens");
    cJSON_AddItemToObject(o, "post_processor", after);
    cJSON *decoder = cJSON_AddObjectToObject(o, "decoder");
    cJSON_AddStringToObject(decoder, "type", "ByteLevel");
}

static int write_tokenizer(const struct folder *f)
{
    enum { CONTROL = 3 };
    struct gguf_strs tokens, merges;
    struct gguf_str template;
    const int32_t *types;
    size_t n;
    int rc;
    if ((rc = gguf_strings(f->g, "tokenizer.ggml.tokens", &tokens, f->err)) ||
        (rc = gguf_strings(f->g, "tokenizer.ggml.merges", &merges, f->err)) ||
        (rc = gguf_ints(f->g, "tokenizer.ggml.token_type", &types, &n, f->err)) ||
        (rc = gguf_string(f->g, "tokenizer.chat_template", &template, f->err)))
        return rc;
    cJSON *o = cJSON_CreateObject(), *model = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "version", "1.0");
    cJSON *added = cJSON_AddArrayToObject(o, "added_tokens");
    cJSON_AddNullToObject(o, "normalizer");
    add_pipeline(o, f, &tokens);
    cJSON_AddStringToObject(model, "type", "BPE");
    cJSON_AddBoolToObject(model, "ignore_merges", true);
    cJSON *vocab = cJSON_AddObjectToObject(model, "vocab");
    for (size_t i = 0; i < n; i++) {
        struct gguf_str s = gguf_str_at(&tokens, i);
        char *name = mem_strndup(s.data, s.len);
        if (types[i] == CONTROL)
            cJSON_AddItemToArray(added, added_token(s, i));
        else if (name) /* keys are copied */
            cJSON_AddItemToObject(vocab, name, cJSON_CreateNumber((double)i));
        mem_free(name);
    }
    cJSON *pairs = cJSON_AddArrayToObject(model, "merges");
    for (size_t i = 0; i < merges.n; i++)
        cJSON_AddItemToArray(pairs, text(gguf_str_at(&merges, i)));
    cJSON_AddItemToObject(o, "model", model);
    rc = write_json(f, "tokenizer.json", o);
    cJSON *c = cJSON_CreateObject();
    cJSON_AddItemToObject(c, "bos_token",
                          token_name(&tokens, number(f, ":tokenizer.ggml.bos_token_id")));
    cJSON_AddItemToObject(c, "eos_token",
                          token_name(&tokens, number(f, ":tokenizer.ggml.eos_token_id")));
    cJSON_AddItemToObject(c, "chat_template", text(template));
    int also = write_json(f, "tokenizer_config.json", c);
    return rc ? rc : also;
}

/* ------------------------------------------------------------------ the weights */

/* One entry of the header; *at moves behind its bytes. */
static void describe(struct buf *head, const char *name, const char *type, uint64_t rows,
                     uint64_t cols, uint64_t bytes, uint64_t *at)
{
    buf_addf(head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", head->len > 1 ? "," : "", name, type);
    if (rows)
        buf_addf(head, "%" PRIu64 ",", rows);
    buf_addf(head, "%" PRIu64 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", cols, *at,
             *at + bytes);
    *at += bytes;
}

static void describe_all(const struct folder *f, struct buf *head)
{
    uint64_t at = 0;
    buf_addc(head, '{');
    for (size_t i = 0; i < gguf_n_tensors(f->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(f->g, i);
        char name[128] = "";
        uint64_t rows = t->n_dims > 1 ? t->ne[1] : 0;
        hf_name(t->name, name);
        if (!t->quant->ternary) {
            describe(head, name, t->quant->type == QUANT_F32 ? "F32" : "F16", rows, t->ne[0],
                     t->bytes, &at);
            continue;
        }
        describe(head, name, "U8", rows / 4, t->ne[0], rows / 4 * t->ne[0], &at);
        strcat(name, "_scale");
        describe(head, name, "F32", 0, 1, sizeof(float), &at);
    }
    buf_addc(head, '}');
    while (head->len % 8 && !head->failed)
        buf_addc(head, ' ');
}

/* Rows of q and k of the llama architecture are adjacent pairs in GGUF, and halves of heads here.
 */
static void unpair(const struct folder *f, const struct gguf_tensor *t, const int8_t *from,
                   int8_t *to)
{
    uint64_t cols = t->ne[0], rows = t->ne[1], half = number(f, "attention.key_length") / 2;
    bool paired = strcmp(f->arch, "llama") == 0 && half &&
                  (strstr(t->name, ".attn_q.") || strstr(t->name, ".attn_k."));
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t in = half ? r % (2 * half) : 0;
        uint64_t source = paired ? r - in + (in < half ? 2 * in : 2 * (in - half) + 1) : r;
        memcpy(to + r * cols, from + source * cols, cols);
    }
}

static int write_linear(const struct folder *f, const struct gguf_tensor *t, FILE *file)
{
    uint64_t n = tool_values(t);
    int8_t *trits = mem_zalloc(n, 1), *rows = mem_zalloc(n, 1);
    struct tensor_reader w;
    float scale = 0;
    int rc = tensor_reader_open(&w, f->g, t, f->err);
    if (rc == 0) {
        if (!trits || !rows)
            rc = trit_fail(f->err, TRIT_ENOMEM, "tensor %s: out of memory", t->name);
        while (rc == 0 && (rc = tensor_reader_next(&w, f->err)) == 0 && w.n) {
            memcpy(trits + w.at, w.trits, w.n);
            scale = w.scales[0];
        }
        tensor_reader_close(&w);
    }
    if (rc == 0) {
        unsigned char bytes[sizeof scale];
        unpair(f, t, trits, rows);
        quant_write_hf_u8(rows, trits, t->ne[1], t->ne[0]);
        quant_write_f32(&scale, bytes, 1);
        fwrite(trits, 1, n / 4, file);
        fwrite(bytes, 1, sizeof bytes, file);
    }
    mem_free(trits);
    mem_free(rows);
    return rc;
}

static int write_floats(const struct folder *f, const struct gguf_tensor *t, FILE *file)
{
    static char piece[65536];
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < t->bytes; at += sizeof piece) {
        size_t n = MIN(t->bytes - at, (uint64_t)sizeof piece);
        rc = gguf_read(f->g, t, at, piece, n, f->err);
        if (rc == 0)
            fwrite(piece, 1, n, file);
    }
    return rc;
}

static int write_weights(const struct folder *f)
{
    static const char NAME[] = "model.safetensors";
    struct buf head = {0};
    describe_all(f, &head);
    FILE *file = head.failed ? NULL : create(f, NAME);
    int rc = head.failed ? trit_fail(f->err, TRIT_ENOMEM, "out of memory") : file ? 0 : -TRIT_EIO;
    if (file) {
        unsigned char len[8];
        for (int i = 0; i < 8; i++)
            len[i] = (unsigned char)((uint64_t)head.len >> (8 * i));
        fwrite(len, 1, sizeof len, file);
        fwrite(head.data, 1, head.len, file);
        for (size_t i = 0; rc == 0 && i < gguf_n_tensors(f->g); i++) {
            const struct gguf_tensor *t = gguf_tensor_at(f->g, i);
            rc = t->quant->ternary ? write_linear(f, t, file) : write_floats(f, t, file);
        }
        int also = finish(f, NAME, file);
        rc = rc ? rc : also;
    }
    buf_free(&head);
    return rc;
}

int synth_folder(const char *gguf, const char *path, struct trit_error *err)
{
    struct gguf *g = NULL;
    struct gguf_str arch = {"", 0};
    struct folder f = {.path = path, .err = err};
    int rc = gguf_open(gguf, &g, err);
    if (rc)
        return rc;
    f.g = g;
    rc = gguf_string(g, "general.architecture", &arch, err);
    snprintf(f.arch, sizeof f.arch, "%.*s", (int)arch.len, arch.data);
    if (rc == 0 && (rc = write_config(&f)) == 0 && (rc = write_tokenizer(&f)) == 0)
        rc = write_weights(&f);
    gguf_close(&g);
    return rc;
}
