/* SPDX-License-Identifier: MIT */
/*
 * quantize-options.c - the command line of `trit-model quantize`.
 *
 * --type is a ternary encoding (quantize.h) or a method (method.h).  Options of the one kind are
 * refused with the other: they would be of no effect.
 */
#include "config.h"
#include "quantize.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "method.h"
#include "tool.h"

enum { SEQUENCES = 128 }; /* unless --sequences says otherwise */

struct command {
    struct quantize_wish wish;
    struct method_wish method; /* METHOD_TERNARY: --type is an encoding */
    bool force;
};

/* --type: an encoding, or onebit or billm.  The last one counts. */
static bool choose_type(struct command *c, const char *name)
{
    enum method_id method = method_find(name, strlen(name));
    bool made = method == METHOD_ONEBIT || method == METHOD_BILLM;
    c->wish.target = quantize_target(name);
    c->method.method = made ? method : METHOD_TERNARY;
    return made || c->wish.target;
}

static bool choose_embedding(struct command *c, const char *name)
{
    c->wish.embedding = quantize_embedding(name);
    return c->wish.embedding || strcmp(name, "keep") == 0;
}

static bool count(const char *text, size_t *n)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    *n = v;
    return *text >= '1' && *text <= '9' && *end == '\0' && v <= 1 << 20;
}

static int run_method(struct command *c, struct trit_error *err)
{
    struct method_wish *m = &c->method;
    const struct quantize_wish *w = &c->wish;
    const char *name = method_name(m->method);
    if (w->embedding || w->master)
        return tool_usage(&tool_quantize, "--embedding and --absmean: not with --type %s", name);
    if (w->how.i2s || w->how.n_tiles || w->how.as_it_is)
        return tool_usage(&tool_quantize, "--order, --tiles and --unchecked: not with --type %s",
                          name);
    if (m->method == METHOD_BILLM && !m->calibration)
        return tool_usage(&tool_quantize, "--type billm needs --calibration TEXT");
    if (m->method == METHOD_ONEBIT && (m->calibration || m->sequences))
        return tool_usage(&tool_quantize, "--calibration and --sequences: not with --type onebit");
    if (m->method == METHOD_BILLM && !m->output_norm)
        return tool_usage(&tool_quantize, "--no-output-norm: not with --type billm");
    m->in = w->in;
    m->out = w->out;
    m->sequences = m->sequences ? m->sequences : SEQUENCES;
    return method_run(m, err) ? tool_failed(err) : TOOL_OK;
}

static int run_ternary(const struct command *c, struct trit_error *err)
{
    const struct method_wish *m = &c->method;
    if (m->calibration || m->perplexity || m->context || m->sequences || !m->output_norm)
        return tool_usage(&tool_quantize, "--calibration, --perplexity, --context, --sequences and "
                                          "--no-output-norm: only with --type onebit or billm");
    return quantize_run(&c->wish, err) ? tool_failed(err) : TOOL_OK;
}

/* One option; TOOL_USAGE where its argument is wrong. */
static int take_option(struct command *c, int option, const char *arg)
{
    struct trit_error err = {0};
    switch (option) {
    case 't':
        if (choose_type(c, arg))
            return TOOL_OK;
        return tool_usage(&tool_quantize,
                          "--type %s: expected tq1_0, tq2_0, i2_s, q2_0, pq2_0, ptq1_0, onebit or "
                          "billm",
                          arg);
    case 'e':
        if (choose_embedding(c, arg))
            return TOOL_OK;
        return tool_usage(&tool_quantize, "--embedding %s: expected keep, f32, f16 or q8_0", arg);
    case 'a':
        c->wish.master = true;
        return TOOL_OK;
    case 'f':
        c->force = true;
        return TOOL_OK;
    case 'i':
        if (reading_order(&c->wish.how, arg))
            return TOOL_OK;
        return tool_usage(&tool_quantize, "--order %s: expected published, arm or four", arg);
    case 'T':
        if (reading_tiles(&c->wish.how, arg, &err) == 0)
            return TOOL_OK;
        return tool_usage(&tool_quantize, "%s", err.text);
    case 'u':
        c->wish.how.as_it_is = true;
        return TOOL_OK;
    case 'c':
        c->method.calibration = arg;
        return TOOL_OK;
    case 'p':
        c->method.perplexity = arg;
        return TOOL_OK;
    case 'x':
    case 's':
        if (count(arg, option == 'x' ? &c->method.context : &c->method.sequences))
            return TOOL_OK;
        return tool_usage(&tool_quantize, "%s %s: expected a number from 1 to 1048576",
                          option == 'x' ? "--context" : "--sequences", arg);
    case 'n':
        c->method.output_norm = false;
        return TOOL_OK;
    default:
        return tool_usage(&tool_quantize, NULL);
    }
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"type", required_argument, NULL, 't'},
                                            {"embedding", required_argument, NULL, 'e'},
                                            {"absmean", no_argument, NULL, 'a'},
                                            {"force", no_argument, NULL, 'f'},
                                            {"order", required_argument, NULL, 'i'},
                                            {"tiles", required_argument, NULL, 'T'},
                                            {"unchecked", no_argument, NULL, 'u'},
                                            {"calibration", required_argument, NULL, 'c'},
                                            {"perplexity", required_argument, NULL, 'p'},
                                            {"context", required_argument, NULL, 'x'},
                                            {"sequences", required_argument, NULL, 's'},
                                            {"no-output-norm", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct trit_error err = {0};
    struct command c = {.method = {.output_norm = true}};
    for (int o; (o = getopt_long(argc, argv, "t:e:fh", options, NULL)) != -1;) {
        if (o == 'h')
            return tool_help(&tool_quantize);
        if (take_option(&c, o, optarg) != TOOL_OK)
            return TOOL_USAGE;
    }
    if (optind + 2 != argc)
        return tool_usage(&tool_quantize, "found %d files, expected IN and OUT", argc - optind);
    c.wish.in = argv[optind];
    c.wish.out = argv[optind + 1];
    if (!c.wish.target && c.method.method == METHOD_TERNARY)
        return tool_usage(&tool_quantize, "--type is missing");
    if (!c.force && access(c.wish.out, F_OK) == 0)
        return tool_usage(&tool_quantize, "%s is there already; --force replaces it", c.wish.out);
    return c.method.method == METHOD_TERNARY ? run_ternary(&c, &err) : run_method(&c, &err);
}

const struct tool_command tool_quantize = {
    "quantize", "write the ternary layers of a model in another encoding",
    "Usage: trit-model quantize --type TYPE [OPTIONS] IN OUT\n"
    "\n"
    "IN is a GGUF file, or a folder of Hugging Face files whose matrices lie as in one (Qwen3,\n"
    "BitNet); floats that are ternary by groups of 128 inputs are so in OUT, embedding and head "
    "too.\n"
    "\n"
    "Re-encodes attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up and ffn_down of every "
    "layer\n"
    "(attn_qkv, attn_gate and ssm_out of those with a gated delta rule),\n"
    "and with --embedding the embedding and the head; everything else is copied as it is.  "
    "Ternary\n"
    "weights stay exactly what they are.  F16, BF16 and F32 weights that are -s, 0 or s stay so "
    "too;\n"
    "others are rounded by absmean (BitNet b1.58), which is right for the master weights of a\n"
    "ternary model and for nothing else.\n"
    "\n"
    "  -t, --type TYPE   tq1_0 (1.69 bits a weight) and tq2_0 (2.06), with a scale for 256 "
    "weights;\n"
    "                    i2_s (2.0), with one for the tensor; and what Bonsai models come in:\n"
    "                    ptq1_0 (1.75) and pq2_0 (2.13), a scale for 128, q2_0 (2.25) for 64.  "
    "But\n"
    "                    for i2_s scales are binary16, and rows whole blocks\n"
    "  -e, --embedding TYPE\n"
    "                    of token_embd, and of output where the file has that: keep (the "
    "default),\n"
    "                    f32, f16 or q8_0 (8.5 bits a value; needs rows that are a multiple of "
    "32)\n"
    "      --absmean     floats are master weights of a ternary model, whatever the architecture\n"
    "  -f, --force       replace OUT if it is there already\n" TOOL_READING_HELP
    "  -h, --help        this text\n"
    "\n"
    "To 1 bit, from a Llama in F32, F16 or BF16, a GGUF file or a folder of Hugging Face files.  "
    "A\n"
    "layer at a time is in memory, as floats; how far each matrix is off is printed:\n"
    "\n"
    "  -t, --type onebit signs and two vectors (1 bit a weight): the decomposition that OneBit's\n"
    "                    training starts from, not what comes out of that training\n"
    "             billm  salient columns in two planes, the others in one of two sizes, errors "
    "made\n"
    "                    good by what inputs of the calibration text are like (2.9 bits a weight)\n"
    "      --calibration TEXT\n"
    "                    a text like those that the model will see; billm needs it\n"
    "      --sequences N of the calibration text, at most (default 128)\n"
    "      --context N   tokens of a sequence (default 512, or what the model has)\n"
    "      --perplexity TEXT\n"
    "                    measure the perplexity of a text before and after\n"
    "      --no-output-norm\n"
    "                    onebit without the LayerNorm behind each matrix that OneBit has\n"
    "\n"
    "Examples:\n"
    "  trit-model quantize --type billm --calibration some.txt --perplexity other.txt llama/ "
    "b.gguf\n"
    "  trit-model quantize --type q2_0 Ternary-Bonsai-1.7B-unpacked/ bonsai.gguf\n"
    "  trit-model quantize --type tq1_0 model.i2_s.gguf model.tq1_0.gguf\n"
    "  trit-model quantize --type i2_s bf16-master.gguf ternary.gguf\n"
    "  trit-model quantize --type tq1_0 --embedding q8_0 f32-master.gguf small.gguf\n"
    "  trit-model quantize --type i2_s --tiles kernel_config.ini tl2.gguf ternary.gguf\n",
    run};
