/* SPDX-License-Identifier: MIT */
/*
 * verify.c - `trit-model verify`: is every weight of a file sound?
 *
 * gguf_open has checked the container; here each tensor is decoded from end to end, and tokenizer
 * and chat template, where the file has them, are opened.  What the loader asks beyond that (the
 * tensors of its graph, in shapes that fit each other) it asks itself, when a model is loaded.
 */
#include "config.h"
#include "tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "model/arch.h"
#include "model/chat.h"
#include "model/hf.h"
#include "model/quant.h"
#include "model/reading.h"
#include "model/tokenizer.h"

/* Scales of trained models lie around one, in either direction by a few powers of ten. */
#define LEAST_SCALE 1e-8f
#define MOST_SCALE  1e4f

struct tally {
    uint64_t minus, zero, plus;
    float least, most; /* scales of blocks that hold a non-zero trit */
    bool any_scale;
};

struct check {
    const struct gguf *g;
    bool verbose;
    unsigned problems, tensors;
    struct tally all;
    uint64_t done;
};

__attribute__((format(printf, 2, 3))) static void problem(struct check *c, const char *fmt, ...)
{
    enum { SHOWN = 100 };
    va_list ap;
    log_progress(NULL);
    if (++c->problems > SHOWN) {
        if (c->problems == SHOWN + 1)
            printf("problem: there are more; the rest is only counted\n");
        return;
    }
    printf("problem: ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void count_trits(struct tally *a, const int8_t *t, size_t n)
{
    uint64_t minus = 0, plus = 0;
    for (size_t i = 0; i < n; i++) {
        minus += t[i] < 0;
        plus += t[i] > 0;
    }
    a->minus += minus;
    a->plus += plus;
    a->zero += n - minus - plus;
}

/* Writers give a block of nothing but zeros any scale, often 0: it does not matter there. */
static bool scale_matters(const int8_t *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (t[i])
            return true;
    return false;
}

/* The first odd scale of a tensor is named, so that a bad file does not print a line a block. */
static void check_scales(struct check *c, const struct tensor_reader *w, struct tally *a,
                         bool *named)
{
    size_t block = w->n / w->n_scales;
    for (size_t i = 0; i < w->n_scales; i++) {
        float s = w->scales[i], size = fabsf(s);
        uint64_t at = w->at + i * block;
        if (isfinite(s) && !scale_matters(w->trits + i * block, block))
            continue;
        if (!(size >= LEAST_SCALE && size <= MOST_SCALE) && !*named) {
            problem(c,
                    "tensor %s: the scale at row %" PRIu64 ", column %" PRIu64
                    " is %g, expected one between %g and %g",
                    w->t->origin, at / w->t->ne[0], at % w->t->ne[0], (double)s,
                    (double)LEAST_SCALE, (double)MOST_SCALE);
            *named = true;
        }
        a->least = a->any_scale ? fminf(a->least, s) : s;
        a->most = a->any_scale ? fmaxf(a->most, s) : s;
        a->any_scale = true;
    }
}

static void check_floats(struct check *c, const struct tensor_reader *w, bool *named)
{
    for (size_t i = 0; i < w->n && !*named; i++)
        if (!isfinite(w->floats[i])) {
            problem(c,
                    "tensor %s: the value at row %" PRIu64 ", column %" PRIu64
                    " is %g, expected a finite number",
                    w->t->origin, (w->at + i) / w->t->ne[0], (w->at + i) % w->t->ne[0],
                    (double)w->floats[i]);
            *named = true;
        }
}

static void print_tally(const char *name, const char *type, const struct tally *a)
{
    double n = (double)(a->minus + a->zero + a->plus) / 100;
    log_progress(NULL);
    printf("  %-28s %-6s  -1 %5.2f %%  0 %5.2f %%  +1 %5.2f %%", name, type, (double)a->minus / n,
           (double)a->zero / n, (double)a->plus / n);
    if (a->any_scale && a->least == a->most)
        printf("  scale %.6g", (double)a->least);
    else if (a->any_scale)
        printf("  scales %.6g to %.6g", (double)a->least, (double)a->most);
    putchar('\n');
}

static int check_tensor(struct check *c, const struct gguf_tensor *t, struct trit_error *err)
{
    if (!t->quant) {
        problem(c, "tensor %s: type %" PRIu32 " is not supported", t->origin, t->type);
        return 0;
    }
    struct tensor_reader w;
    struct tally a = {0};
    bool named = false;
    int rc = tensor_reader_open(&w, c->g, t, err);
    if (rc == -TRIT_EFORMAT || rc == -TRIT_EUNSUPP) {
        problem(c, "%s", err->text);
        return 0;
    }
    if (rc)
        return rc;
    while (rc = tensor_reader_next(&w, err), w.n && (rc == 0 || rc == -TRIT_EFORMAT)) {
        if (rc && !named)
            problem(c, "%s", err->text);
        named = named || rc;
        if (rc == 0 && t->quant->ternary) {
            count_trits(&a, w.trits, w.n);
            check_scales(c, &w, &a, &named);
        } else if (rc == 0) {
            check_floats(c, &w, &named);
        }
    }
    tensor_reader_close(&w);
    if (rc)
        return rc;
    c->all.minus += a.minus;
    c->all.zero += a.zero;
    c->all.plus += a.plus;
    c->done += t->bytes;
    if (c->verbose && t->quant->ternary)
        print_tally(t->name, t->quant->name, &a);
    return 0;
}

static void check_arch(struct check *c)
{
    struct gguf_str s = {0};
    struct trit_error err;
    if (gguf_string(c->g, "general.architecture", &s, &err) != 0)
        problem(c, "%s", err.text);
    else if (!arch_find(s.data, s.len))
        problem(c, "key general.architecture: found \"%.*s\", expected one of: %s",
                (int)MIN(s.len, (size_t)40), s.data, arch_names());
}

/* What the loader would say of them. */
static int check_text(struct check *c, struct trit_error *err)
{
    const struct gguf_tensor *embd = gguf_tensor(c->g, "token_embd.weight");
    struct tok *tok = NULL;
    struct chat *chat = NULL;
    if (!embd || !gguf_has(c->g, "tokenizer.ggml.model"))
        return 0;
    int rc = tok_open(c->g, (uint32_t)MIN(embd->ne[1], (uint64_t)INT32_MAX), &tok, err);
    if (rc == 0)
        rc = chat_open(c->g, tok, NULL, &chat, err);
    chat_close(&chat);
    tok_close(&tok);
    if (rc == 0 || rc == -TRIT_ENOMEM)
        return rc;
    problem(c, "%s", err->text);
    return 0;
}

static int check_file(const struct reading *how, const char *path, bool verbose)
{
    char note[200];
    struct trit_error err = {0};
    struct gguf *g = NULL;
    struct check c = {.verbose = verbose};
    if (reading_open(how, path, &g, note, &err) != 0) {
        printf("problem: %s\n", err.text);
        return TOOL_FAILED;
    }
    if (*note)
        printf("%s: %s\n", path, note);
    c.g = g;
    check_arch(&c);
    int rc = check_text(&c, &err);
    for (size_t i = 0; i < gguf_n_tensors(g) && rc == 0; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        log_progress("checking %s  %.0f %%", t->name,
                     100.0 * (double)c.done / (double)gguf_file_bytes(g));
        rc = check_tensor(&c, t, &err);
    }
    log_progress(NULL);
    if (rc == 0) {
        uint64_t trits = c.all.minus + c.all.zero + c.all.plus;
        printf("%s: %zu keys, %zu tensors, %" PRIu64 " ternary weights", path, gguf_n_keys(g),
               gguf_n_tensors(g), trits);
        if (trits)
            printf(" (-1 %.2f %%, 0 %.2f %%, +1 %.2f %%)",
                   100.0 * (double)c.all.minus / (double)trits,
                   100.0 * (double)c.all.zero / (double)trits,
                   100.0 * (double)c.all.plus / (double)trits);
        printf("; %u problem%s\n", c.problems, c.problems == 1 ? "" : "s");
    }
    gguf_close(&g);
    if (rc)
        return tool_failed(&err);
    return c.problems ? TOOL_FAILED : TOOL_OK;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'}, {"order", required_argument, NULL, 'i'},
        {"tiles", required_argument, NULL, 'T'}, {"unchecked", no_argument, NULL, 'u'},
        {"help", no_argument, NULL, 'h'},     {0}};
    static struct reading how;
    struct trit_error err;
    bool verbose = false;
    for (int c; (c = getopt_long(argc, argv, "vh", options, NULL)) != -1;)
        switch (c) {
        case 'v':
            verbose = true;
            break;
        case 'i':
            if (!reading_order(&how, optarg))
                return tool_usage(&tool_verify, "--order %s: expected published, arm or four",
                                  optarg);
            break;
        case 'T':
            if (reading_tiles(&how, optarg, &err) != 0)
                return tool_usage(&tool_verify, "%s", err.text);
            break;
        case 'u':
            how.as_it_is = true;
            break;
        case 'h':
            return tool_help(&tool_verify);
        default:
            return tool_usage(&tool_verify, NULL);
        }
    if (optind + 1 != argc)
        return tool_usage(&tool_verify, "found %d files, expected one", argc - optind);
    return check_file(&how, argv[optind], verbose);
}

const struct tool_command tool_verify = {
    "verify", "decode every weight of a model and name what is wrong",
    "Usage: trit-model verify [OPTIONS] FILE|FOLDER\n"
    "\n"
    "Checks the container (bounds, names, types, alignment, overlap), then every tensor: that "
    "each\n"
    "ternary code is one of three, that scales are plausible and floats finite; and that tokenizer\n"
    "and chat template can be used.  Each problem is one line on stdout.  Exit status 1 when there\n"
    "is one.\n"
    "\n"
    "  -v, --verbose   also the share of -1, 0, +1 and the scales of each ternary tensor\n"
    TOOL_READING_HELP
    "  -h, --help      this text\n"
    "\n"
    "Examples:\n"
    "  trit-model verify model.gguf\n"
    "  trit-model verify -v model.gguf | grep ffn_down\n",
    run};
