/* SPDX-License-Identifier: MIT */
/*
 * load.c - from a path to a model: check, attach or pack, open tokenizer and chat format.
 */
#include "config.h"
#include "model/model.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/team.h"
#include "base/utf8.h"
#include "model/arch.h"
#include "model/chat.h"
#include "model/gguf.h"
#include "model/hf.h"
#include "model/load-parts.h"
#include "model/loader-parts.h"
#include "model/quant.h"
#include "model/reading.h"
#include "model/segment-file.h"
#include "model/tokenizer.h"

/* As much of the text as there is room for, with U+FFFD for what is not UTF-8. */
static void set_name(struct model *m, const char *s, size_t len)
{
    static const char unknown[] = "\xef\xbf\xbd";
    size_t used = 0;
    while (len) {
        int n = utf8_scan(s, len);
        size_t step = n > 0 ? (size_t)n : n < 0 ? (size_t)-n : len; /* 0: it is cut short */
        size_t bytes = n > 0 ? step : sizeof unknown - 1;
        if (used + bytes >= sizeof m->name)
            break;
        memcpy(m->name + used, n > 0 ? s : unknown, bytes);
        used += bytes;
        s += step;
        len -= step;
    }
    m->name[used] = '\0';
}

/* general.name if it is fit to be shown, else the file's name without directory and suffix. */
static void name_model(const struct gguf *g, struct model *m)
{
    enum { PART = sizeof "-00001-of-00003" - 1 };
    struct gguf_str s;
    const char *slash = strrchr(gguf_path(g), '/');
    const char *file = slash ? slash + 1 : gguf_path(g);
    size_t len = strlen(file);
    if (len > 5 && strcmp(file + len - 5, ".gguf") == 0)
        len -= 5;
    if (gguf_n_files(g) > 1 && len > PART && strncmp(file + len - PART, "-00001-of-", 10) == 0)
        len -= PART;
    if (gguf_has(g, "general.name") && gguf_string(g, "general.name", &s, NULL) == 0 && s.len &&
        s.len < sizeof m->name && utf8_valid(s.data, s.len)) {
        file = s.data;
        len = s.len;
    }
    set_name(m, file, len);
}

/* What is read beside one another: the text side of the file, and the weights where they are packed
 * already.  Verifying those waits for memory, the tokenizer for its hash tables. */
struct parts {
    struct gguf *g;
    const struct model_options *opt;
    struct model *m;
    struct loader *loader; /* NULL: we read the files ourselves */
    bool known;            /* weights of these very files are packed, or there is no loader */
    struct segment_file *files; /* [n_files] */
    size_t n_files;
    struct segment_source source;
    int kept;               /* segment to adopt, until that is tried; -1: none */
    size_t table_bytes;     /* that the payload begins with */
    size_t text_at;         /* where the tokenizer's tables follow the weights */
    const void *tables;     /* [tables_bytes], of an attached segment, or NULL */
    size_t tables_bytes;
    bool looked; /* `find` was called */
    atomic_bool text_done;
    int text_rc, attach_rc; /* -TRIT_ENOENT: the weights are to be packed */
    struct trit_error text_err, attach_err;
};

static int open_text(struct parts *p)
{
    struct model *m = p->m;
    int rc = p->known ? 0 : loader_try_text(p->loader, &p->text_err);
    if (rc == 0)
        rc = tok_open_tables(p->g, m->hp.vocab, p->tables, p->tables_bytes, &m->tok, &p->text_err);
    return rc ? rc : chat_open(p->g, m->tok, p->opt->chat_template, &m->chat, &p->text_err);
}

static int find(struct parts *p)
{
    enum segment_check check = p->opt->prove_later ? SEGMENT_LATER : SEGMENT_NOW;
    struct segment *seg = &p->m->segment;
    int rc = segment_identify(p->files, p->n_files, p->kept, &p->source, &p->attach_err);
    if (rc)
        return rc;
    rc = -TRIT_ENOENT;
    if (p->kept >= 0) {
        int kept = p->kept;
        p->kept = -1;
        rc = segment_adopt(&p->source, check, kept, seg, &p->attach_err);
    }
    if (rc == -TRIT_ENOENT && p->opt->shared)
        rc = segment_attach(&p->source, check, p->opt->stop, seg, &p->attach_err);
    if (rc == 0 && seg->proof) { /* Of the first table a token reads the lower half in few rows. */
        size_t first, table = MIN(p->table_bytes, seg->payload_bytes);
        segment_chunks_in(0, table, &first, &seg->proof->least);
    }
    return rc;
}

/* With the weights come the tokenizer's tables, which have to be whole before they are used. */
static int take_tables(struct parts *p)
{
    const struct segment *seg = &p->m->segment;
    for (size_t i = p->text_at / SEGMENT_CHUNK; seg->proof && i < seg->proof->n; i++)
        segment_prove(seg, i);
    if (seg->proof && atomic_load(&seg->proof->damaged)) {
        segment_reject(&p->m->segment);
        return -TRIT_ENOENT;
    }
    if (seg->payload_bytes > p->text_at) {
        p->tables = seg->payload + p->text_at;
        p->tables_bytes = seg->payload_bytes - p->text_at;
    }
    return 0;
}

/* What is left for later is begun while the text takes its time. */
static int attach(struct parts *p)
{
    const struct segment *seg = &p->m->segment;
    int rc = p->looked ? p->attach_rc : find(p);
    if (rc || !seg->proof)
        return rc;
    for (size_t i = 0; i < seg->proof->n && !atomic_load(&p->text_done); i++)
        segment_prove_ahead(seg, i);
    if (!atomic_load(&seg->proof->damaged))
        return 0;
    segment_reject(&p->m->segment);
    return -TRIT_ENOENT;
}

static void run_parts(void *arg, unsigned worker)
{
    struct parts *p = arg;
    if (worker == 0) {
        p->attach_rc = attach(p);
    } else {
        p->text_rc = open_text(p);
        atomic_store(&p->text_done, true);
    }
}

/* What are the files, and is there anything in memory that was made from them?  If not, a reader
 * goes before us. */
static int look(struct parts *p, struct gguf *g, struct trit_error *err)
{
    p->g = g;
    p->n_files = gguf_n_files(g);
    p->files = mem_zalloc(p->n_files, sizeof *p->files);
    if (!p->files)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the names of %zu files", p->n_files);
    for (size_t i = 0; i < p->n_files; i++)
        p->files[i].fd = gguf_file_at(g, i, &p->files[i].path);
    p->known = !p->loader || segment_is_known(p->files, p->n_files, p->kept);
    return p->known ? 0 : loader_try_plan(p->loader, err);
}

static int open_parts(struct parts *p, struct trit_error *err)
{
    struct team *team;
    int rc = 0;
    if (p->known && p->loader) {
        p->looked = true;
        p->attach_rc = find(p);
        if (p->attach_rc == 0)
            p->attach_rc = take_tables(p);
    }
    if (p->tables) {
        p->text_rc = open_text(p);
    } else if ((rc = team_open(&team, 2, false, err)) == 0) {
        team_run(team, run_parts, p);
        team_close(&team);
    }
    if (rc)
        return rc;
    if (p->text_rc)
        *err = p->text_err;
    else if (p->attach_rc && p->attach_rc != -TRIT_ENOENT)
        *err = p->attach_err;
    return p->text_rc ? p->text_rc : p->attach_rc;
}

/* Builds of bitnet.cpp for ARM write I2_S in an order of their own, which nothing in the file
 * tells: a model that answers with noise.  Its weights tell, if it was trained. */
int load_check_order(const struct reading *reading, struct gguf *g, struct trit_error *err)
{
    enum { LAYERS = 1 }; /* of 69 M weights in a 2B model */
    static const struct reading told;
    return reading_check(reading ? reading : &told, g, LAYERS, NULL, err);
}

/* Nobody has packed this model: we do. */
static int pack(struct parts *p, const struct weights_plan *plan, struct trit_error *err)
{
    const struct model_options *opt = p->opt;
    struct model *m = p->m;
    /* A reader does with its plan. */
    int rc = p->loader ? 0 : load_check_order(opt->reading, p->g, err);
    if (rc)
        return rc;
    rc = -TRIT_EBUSY;
    for (int tries = 0; tries < 3; tries++) {
        rc = segment_create(&p->source, p->text_at + tok_tables_bytes(m->tok), opt->shared,
                            &m->segment, err);
        if (rc != -TRIT_EBUSY)
            break;
        /* Somebody has begun to build it since we looked: attach to theirs. */
        rc = segment_attach(&p->source, SEGMENT_NOW, opt->stop, &m->segment, err);
        if (rc != -TRIT_ENOENT)
            return rc;
    }
    if (rc)
        return rc;
    if (p->loader && p->known)
        rc = loader_try_plan(p->loader, err);
    if (rc == 0)
        rc = p->loader ? loader_pack(p->loader, &m->segment, plan->payload_bytes, err)
                       : weights_pack(p->g, plan, m, opt->stop, m->segment.payload, err);
    if (rc == 0) /* No reader can write there any more. */
        tok_tables_write(m->tok, p->g, m->segment.payload + p->text_at);
    return rc ? rc : segment_seal(&m->segment, err);
}

/* The digest's beginning, in which shows what the files did not tell. */
static void fingerprint(struct model *m)
{
    const struct segment_source *src = &m->segment.source;
    uint8_t bytes[sizeof src->reading];
    memcpy(bytes, &src->reading, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] ^= src->digest[i];
    hex_put(m->fingerprint, bytes, sizeof bytes);
}

static void describe(struct model *m, const struct model_options *opt)
{
    const struct segment *s = &m->segment;
    log_notice("model-loaded name=\"%s\" arch=%s encoding=%s params=%llu file_mb=%llu layout=%s "
               "weights_mb=%zu segment=%s attached=%s mlock=%s thp=%s seconds=%.2f",
               m->name, m->arch->name, m->encoding, (unsigned long long)m->n_params,
               (unsigned long long)(m->file_bytes >> 20), layout_name(opt->layout),
               m->weight_bytes >> 20,
               s->shared    ? s->name
               : s->adopted ? "kept"
                            : "private",
               s->attached ? "yes" : "no", opt->mlock ? (s->locked ? "yes" : "refused") : "off",
               s->huge_asked ? "asked" : "refused", m->load_seconds);
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
    struct trit_error ignored = {0};
    err = err ? err : &ignored;
    struct gguf *g = NULL;
    struct weights_plan plan = {0};
    struct parts parts = {.opt = opt, .m = m, .kept = opt->adopt ? opt->kept_fd : -1};
    int rc = loader_runs() ? loader_open(path, opt, &parts.loader, &g, err)
                           : hf_open_any(path, &g, err);
    if (rc == 0 && opt->reading)
        rc = reading_apply(opt->reading, g, err);
    if (rc)
        goto fail;
    name_model(g, m);
    /* Everything that metadata alone can tell comes before the expensive part. */
    if ((rc = look(&parts, g, err)) || (rc = hparams_read(g, m, err)) ||
        (rc = weights_plan(g, opt, m, &plan, err)))
        goto fail;
    parts.source.layout = opt->layout;
    parts.source.tables = plan.tables;
    parts.table_bytes = plan.items[0].bytes;
    parts.text_at = round_up(plan.payload_bytes, 64);
    parts.source.reading = gguf_reading_sum(g);
    rc = open_parts(&parts, err);
    if (rc == -TRIT_ENOENT && parts.text_rc == 0)
        rc = pack(&parts, &plan, err);
    if (rc)
        goto fail;
    if (m->segment.payload_bytes < plan.payload_bytes) {
        rc = trit_fail(err, TRIT_EFORMAT, "%s: segment %s holds %zu bytes, expected %zu or more",
                       path, m->segment.name, m->segment.payload_bytes, plan.payload_bytes);
        goto fail;
    }
    sampling_read(g, m);
    weights_point(&plan, m, m->segment.payload);
    if (opt->mlock)
        segment_lock_memory(&m->segment);

    const struct gguf_tensor *t = gguf_tensor(g, "blk.0.ffn_down.weight");
    snprintf(m->encoding, sizeof m->encoding, "%s",
             m->hp.method == METHOD_TERNARY ? t->quant->name : method_name(m->hp.method));
    fingerprint(m);
    m->file_bytes = gguf_file_bytes(g);
    m->weight_bytes = plan.payload_bytes;
    weights_plan_free(&plan);
    loader_close(&parts.loader);
    mem_free(parts.files);
    gguf_close(&g);
    m->load_seconds = trit_now() - start;
    describe(m, opt);
    *out = m;
    return 0;
fail:
    log_progress(NULL);
    if (parts.kept >= 0)
        close(parts.kept);
    weights_plan_free(&plan);
    loader_close(&parts.loader);
    mem_free(parts.files);
    gguf_close(&g);
    model_close(&m);
    return rc;
}

int model_publish(struct model *m, struct trit_error *err)
{
    return segment_publish(&m->segment, err);
}

size_t model_chunks(const struct model *m)
{
    return m->segment.proof ? m->segment.proof->n : 0;
}

void model_prove_chunk(const struct model *m, size_t chunk)
{
    segment_prove(&m->segment, chunk);
}

void model_prove_ahead(const struct model *m, size_t i)
{
    segment_prove_ahead(&m->segment, i);
}

void model_prove(const struct model *m, const void *weights, size_t bytes)
{
    size_t from = (size_t)((const uint8_t *)weights - m->segment.payload), chunk, end;
    if (!m->segment.proof)
        return;
    for (segment_chunks_in(from, from + bytes, &chunk, &end); chunk < end; chunk++)
        segment_prove(&m->segment, chunk);
}

bool model_is_damaged(const struct model *m)
{
    return m->segment.proof && atomic_load(&m->segment.proof->damaged);
}

void model_embed(const struct model *m, uint32_t token, float *dst)
{
    if (m->embedding_tiles.codes)
        layout_row(&m->embedding_tiles, token, dst);
    else
        table_row(&m->embedding, token, dst);
    for (uint32_t i = 0; m->hp.embedding_scale != 1 && i < m->hp.dim; i++)
        dst[i] *= m->hp.embedding_scale;
}

void model_reject(struct model **m)
{
    chat_close(&(*m)->chat);
    tok_close(&(*m)->tok);
    segment_reject(&(*m)->segment);
    model_close(m);
}

/* Whether the one's weights can lie where the other's do. */
static bool is_twin(const struct model *a, const struct model *b)
{
    const struct segment *s = &a->segment, *t = &b->segment;
    return memcmp(s->source.digest, t->source.digest, sizeof s->source.digest) == 0 &&
           s->payload_bytes == t->payload_bytes && a->weight_bytes == b->weight_bytes;
}

int model_repack(const struct model *m, const char *path, const struct model_options *opt,
                 struct model **fresh, struct trit_error *err)
{
    segment_condemn(&m->segment);
    int rc = model_load(path, opt, fresh, err);
    if (rc == 0 && !is_twin(m, *fresh)) {
        rc = trit_fail(err, TRIT_EFORMAT, "%s: has changed since its damaged weights were packed",
                       path);
        model_close(fresh);
    }
    return rc;
}

int model_take_weights(struct model *m, struct model **fresh, struct trit_error *err)
{
    size_t text_at = round_up(m->weight_bytes, 64);
    /* Both at once may have been too much to lock. */
    bool locked = m->segment.locked || (*fresh)->segment.locked;
    int rc = segment_replace(&m->segment, &(*fresh)->segment, text_at, err);
    if (rc == 0 && locked)
        segment_lock_memory(&m->segment);
    model_close(fresh);
    return rc;
}

void model_close(struct model **m)
{
    if (!*m)
        return;
    chat_close(&(*m)->chat);
    tok_close(&(*m)->tok); /* Its tables may lie in the segment. */
    segment_close(&(*m)->segment);
    rotation_free(&(*m)->rotation);
    mem_free((*m)->layers);
    mem_free(*m);
    *m = NULL;
}
