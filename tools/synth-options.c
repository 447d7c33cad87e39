/* SPDX-License-Identifier: MIT */
/*
 * synth-options.c - the command line of `trit-model synth`: shapes, encodings, and which of them go
 * together.
 */
#include "config.h"
#include "synth.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "model/arch.h"
#include "model/quant.h"
#include "tool.h"

/* The larger ones are those of bitnet_b1_58-large, -3B, BitNet b1.58 2B-4T and Llama3-8B-1.58, and
 * of Ternary Bonsai, which are those of Qwen3-1.7B and -8B; then those of BitNet-embedding. */
// clang-format off
static const struct synth_shape shapes[] = {
    {"tiny",  "bitnet-b1.58",  4,  256,   768,  4,  2,    512, 2048, 500000, 1e-5f, true,  false, 0, false},
    {"small", "bitnet-b1.58",  8,  512,  1536,  8,  2,   2048, 2048, 500000, 1e-5f, true,  false, 0, false},
    {"700m",  "bitnet",       24, 1536,  4096, 16, 16,  32002, 2048,  10000, 1e-5f, true,  false, 0, false},
    {"2b",    "bitnet-b1.58", 30, 2560,  6912, 20,  5, 128256, 4096, 500000, 1e-5f, true,  false, 0, false},
    {"3b",    "bitnet",       26, 3200,  8640, 32, 32,  32002, 2048,  10000, 1e-5f, true,  false, 0, false},
    {"8b",    "llama",        32, 4096, 14336, 32,  8, 128256, 8192, 500000, 1e-5f, false, false, 0, false},
    {"bonsai-tiny", "qwen3",   4,  256,   768,  4,  2,    512, 2048,    1e6, 1e-6f, true,  true, 0, false},
    {"bonsai-1.7b", "qwen3",  28, 2048,  6144, 16,  8, 151936, 32768,   1e6, 1e-6f, true,  true, 0, false},
    {"bonsai-8b",   "qwen3",  36, 4096, 12288, 32,  8, 151936, 32768,   1e6, 1e-6f, false, true, 0, false},
    {"embed-0.6b",  "qwen3",  28, 1024,  3072, 16,  8, 151936, 32768,   1e6, 1e-6f, true,  false, 128, true},
    {"embed-270m",  "gemma3", 18,  640,  2048,  4,  1, 262144, 32768,   1e4, 1e-6f, true,  false, 256, true},
};

/* What --type and --head may say; the id that is written for it, and the number llama.cpp's
 * general.file_type has. */
static const struct {
    const char *name;
    uint32_t type, id, file_type;
} types[] = {
    {"tq1_0",     QUANT_TQ1_0,  QUANT_TQ1_0,  36},
    {"tq2_0",     QUANT_TQ2_0,  QUANT_TQ2_0,  37},
    {"i2_s",      QUANT_I2_S,   QUANT_I2_S,   40},
    {"f16",       QUANT_F16,    QUANT_F16,     1},
    {"q2_0",      QUANT_Q2_0,   QUANT_Q2_0,   SYNTH_UNNUMBERED},
    {"q2_0_g128", QUANT_PQ2_0,  QUANT_Q2_0,   SYNTH_UNNUMBERED}, /* as PrismML had it at first */
    {"pq2_0",     QUANT_PQ2_0,  QUANT_PQ2_0,  SYNTH_UNNUMBERED},
    {"ptq1_0",    QUANT_PTQ1_0, QUANT_PTQ1_0, SYNTH_UNNUMBERED},
    {"q1_0",      QUANT_Q1_0,   QUANT_Q1_0,   SYNTH_UNNUMBERED},
}, heads[] = {
    {"f16",   QUANT_F16,  QUANT_F16,  1},
    {"q8_0",  QUANT_Q8_0, QUANT_Q8_0, 7},
    {"f32",   QUANT_F32,  QUANT_F32,  0},
    {"same",  SYNTH_SAME, SYNTH_SAME, 0},
};
// clang-format on

/* Rows of every linear must be whole blocks, or groups; say which is not, and what would do
 * instead. */
static int check_type(struct synth *s, bool asked)
{
    if (s->method != METHOD_TERNARY) {
        uint32_t block = s->method == METHOD_BILLM ? BILLM_BLOCK : 8;
        if (s->shape.dim % block == 0 && s->shape.ffn % block == 0 && s->head != SYNTH_SAME)
            return TOOL_OK;
        return tool_usage(&tool_synth,
                          "--type %s: expected another --head than same, and rows that "
                          "are a multiple of %u",
                          method_name(s->method), block);
    }
    const struct quant_info *q = quant_find(s->type);
    uint32_t whole = q->ternary && q->block_bytes ? synth_group(q) : q->block_values;
    uint32_t odd = s->shape.dim % whole ? s->shape.dim : s->shape.ffn % whole ? s->shape.ffn : 0;
    if (s->head == SYNTH_SAME && s->type == QUANT_I2_S)
        return tool_usage(&tool_synth, "--head same: expected another --type than i2_s with it");
    if (!odd)
        return TOOL_OK;
    if (asked)
        return tool_usage(&tool_synth,
                          "%s wants rows that are a multiple of %u, shape %s has rows of %u; "
                          "use --type i2_s or f16",
                          q->name, whole, s->shape.name, odd);
    s->type = s->id = QUANT_I2_S;
    s->file_type = 40;
    return TOOL_OK;
}

static bool number(const char *text, uint64_t max, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && *text != '-' && *v <= max;
}

static bool choose_shape(struct synth *s, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        if (strcmp(shapes[i].name, name) == 0) {
            s->shape = shapes[i];
            return true;
        }
    return false;
}

static bool choose_type(struct synth *s, const char *name)
{
    s->method = method_find(name, strlen(name));
    if (s->method != METHODS && s->method != METHOD_TERNARY) {
        s->file_type = SYNTH_UNNUMBERED;
        return true;
    }
    s->method = METHOD_TERNARY;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, name) == 0) {
            s->type = types[i].type;
            s->id = types[i].id;
            s->file_type = types[i].file_type;
            return true;
        }
    return false;
}

static bool choose_head(struct synth *s, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (strcmp(heads[i].name, name) == 0) {
            s->head = heads[i].type;
            return true;
        }
    return false;
}

/* Of a folder the linears are packed in one way, and not all that a model may have is written. */
static int choose_folder(struct synth *s, bool typed)
{
    if (typed)
        return tool_usage(&tool_synth,
                          "--hf packs its linears in the one way there is; found --type");
    if (s->shape.embeds || s->arch->post_norms)
        return tool_usage(&tool_synth, "--hf: expected another shape than embed-0.6b and "
                                       "embed-270m, and another graph than gemma3");
    if (s->head != QUANT_F16 && s->head != QUANT_F32)
        return tool_usage(&tool_synth, "--hf: expected --head f16 or f32 with it");
    choose_type(s, "i2_s");
    return TOOL_OK;
}

/* What the command line says beside the model's own: 0 and NULL where it says nothing. */
struct asked {
    const char *arch;
    uint64_t vocab, ctx;
    bool typed, folder;
};

/* One option; TOOL_USAGE where its argument is wrong. */
static int take_option(struct synth *s, struct asked *a, int option, const char *arg)
{
    switch (option) {
    case 's':
        if (choose_shape(s, arg))
            return TOOL_OK;
        return tool_usage(&tool_synth,
                          "--shape %s: expected tiny, small, 700m, 2b, 3b, 8b, bonsai-tiny, "
                          "bonsai-1.7b, bonsai-8b, embed-0.6b or embed-270m",
                          arg);
    case 't':
        a->typed = true;
        if (choose_type(s, arg))
            return TOOL_OK;
        return tool_usage(&tool_synth,
                          "--type %s: expected tq1_0, tq2_0, i2_s, f16, q2_0, q2_0_g128, "
                          "pq2_0, ptq1_0, q1_0, onebit, b1 or billm",
                          arg);
    case 'a':
        a->arch = arg;
        s->arch = arch_find(arg, strlen(arg));
        if (s->arch && !s->arch->hybrid)
            return TOOL_OK;
        if (s->arch)
            return tool_usage(&tool_synth, "--arch %s: hybrid models are not made", arg);
        return tool_usage(&tool_synth, "--arch %s: expected one of: %s", arg, arch_names());
    case 'H':
        if (choose_head(s, arg))
            return TOOL_OK;
        return tool_usage(&tool_synth, "--head %s: expected f16, q8_0, f32 or same", arg);
    case 'v':
        if (number(arg, SYNTH_VOCAB_MAX, &a->vocab) && a->vocab >= SYNTH_VOCAB_MIN)
            return TOOL_OK;
        return tool_usage(&tool_synth, "--vocab %s: expected a number from %d to %d", arg,
                          SYNTH_VOCAB_MIN, SYNTH_VOCAB_MAX);
    case 'c':
        if (number(arg, SYNTH_CTX_MAX, &a->ctx) && a->ctx > 0)
            return TOOL_OK;
        return tool_usage(&tool_synth, "--ctx %s: expected a number from 1 to %d", arg,
                          SYNTH_CTX_MAX);
    case 'S':
        if (number(arg, UINT64_MAX, &s->seed))
            return TOOL_OK;
        return tool_usage(&tool_synth, "--seed %s: expected a number", arg);
    case 'o':
        s->path = arg;
        return TOOL_OK;
    case 'F':
        a->folder = true;
        return TOOL_OK;
    default:
        return tool_usage(&tool_synth, NULL);
    }
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"shape", required_argument, NULL, 's'},
                                            {"type", required_argument, NULL, 't'},
                                            {"arch", required_argument, NULL, 'a'},
                                            {"head", required_argument, NULL, 'H'},
                                            {"vocab", required_argument, NULL, 'v'},
                                            {"ctx", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 'S'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"hf", no_argument, NULL, 'F'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct trit_error err = {0};
    struct asked a = {0};
    struct synth s = {
        .type = QUANT_TQ2_0, .id = QUANT_TQ2_0, .file_type = 37, .head = QUANT_F16, .err = &err};
    s.seed = 1;
    for (int o; (o = getopt_long(argc, argv, "s:t:o:h", options, NULL)) != -1;) {
        if (o == 'h')
            return tool_help(&tool_synth);
        if (take_option(&s, &a, o, optarg) != TOOL_OK)
            return TOOL_USAGE;
    }
    if (optind != argc)
        return tool_usage(&tool_synth, "found '%s', expected options only", argv[optind]);
    if (!s.shape.name || !s.path)
        return tool_usage(&tool_synth, "%s is missing", s.path ? "--shape" : "-o FILE");
    s.shape.arch = a.arch ? a.arch : s.shape.arch;
    s.shape.vocab = a.vocab ? (uint32_t)a.vocab : s.shape.vocab;
    s.shape.context = a.ctx ? (uint32_t)a.ctx : s.shape.context;
    s.arch = arch_find(s.shape.arch, strlen(s.shape.arch));
    if (a.folder && choose_folder(&s, a.typed) != TOOL_OK)
        return TOOL_USAGE;
    if (check_type(&s, a.typed) != TOOL_OK)
        return TOOL_USAGE;
    if (a.folder)
        return synth_in_folder(&s) ? tool_failed(&err) : TOOL_OK;
    return synth_file(&s) ? tool_failed(&err) : TOOL_OK;
}

const struct tool_command tool_synth = {
    "synth", "make a model with random weights, for tests and measurements",
    "Usage: trit-model synth --shape SHAPE [OPTIONS] -o FILE\n"
    "\n"
    "  -s, --shape SHAPE   tiny (1 MB), small (8 MB), 700m, 2b, 3b or 8b; the large ones have the\n"
    "                      shapes of bitnet_b1_58-large, BitNet b1.58 2B-4T, bitnet_b1_58-3B and\n"
    "                      Llama3-8B-1.58.  bonsai-tiny, bonsai-1.7b or bonsai-8b: a qwen3 graph\n"
    "                      in which 128 weights (256 in tq1_0 and tq2_0) share a scale, the last\n"
    "                      two with the shapes of Ternary Bonsai.  (With --type i2_s or f16 a\n"
    "                      tensor has one scale, to compare speeds.)  embed-0.6b or embed-270m:\n"
    "                      those of BitNet-embedding, which only embed\n"
    "  -t, --type TYPE     of the linear layers: tq1_0, tq2_0, i2_s or f16 (default tq2_0, or "
    "i2_s\n"
    "                      where the shape's rows are not a multiple of 256); or those in which\n"
    "                      Bonsai models come: q2_0, q2_0_g128, pq2_0, ptq1_0, and q1_0, whose\n"
    "                      weights are all -1 or +1; or onebit, b1 and billm, which are other\n"
    "                      methods than ternary\n"
    "      --arch ARCH     bitnet-b1.58, bitnet-25, bitnet, llama, qwen3 or gemma3 (default: the\n"
    "                      shape's)\n"
    "      --head TYPE     of the embedding and the head: f16, q8_0, f32 or same, which is the\n"
    "                      encoding of the linears, as Bonsai models have it (default f16)\n"
    "      --vocab N       tokens (default: the shape's)\n"
    "      --ctx N         positions it is said to be trained for (default: the shape's)\n"
    "      --seed N        other weights (default 1)\n"
    "      --hf            a folder of Hugging Face files instead: config.json, tokenizer.json,\n"
    "                      model.safetensors with packed linears; the same model as --type i2_s\n"
    "  -o, --output FILE   where it goes; written beside it first and renamed when whole\n"
    "  -h, --help          this text\n"
    "\n"
    "Files of the same shape and seed hold the same weights in every --type, but for those "
    "scales.\n"
    "\n"
    "Examples:\n"
    "  trit-model synth --shape tiny -o tiny.gguf\n"
    "  trit-model synth --shape 2b --type tq1_0 --head q8_0 -o 2b.gguf\n"
    "  trit-model synth --shape bonsai-1.7b --type q2_0_g128 --head same -o bonsai.gguf\n",
    run};
