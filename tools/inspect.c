/* SPDX-License-Identifier: MIT */
/*
 * inspect.c - `trit-model inspect`: metadata, tensors and sizes, for people or as JSON.
 */
#include "config.h"
#include "tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/hf.h"
#include "model/load-parts.h"
#include "model/quant.h"
#include "engine/states.h"

/* What a file holds, summed up over its tensors by type. */
struct sums {
    struct {
        uint32_t type;
        unsigned tensors;
        uint64_t values, bytes;
        const struct gguf_tensor *first;
        double zeros; /* share of the weights that were looked at; negative: none were */
    } * by_type;
    size_t n;
    uint64_t values, ternary;
};

static const char *type_name(const struct gguf_tensor *t, char *dst, size_t cap)
{
    if (t->quant)
        return t->quant->name;
    snprintf(dst, cap, "type %" PRIu32, t->type);
    return dst;
}

/* A product that take_shape of the reader has checked; the sum of many may still wrap. */
static void add(uint64_t *sum, uint64_t v)
{
    if (__builtin_add_overflow(*sum, v, sum))
        *sum = UINT64_MAX;
}

/* The share of zeros among the first weights of a tensor, for which not all are read. */
static double zeros_of(const struct gguf *g, const struct gguf_tensor *t)
{
    enum { SEEN = 1 << 20 };
    struct tensor_reader w;
    struct trit_error ignored;
    uint64_t zeros = 0, seen = 0;
    if (!t->quant || !t->quant->ternary || tensor_reader_open(&w, g, t, &ignored) != 0)
        return -1;
    while (seen < SEEN && tensor_reader_next(&w, &ignored) == 0 && w.n) {
        for (size_t i = 0; i < w.n; i++)
            zeros += w.trits[i] == 0;
        seen += w.n;
    }
    tensor_reader_close(&w);
    return seen ? (double)zeros / (double)seen : -1;
}

static int sum_up(const struct gguf *g, struct sums *s, struct trit_error *err)
{
    size_t n = gguf_n_tensors(g);
    s->by_type = mem_zalloc(n, sizeof *s->by_type);
    if (!s->by_type)
        return trit_fail(err, TRIT_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        size_t k = 0;
        while (k < s->n && s->by_type[k].type != t->type)
            k++;
        if (k == s->n) {
            s->by_type[k].first = t;
            s->n++;
        }
        s->by_type[k].type = t->type;
        s->by_type[k].tensors++;
        add(&s->by_type[k].values, tool_values(t));
        add(&s->by_type[k].bytes, t->bytes);
        add(&s->values, tool_values(t));
        if (t->quant && t->quant->ternary)
            add(&s->ternary, tool_values(t));
    }
    for (size_t k = 0; k < s->n; k++)
        s->by_type[k].zeros = zeros_of(g, s->by_type[k].first);
    return 0;
}

static void shape_text(const struct gguf_tensor *t, char *dst, size_t cap)
{
    size_t len = 0;
    for (uint32_t i = t->n_dims; i-- > 0;)
        len += (size_t)snprintf(dst + len, cap - len, "%" PRIu64 "%s", t->ne[i], i ? " x " : "");
}

static void print_metadata(const struct gguf *g)
{
    char value[200];
    printf("\nMetadata\n");
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        gguf_print_value(g, i, value, sizeof value);
        printf("  %-42s %s\n", gguf_key_at(g, i), value);
    }
}

static void print_tensors(const struct gguf *g)
{
    int width = 6;
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        width = MAX(width, (int)strlen(gguf_tensor_at(g, i)->name));
    printf("\nTensors (rows x columns)\n");
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char type[24], shape[100], bytes[24];
        shape_text(t, shape, sizeof shape);
        printf("  %-*s  %-6s  %-16s  %s\n", width, t->name, type_name(t, type, sizeof type), shape,
               t->quant ? tool_bytes(t->bytes, bytes, sizeof bytes) : "unknown size");
    }
}

/* Bytes that a sequence of a hybrid model takes beside its keys and values; 0: it is none, or
 * nothing that can be served. */
static size_t state_bytes(const struct gguf *g)
{
    struct model m = {0};
    struct trit_error ignored;
    return hparams_read(g, &m, &ignored) == 0 ? states_slot_bytes(&m) : 0;
}

static void print_sums(const struct gguf *g, const struct sums *s)
{
    char text[24];
    printf("%s\n", gguf_path(g));
    printf("  %s, ", tool_bytes(gguf_file_bytes(g), text, sizeof text));
    if (gguf_version(g))
        printf("GGUF version %" PRIu32 "%s", gguf_version(g),
               gguf_n_files(g) > 1 ? " in several parts" : "");
    else
        printf("%zu Hugging Face files, under the names that GGUF has", gguf_n_files(g));
    printf(", %zu keys, %zu tensors\n", gguf_n_keys(g), gguf_n_tensors(g));
    printf("  %" PRIu64 " parameters, %" PRIu64 " of them ternary\n", s->values, s->ternary);
    size_t state = state_bytes(g);
    if (state)
        printf("  %s of memory for the states of each sequence that is computed at a time "
               "(max-batch)\n",
               tool_bytes(state, text, sizeof text));
    printf("\nBytes by type\n");
    for (size_t i = 0; i < s->n; i++) {
        struct gguf_tensor t = {.type = s->by_type[i].type,
                                .quant = quant_find(s->by_type[i].type)};
        char type[24];
        printf("  %-6s  %5u tensors  %14" PRIu64 " values  %s", type_name(&t, type, sizeof type),
               s->by_type[i].tensors, s->by_type[i].values,
               t.quant ? tool_bytes(s->by_type[i].bytes, text, sizeof text) : "unknown size");
        if (t.quant)
            printf("  %.4g bits a value",
                   8.0 * (double)s->by_type[i].bytes / (double)s->by_type[i].values);
        if (s->by_type[i].zeros >= 0)
            printf(", %.1f %% zeros in %s", 100 * s->by_type[i].zeros, s->by_type[i].first->name);
        putchar('\n');
    }
}

/* JSON numbers are doubles to most readers; what does not fit becomes a string. */
static cJSON *json_uint(uint64_t v)
{
    char text[24];
    if (v <= 1ull << 53)
        return cJSON_CreateNumber((double)v);
    snprintf(text, sizeof text, "%" PRIu64, v);
    return cJSON_CreateString(text);
}

/* cJSON wants a NUL behind it; one inside would cut the text there. */
static cJSON *json_text(struct gguf_str s)
{
    char *copy = mem_strndup(s.data, s.len);
    cJSON *item = copy ? cJSON_CreateString(copy) : NULL;
    mem_free(copy);
    return item;
}

static cJSON *json_value(const struct gguf *g, size_t i)
{
    const char *key = gguf_key_at(g, i);
    enum gguf_type elem = GGUF_U8;
    size_t count = 0;
    char printed[400];
    uint64_t u;
    double d;
    bool b;
    struct gguf_str s;
    gguf_print_value(g, i, printed, sizeof printed);
    switch (gguf_type_at(g, i, &elem, &count)) {
    case GGUF_ARRAY: {
        /* The vocabulary of a model would drown everything else: the printed start of it. */
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "length", (double)count);
        cJSON_AddStringToObject(o, "begins", printed);
        return o;
    }
    case GGUF_STRING:
        return gguf_string(g, key, &s, NULL) == 0 ? json_text(s) : cJSON_CreateString(printed);
    case GGUF_BOOL:
        return gguf_bool(g, key, &b, NULL) == 0 ? cJSON_CreateBool(b) : NULL;
    case GGUF_F32:
    case GGUF_F64:
        return gguf_float(g, key, &d, NULL) == 0 ? cJSON_CreateRaw(printed) : cJSON_CreateNull();
    default:
        return gguf_uint(g, key, &u, NULL) == 0 ? json_uint(u) : cJSON_CreateRaw(printed);
    }
}

static cJSON *json_tensor(const struct gguf_tensor *t)
{
    char type[24];
    cJSON *o = cJSON_CreateObject(), *shape = cJSON_CreateArray();
    cJSON_AddStringToObject(o, "name", t->name);
    if (strcmp(t->origin, t->name) != 0)
        cJSON_AddStringToObject(o, "origin", t->origin);
    cJSON_AddStringToObject(o, "type", type_name(t, type, sizeof type));
    for (uint32_t i = t->n_dims; i-- > 0;)
        cJSON_AddItemToArray(shape, json_uint(t->ne[i]));
    cJSON_AddItemToObject(o, "shape", shape);
    cJSON_AddItemToObject(o, "bytes", t->quant ? json_uint(t->bytes) : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "offset", json_uint(t->offset));
    return o;
}

static int print_json(const struct gguf *g, const struct sums *s)
{
    cJSON *o = cJSON_CreateObject(), *meta = cJSON_CreateObject();
    cJSON *tensors = cJSON_CreateArray(), *types = cJSON_CreateObject();
    const char *path = gguf_path(g);
    cJSON_AddStringToObject(o, "file", utf8_valid(path, strlen(path)) ? path : "");
    cJSON_AddItemToObject(o, "bytes", json_uint(gguf_file_bytes(g)));
    cJSON_AddNumberToObject(o, "version", gguf_version(g));
    cJSON_AddItemToObject(o, "parameters", json_uint(s->values));
    cJSON_AddItemToObject(o, "ternary_parameters", json_uint(s->ternary));
    cJSON_AddItemToObject(o, "state_bytes", json_uint(state_bytes(g)));
    for (size_t i = 0; i < s->n; i++) {
        struct gguf_tensor t = {.type = s->by_type[i].type,
                                .quant = quant_find(s->by_type[i].type)};
        char type[24];
        cJSON_AddItemToObject(types, type_name(&t, type, sizeof type),
                              t.quant ? json_uint(s->by_type[i].bytes) : cJSON_CreateNull());
    }
    cJSON_AddItemToObject(o, "bytes_by_type", types);
    cJSON *zeros = cJSON_CreateObject();
    for (size_t i = 0; i < s->n; i++)
        if (s->by_type[i].zeros >= 0)
            cJSON_AddNumberToObject(zeros, s->by_type[i].first->quant->name, s->by_type[i].zeros);
    cJSON_AddItemToObject(o, "zeros_by_type", zeros);
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        cJSON_AddItemToObject(meta, gguf_key_at(g, i), json_value(g, i));
    cJSON_AddItemToObject(o, "metadata", meta);
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        cJSON_AddItemToArray(tensors, json_tensor(gguf_tensor_at(g, i)));
    cJSON_AddItemToObject(o, "tensors", tensors);
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    if (!text)
        return TOOL_FAILED;
    puts(text);
    cJSON_free(text);
    return TOOL_OK;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool json = false;
    for (int c; (c = getopt_long(argc, argv, "jh", options, NULL)) != -1;)
        switch (c) {
        case 'j':
            json = true;
            break;
        case 'h':
            return tool_help(&tool_inspect);
        default:
            return tool_usage(&tool_inspect, NULL);
        }
    if (optind + 1 != argc)
        return tool_usage(&tool_inspect, "found %d files, expected one", argc - optind);
    struct trit_error err = {0};
    struct gguf *g = NULL;
    struct sums sums = {0};
    if (hf_open_any(argv[optind], &g, &err) != 0 || sum_up(g, &sums, &err) != 0) {
        gguf_close(&g);
        return tool_failed(&err);
    }
    int rc = TOOL_OK;
    if (json) {
        rc = print_json(g, &sums);
    } else {
        print_sums(g, &sums);
        print_metadata(g);
        print_tensors(g);
    }
    mem_free(sums.by_type);
    gguf_close(&g);
    return rc;
}

const struct tool_command tool_inspect = {
    "inspect", "show the metadata, tensors and sizes of a model",
    "Usage: trit-model inspect [--json] FILE|FOLDER\n"
    "\n"
    "FILE is in GGUF; FOLDER holds Hugging Face files (config.json, *.safetensors, tokenizer.json).\n"
    "\n"
    "  -j, --json   one JSON object instead of text; arrays are shown by length and beginning\n"
    "  -h, --help   this text\n"
    "\n"
    "Examples:\n"
    "  trit-model inspect model.gguf | less\n"
    "  trit-model inspect --json model.gguf | jq '.bytes_by_type'\n",
    run};
