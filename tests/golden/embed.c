/* SPDX-License-Identifier: MIT */
/*
 * embed.c - tiny embedding models with known vectors, through loader, tokenizer, engine and
 * pooling.
 *
 * embeddings.json comes from embeddings.py, a reference in float64 that shares no code with tritd.
 * Prompts marked "exact" keep every activation away from the boundaries of its 8 bits, so float32
 * has to agree closely; on the others that rounding may part the two, and their bounds are wider,
 * though not as wide as what a mistake in the graph makes of a vector: the script saw to that.
 *
 * And every vector has the same bits for every instruction set, thread count and chunk size, alone,
 * in company, and behind a cached beginning, also where a window's border lies in it.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "kernels/kernels.h"
#include "engine/engine.h"
#include "engine/seq.h"
#include "engine/stats.h"
#include "unit/engine-run.h"

enum { MAX_CASES = 16, MAX_DIM = 128, N_CTX = 320 };

/* Of vectors with a length of 1: least cosine, and largest difference of a number.  The first for
 * exact prompts with float keys and values, the second for the others. */
static const struct {
    double cosine, most;
} bounds[] = {{0.999999, 2e-5}, {0.9995, 0.0125}};

static unsigned passed, failed, skipped;

#define REPORT(ok, ...)                                                                            \
    do {                                                                                           \
        printf("%s: ", (ok) ? "ok" : "FAILED");                                                    \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        (ok) ? passed++ : failed++;                                                                \
    } while (0)

static struct model *load(const char *path, const struct kernels *k)
{
    struct model_options o = {.layout = k->layout, .tables = TABLE_TERNARY};
    struct model *m;
    struct trit_error err;
    if (model_load(path, &o, &m, &err) == 0)
        return m;
    REPORT(false, "%s: %s", path, err.text);
    return NULL;
}

/* ------------------------------------------------------------------ vectors */

typedef float vectors[MAX_CASES][MAX_DIM];

static struct seq *submit(struct run *r, const struct model *m, const cJSON *ids)
{
    struct seq_wish w = {.n_prompt = (uint32_t)cJSON_GetArraySize(ids),
                         .pool =
                             m->hp.pooling == MODEL_POOLING_LAST ? SEQ_POOL_LAST : SEQ_POOL_MEAN,
                         .n_hidden = m->hp.dim,
                         .sampler = {.top_p = 1, .repetition_penalty = 1}};
    w.prompt = mem_zalloc(w.n_prompt, sizeof *w.prompt);
    uint32_t i = 0;
    const cJSON *id;
    cJSON_ArrayForEach(id, ids) w.prompt[i++] = id->valueint;
    struct seq *s = seq_new(&w);
    struct trit_error err = {0};
    if (!s || engine_submit(r->engine, s, &err) != 0) {
        printf("cannot submit: %s\n", err.text);
        exit(99);
    }
    r->open++;
    return s;
}

/* How the vectors of all cases are made. */
struct way {
    unsigned threads;
    uint32_t step_tokens;
    bool together, cached;
    enum kv_type kv_type;
};

static void embed_all(const struct model *m, const struct kernels *k, const struct way *way,
                      const cJSON *cases, vectors out)
{
    struct run r;
    struct seq *seqs[MAX_CASES];
    int n = cJSON_GetArraySize(cases);
    struct engine_options o = run_options(m, k);
    o.threads = way->threads;
    o.step_tokens = way->step_tokens;
    o.prefix_cache = way->cached;
    o.kv_type = way->kv_type;
    o.n_ctx = N_CTX;
    o.kv_bytes = 256 * kv_page_bytes(m, o.kv_type);
    run_open(&r, &o);
    memset(out, 0, sizeof(vectors));
    for (int i = 0; i < n; i++) {
        seqs[i] = submit(&r, m, cJSON_GetObjectItem(cJSON_GetArrayItem(cases, i), "ids"));
        if (!way->together)
            run_wait(&r);
    }
    run_wait(&r);
    if (way->cached && m->hp.pooling == MODEL_POOLING_LAST)
        REPORT(atomic_load(&engine_stats(r.engine)->cached_tokens) > 0, "%s: a cached beginning",
               m->name);
    for (int i = 0; i < n; i++) {
        memcpy(out[i], seqs[i]->hidden, m->hp.dim * sizeof(float));
        seq_free(seqs[i]);
    }
    run_close(&r);
}

/* Against the reference; sets *far where the two differ most. */
static void check_right(const struct model *m, const cJSON *cases, enum kv_type type, vectors got)
{
    const cJSON *item, *number;
    int i = 0;
    cJSON_ArrayForEach(item, cases)
    {
        bool exact = type == KV_F32 && cJSON_GetObjectItem(item, "exact");
        const cJSON *want = cJSON_GetObjectItem(item, "embedding");
        double length = 0, cosine = 0, most = 0;
        for (uint32_t d = 0; d < m->hp.dim; d++)
            length += (double)got[i][d] * (double)got[i][d];
        length = sqrt(length);
        uint32_t d = 0;
        cJSON_ArrayForEach(number, want)
        {
            double x = (double)got[i][d++] / length;
            cosine += x * number->valuedouble;
            most = fmax(most, fabs(x - number->valuedouble));
        }
        REPORT(d == m->hp.dim && cosine >= bounds[!exact].cosine && most <= bounds[!exact].most,
               "%s, case %d, f%d keys%s: cosine %.9f, at least %.9f; off by %.6f, at most %g",
               m->name, i, 8 * (int)type, exact ? ", exact" : "", cosine, bounds[!exact].cosine,
               most, bounds[!exact].most);
        i++;
    }
}

/* ------------------------------------------------------------------ texts */

static void check_texts(const struct model *m, const cJSON *cases)
{
    const cJSON *item, *id;
    cJSON_ArrayForEach(item, cases)
    {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(item, "text"));
        const cJSON *ids = cJSON_GetObjectItem(item, "ids");
        struct tok_ids got = {0};
        if (!text)
            continue;
        int rc = tok_encode(m->tok, text, strlen(text), TOK_ADD_SPECIAL, 0, &got);
        bool same = rc == 0 && got.n == (size_t)cJSON_GetArraySize(ids);
        size_t i = 0;
        cJSON_ArrayForEach(id, ids) same = same && got.id[i++] == id->valueint;
        REPORT(same, "%s: \"%s\" is %zu tokens", m->name, text, got.n);
        tok_ids_free(&got);
    }
}

/* ------------------------------------------------------------------ models */

static void check_model(const char *dir, const char *file, const cJSON *cases, vectors base)
{
    static const struct way ways[] = {{1, 256, false, false, KV_F32},
                                      {2, 9, true, false, KV_F32},
                                      {3, 64, true, false, KV_F32},
                                      {2, 40, false, true, KV_F32}};
    static vectors other;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    bool have_base = false;
    for (size_t v = 0; kernels_at(v); v++) {
        const struct kernels *k = kernels_at(v);
        if (k->cpu & ~kernels_cpu_detect()) {
            printf("skipped: %s: this processor lacks %s\n", file, k->name);
            skipped++;
            continue;
        }
        struct model *m = load(path, k);
        if (!m)
            return;
        if (!have_base) {
            REPORT(m->hp.embeds_only && m->hp.in_norms, "%s only embeds", file);
            REPORT(m->embedding.type == TABLE_F16, "%s: its embeddings are kept as they are", file);
            check_texts(m, cases);
            embed_all(m, k, &ways[0], cases, base);
            check_right(m, cases, KV_F32, base);
            have_base = true;
        }
        /* The scalar specification is slow. */
        for (size_t w = 0; w < (k->cpu ? ARRAY_LEN(ways) : 2); w++) {
            embed_all(m, k, &ways[w], cases, other);
            REPORT(memcmp(base, other, sizeof other) == 0,
                   "%s: %s, %u threads, %u tokens a step, %s%s: every bit equal", file, k->name,
                   ways[w].threads, ways[w].step_tokens, ways[w].together ? "together" : "alone",
                   ways[w].cached ? ", cached" : "");
        }
        model_close(&m);
    }
    const struct kernels *best = kernels_pick(kernels_cpu_detect());
    struct model *m = load(path, best);
    if (!m)
        return;
    embed_all(m, best, &(struct way){2, 64, true, false, KV_F16}, cases, other);
    check_right(m, cases, KV_F16, other);
    model_close(&m);
}

int main(void)
{
    static const struct {
        const char *answers, *file, *twin;
    } models[] = {
        {"embed-qwen3", "embed-qwen3.gguf", NULL},
        {"embed-gemma3", "embed-gemma3.gguf", "embed-gemma3.hf"},
        {"embed-plain", "embed-plain.gguf", NULL},
    };
    static char text[1 << 20];
    static vectors base, other;
    char path[2048];
    log_open(LOG_WARN, 0);
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/golden/embeddings.json", srcdir ? srcdir : ".");
    FILE *f = fopen(path, "re");
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    cJSON *doc = cJSON_ParseWithLength(text, len);
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(doc, "cases");
    REPORT(all != NULL, "%s holds cases", path);
    snprintf(path, sizeof path, "%s/tests/golden/models", srcdir ? srcdir : ".");
    for (size_t i = 0; all && i < ARRAY_LEN(models); i++) {
        const cJSON *cases = cJSON_GetObjectItemCaseSensitive(all, models[i].answers);
        int n = cJSON_GetArraySize(cases);
        REPORT(n > 0 && n <= MAX_CASES, "%s: %d cases", models[i].answers, n);
        check_model(path, models[i].file, cases, base);
        if (!models[i].twin)
            continue;
        check_model(path, models[i].twin, cases, other);
        REPORT(memcmp(base, other, sizeof base) == 0, "%s and %s: every bit equal", models[i].file,
               models[i].twin);
    }
    cJSON_Delete(doc);
    printf("embed: %u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
