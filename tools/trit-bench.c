/* SPDX-License-Identifier: MIT */
/*
 * trit-bench.c - speed, measured: kernels against the machine, whole models by prefill and decode.
 *
 * Every figure is the median of several samples, with the smallest and largest beside it.
 * What is measured from outside, a load on a server and the start of a daemon, has a command line
 * of its own: bench-load.c, bench-start.c.
 */
#include "config.h"
#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/team.h"
#include "kernels/kernels.h"

void bench_sample(struct bench_samples *s, double value)
{
    if (s->n < ARRAY_LEN(s->value))
        s->value[s->n++] = value;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(struct bench_samples *s)
{
    trit_assert(s->n > 0);
    qsort(s->value, s->n, sizeof *s->value, ascending);
    return s->n % 2 ? s->value[s->n / 2] : (s->value[s->n / 2 - 1] + s->value[s->n / 2]) / 2;
}

static bool first_row;

void bench_begin(const struct bench_options *o, const char *title)
{
    first_row = true;
    if (o->json)
        printf("{\"title\":\"%s\",\"threads\":%u,\"repeat\":%u,\"seed\":%llu,\"rows\":[", title,
               o->threads, o->repeat, (unsigned long long)o->seed);
    else
        printf("%s (%u threads, medians of %u)\n%-44s %10s  %-9s %s\n", title, o->threads,
               o->repeat, "", "median", "unit", "min - max");
}

void bench_row(const struct bench_options *o, const char *what, struct bench_samples *s,
               const char *unit, const char *note)
{
    double median = bench_median(s), min = s->value[0], max = s->value[s->n - 1];
    if (o->json)
        printf("%s{\"what\":\"%s\",\"median\":%.6g,\"min\":%.6g,\"max\":%.6g,\"unit\":\"%s\","
               "\"note\":\"%s\"}",
               first_row ? "" : ",", what, median, min, max, unit, note ? note : "");
    else
        printf("%-44s %10.2f  %-9s %.2f - %.2f%s%s\n", what, median, unit, min, max,
               note ? "  " : "", note ? note : "");
    first_row = false;
    fflush(stdout);
}

void bench_end(const struct bench_options *o)
{
    puts(o->json ? "]}" : "");
}

const struct kernels *bench_pick(const struct bench_options *o)
{
    uint32_t mask;
    struct trit_error err;
    if (kernels_mask_parse(o->cpu, &mask, &err) != 0) {
        fprintf(stderr, "trit-bench: --cpu: %s\n", err.text);
        return NULL;
    }
    return kernels_pick(mask);
}

static const char help[] =
    "trit-bench measures tritd on this machine: kernels, whole models, servers, starts.\n"
    "\n"
    "Usage: trit-bench kernels [OPTIONS]\n"
    "       trit-bench model FILE [OPTIONS]\n"
    "       trit-bench grammar FILE [OPTIONS]  masks of tokens; a file of a tokenizer is enough\n"
    "       trit-bench load [OPTIONS]          what clients of a server get; see load --help\n"
    "       trit-bench start FILE [OPTIONS]    start-up, memory, idle CPU; see start --help\n"
    "\n"
    "kernels: each variant this processor can run, on matrices far larger than the caches, for 1 "
    "to\n"
    "128 tokens at once, beside what memory can deliver in the same run.\n"
    "model: prompt tokens a second, and generated tokens a second for several streams together,\n"
    "through the same engine the daemon uses.\n"
    "grammar: the time to know which tokens may follow, in states of JSON and other grammars.\n"
    "\n"
    "  --threads N       workers (default: what this process may use)\n"
    "  --cpu SET         auto, scalar, avx2, avx512, amx, neon (default auto)\n"
    "  --prompt N        prompt tokens for prefill (default 512)\n"
    "  --new N           tokens each stream generates for decode (default 32)\n"
    "  --streams LIST    streams together for decode (default 1,4,8,16)\n"
    "  --context N       instead, single steps behind N positions of random keys and values: a\n"
    "                    chunk of a prompt, at most 256 tokens, and a token of each stream\n"
    "  --kv-type TYPE    f16, f32 or q8 (default f16)\n"
    "  --head-type TYPE  auto, q8 or f16 (default auto: ternary where the file is, f16 for\n"
    "                    models that only embed, else q8)\n"
    "  --act-type TYPE   auto, q8 or q16 (default auto: q16 for models with several scales a row,\n"
    "                    OneBit and BiLLM)\n"
    "  --repeat N        samples behind each median, 1 to 64 (default 5)\n"
    "  --seed N          of everything random (default 1)\n"
    "  --json            one JSON object instead of a table\n"
    "  -h, --help        this text\n"
    "\n"
    "Examples:\n"
    "  trit-model synth --shape 2b -o 2b.gguf     the shape of BitNet b1.58 2B-4T, random weights\n"
    "  trit-bench model 2b.gguf --prompt 128 --streams 1,16\n"
    "  trit-bench model 2b.gguf --context 8192 --streams 1,4 --kv-type q8\n"
    "  trit-bench kernels --cpu avx2 --json\n"
    "  trit-bench load --clients 16\n";

enum {
    OPT_THREADS = 256,
    OPT_CPU,
    OPT_PROMPT,
    OPT_NEW,
    OPT_STREAMS,
    OPT_CONTEXT,
    OPT_KV,
    OPT_HEAD,
    OPT_ACTS,
    OPT_REPEAT,
    OPT_SEED,
    OPT_JSON
};

static const struct option options[] = {
    {"threads", required_argument, NULL, OPT_THREADS},
    {"cpu", required_argument, NULL, OPT_CPU},
    {"prompt", required_argument, NULL, OPT_PROMPT},
    {"new", required_argument, NULL, OPT_NEW},
    {"streams", required_argument, NULL, OPT_STREAMS},
    {"context", required_argument, NULL, OPT_CONTEXT},
    {"kv-type", required_argument, NULL, OPT_KV},
    {"head-type", required_argument, NULL, OPT_HEAD},
    {"act-type", required_argument, NULL, OPT_ACTS},
    {"repeat", required_argument, NULL, OPT_REPEAT},
    {"seed", required_argument, NULL, OPT_SEED},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

bool bench_number(const char *name, const char *text, unsigned long min, unsigned long max,
                  unsigned long *out)
{
    char *end;
    *out = strtoul(text, &end, 10);
    if (*text != '-' && end != text && *end == '\0' && *out >= min && *out <= max)
        return true;
    fprintf(stderr, "trit-bench: --%s: \"%s\", expected a number from %lu to %lu\n", name, text,
            min, max);
    return false;
}

bool bench_real(const char *name, const char *text, double min, double max, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= min && *out <= max)
        return true;
    fprintf(stderr, "trit-bench: --%s: \"%s\", expected a number from %g to %g\n", name, text, min,
            max);
    return false;
}

int bench_usage(const char *what)
{
    fprintf(stderr, "Try: trit-bench%s%s --help\n", *what ? " " : "", what);
    return 2;
}

static bool take_kv_type(struct bench_options *o, const char *word)
{
    static const struct {
        const char *word;
        enum kv_type type;
    } types[] = {{"f16", KV_F16}, {"f32", KV_F32}, {"q8", KV_Q8}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(word, types[i].word) == 0) {
            o->kv_word = word;
            o->kv_type = types[i].type;
            return true;
        }
    fprintf(stderr, "trit-bench: --kv-type: \"%s\", expected f16, f32 or q8\n", word);
    return false;
}

static bool take_head_type(struct bench_options *o, const char *word)
{
    static const struct {
        const char *word;
        enum table_type type;
    } types[] = {{"auto", TABLE_TERNARY}, {"q8", TABLE_Q8}, {"f16", TABLE_F16}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(word, types[i].word) == 0) {
            o->tables = types[i].type;
            return true;
        }
    fprintf(stderr, "trit-bench: --head-type: \"%s\", expected auto, q8 or f16\n", word);
    return false;
}

static bool take_option(struct bench_options *o, int opt)
{
    unsigned long n = 0;
    switch (opt) {
    case OPT_THREADS:
        return bench_number("threads", optarg, 1, 1024, &n) && (o->threads = (unsigned)n, true);
    case OPT_PROMPT:
        return bench_number("prompt", optarg, 1, 1 << 20, &n) && (o->prompt = (uint32_t)n, true);
    case OPT_NEW:
        return bench_number("new", optarg, 2, 1 << 20, &n) && (o->new_tokens = (uint32_t)n, true);
    case OPT_REPEAT:
        return bench_number("repeat", optarg, 1, 64, &n) && (o->repeat = (unsigned)n, true);
    case OPT_SEED:
        return bench_number("seed", optarg, 0, UINT32_MAX, &n) && (o->seed = n, true);
    case OPT_CONTEXT:
        return bench_number("context", optarg, 1, 1 << 20, &n) && (o->context = (uint32_t)n, true);
    case OPT_KV:
        return take_kv_type(o, optarg);
    case OPT_CPU:
        o->cpu = optarg;
        return true;
    case OPT_STREAMS:
        o->streams = optarg;
        return true;
    case OPT_JSON:
        o->json = true;
        return true;
    case OPT_HEAD:
        return take_head_type(o, optarg);
    case OPT_ACTS:
        if (acts_type_parse(optarg, &o->acts) == 0)
            return true;
        fprintf(stderr, "trit-bench: --act-type: \"%s\", expected auto, q8 or q16\n", optarg);
        return false;
    default:
        return false; /* getopt has said what is wrong. */
    }
}

int main(int argc, char **argv)
{
    struct bench_options o = {.cpu = "auto",
                              .threads = team_usable_cpus(),
                              .repeat = 5,
                              .prompt = 512,
                              .new_tokens = 32,
                              .streams = "1,4,8,16",
                              .kv_word = "f16",
                              .kv_type = KV_F16,
                              .tables = TABLE_TERNARY,
                              .seed = 1};
    log_open(LOG_WARN, 0);
    if (argc > 1 && strcmp(argv[1], "load") == 0)
        return bench_load(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "start") == 0)
        return bench_start(argc - 1, argv + 1);
    for (int opt; (opt = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (opt == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!take_option(&o, opt))
            return bench_usage("");
    }
    const char *what = optind < argc ? argv[optind] : "";
    if (strcmp(what, "kernels") == 0 && argc - optind == 1)
        return bench_kernels(&o);
    bool model = strcmp(what, "model") == 0;
    if ((model || strcmp(what, "grammar") == 0) && argc - optind == 2) {
        o.model = argv[optind + 1];
        return model ? bench_model(&o) : bench_grammar(&o);
    }
    fputs("trit-bench: expected kernels, model FILE, grammar FILE, load or start FILE\n", stderr);
    return bench_usage("");
}
