/* SPDX-License-Identifier: MIT */
/*
 * load.c - from a path to a model: check, attach or pack, open tokenizer and chat format.
 */
#include "config.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/arch.h"
#include "model/chat.h"
#include "model/gguf.h"
#include "model/load-parts.h"
#include "model/quant.h"
#include "model/tokenizer.h"

/* general.name if it is fit to be shown, else the file's name without directory and suffix. */
static void name_model(const struct gguf *g, struct model *m)
{
    struct gguf_str s;
    const char *slash = strrchr(gguf_path(g), '/');
    const char *file = slash ? slash + 1 : gguf_path(g);
    size_t len = strlen(file);
    if (len > 5 && strcmp(file + len - 5, ".gguf") == 0)
        len -= 5;
    if (gguf_has(g, "general.name") && gguf_string(g, "general.name", &s, NULL) == 0 && s.len &&
        s.len < sizeof m->name && utf8_valid(s.data, s.len)) {
        file = s.data;
        len = s.len;
    }
    snprintf(m->name, sizeof m->name, "%.*s", (int)MIN(len, sizeof m->name - 1), file);
}

/* A living segment of this model, or a new one that we pack. */
static int obtain_segment(const struct gguf *g, const struct model_options *opt,
                          const struct weights_plan *plan, struct model *m, struct trit_error *err)
{
    struct segment_source src = {.layout = opt->layout, .tables = opt->tables};
    int rc = segment_identify(gguf_fd(g), gguf_path(g), &src, err);
    if (rc)
        return rc;
    for (int tries = 0; tries < 3; tries++) {
        rc = opt->shared ? segment_attach(&src, opt->stop, &m->segment, err) : -TRIT_ENOENT;
        if (rc != -TRIT_ENOENT)
            return rc;
        rc = segment_create(&src, plan->payload_bytes, opt->shared, &m->segment, err);
        if (rc != -TRIT_EBUSY)
            break;
        /* Somebody has begun to build it since we looked: attach to theirs. */
    }
    if (rc)
        return rc;
    rc = weights_pack(g, plan, m, opt->stop, m->segment.payload, err);
    return rc ? rc : segment_seal(&m->segment, err);
}

static void describe(struct model *m, const struct model_options *opt)
{
    const struct segment *s = &m->segment;
    log_notice("model-loaded name=\"%s\" arch=%s encoding=%s params=%llu file_mb=%llu layout=%s "
               "weights_mb=%zu segment=%s attached=%s mlock=%s thp=%s huge_mb=%zu seconds=%.2f",
               m->name, m->arch->name, m->encoding, (unsigned long long)m->n_params,
               (unsigned long long)(m->file_bytes >> 20), layout_name(opt->layout),
               m->weight_bytes >> 20, s->shared ? s->name : "private", s->attached ? "yes" : "no",
               opt->mlock ? (s->locked ? "yes" : "refused") : "off",
               s->huge_asked ? "asked" : "refused", segment_huge_bytes(s) >> 20, m->load_seconds);
    const struct model_sampling *c = &m->sampling;
    log_notice("sampling temperature=%g top_p=%g top_k=%lld min_p=%g repetition_penalty=%g",
               c->temperature, c->top_p, (long long)c->top_k, c->min_p, c->repetition_penalty);
    log_notice("chat-format family=%s note=\"%s\"", chat_family(m->chat), chat_note(m->chat));
}

int model_load(const char *path, const struct model_options *opt, struct model **out,
               struct trit_error *err)
{
    double start = trit_now();
    *out = NULL;
    segment_clean();
    struct model *m = mem_zalloc(1, sizeof *m);
    if (!m)
        return trit_fail(err, TRIT_ENOMEM, "%s: no memory", path);
    m->segment.fd = -1;
    struct gguf *g = NULL;
    struct weights_plan plan = {0};
    int rc = gguf_open(path, &g, err);
    if (rc)
        goto fail;
    name_model(g, m);
    /* Everything that metadata alone can tell comes before the expensive part. */
    if ((rc = hparams_read(g, m, err)) || (rc = weights_plan(g, opt, m, &plan, err)) ||
        (rc = tok_open(g, m->hp.vocab, &m->tok, err)) ||
        (rc = chat_open(g, m->tok, opt->chat_template, &m->chat, err)) ||
        (rc = obtain_segment(g, opt, &plan, m, err)))
        goto fail;
    if (m->segment.payload_bytes != plan.payload_bytes) {
        rc = trit_fail(err, TRIT_EFORMAT, "%s: segment %s holds %zu bytes, expected %zu", path,
                       m->segment.name, m->segment.payload_bytes, plan.payload_bytes);
        goto fail;
    }
    sampling_read(g, m);
    weights_point(&plan, m, m->segment.payload);
    if (opt->mlock)
        segment_lock_memory(&m->segment);

    const struct gguf_tensor *t = gguf_tensor(g, "blk.0.attn_q.weight");
    snprintf(m->encoding, sizeof m->encoding, "%s", t->quant->name);
    for (int i = 0; i < 8; i++)
        snprintf(m->fingerprint + 2 * i, 3, "%02x", m->segment.source.digest[i]);
    m->file_bytes = gguf_file_bytes(g);
    m->weight_bytes = plan.payload_bytes;
    weights_plan_free(&plan);
    gguf_close(&g);
    m->load_seconds = trit_now() - start;
    describe(m, opt);
    *out = m;
    return 0;
fail:
    log_progress(NULL);
    weights_plan_free(&plan);
    gguf_close(&g);
    model_close(&m);
    return rc;
}

void model_close(struct model **m)
{
    if (!*m)
        return;
    segment_close(&(*m)->segment);
    chat_close(&(*m)->chat);
    tok_close(&(*m)->tok);
    mem_free((*m)->layers);
    mem_free(*m);
    *m = NULL;
}
