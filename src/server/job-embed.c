/* SPDX-License-Identifier: MIT */
/*
 * job-embed.c - embeddings: many texts to one vector each.
 *
 * A request may bring thousands of texts, which may not fill the queue.  So it holds a window of
 * sequences there, a few at a time, and the next goes in when one is done.  Each gives the pooled
 * hidden state of its text, which is cut to the dimensions wanted, made as long as 1, and written
 * as numbers or as base64 of their bytes; much of that is done in the libuv pool.
 */
#include "config.h"
#include "server/job.h"

#include <math.h>
#include <string.h>

#include <nettle/base64.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"
#include "engine/engine.h"
#include "engine/seq.h"
#include "server/json.h"
#include "server/names.h"

enum {
    WINDOW = 32,             /* sequences of one request with the engine */
    WINDOW_SHARE = 4,        /* of the queue's tokens, one part in so many */
    ANSWER_BYTES = 32 << 20, /* of one request's vectors, as floats */
    POOL_NUMBERS = 4096,     /* answers with more than these are written in the pool */
};

/* ------------------------------------------------------------------ sequences in turn */

static enum seq_pool pool_of(const struct served *m)
{
    if (m->opt.pooling != SEQ_POOL_NONE)
        return m->opt.pooling;
    return m->opt.model->hp.pooling == MODEL_POOLING_LAST ? SEQ_POOL_LAST : SEQ_POOL_MEAN;
}

/* Gives NULL when there is no memory.  The ids go to the sequence. */
static struct seq *make_seq(struct choice *c)
{
    const struct job *j = c->job;
    struct tok_ids *ids = &j->prompt[c->index].ids;
    struct seq_wish w = {
        .tenant = j->tenant->id,
        .salt = j->salt,
        .priority = j->priority,
        .n_prompt = (uint32_t)ids->n,
        .pool = pool_of(j->m),
        .n_hidden = j->m->opt.model->hp.dim,
        .owner = c,
        .sampler = {.top_p = 1, .repetition_penalty = 1},
    };
    w.prompt = ids->id;
    ids->id = NULL;
    return seq_new(&w);
}

/* 0: the next text is with the engine.  -TRIT_EBUSY: it is not, and may be tried again later; other
 * failures end the job. */
static int submit_next(struct job *j)
{
    struct choice *c = &j->choice[j->embed.next];
    struct trit_error err = {0};
    struct problem p;
    if (!c->seq)
        c->seq = make_seq(c);
    if (!c->seq) {
        j->s->metrics.rejected[REJECTED_MEMORY]++;
        job_fail_code(j, TRIT_ENOMEM);
        return -TRIT_ENOMEM;
    }
    int rc = engine_submit(j->m->opt.engine, c->seq, &err);
    if (rc == -TRIT_EBUSY && j->n_live)
        return rc;
    if (rc) {
        if (rc == -TRIT_EBUSY)
            j->s->metrics.rejected[REJECTED_QUEUE_REQUESTS]++;
        problem_from(&p, rc, rc == -TRIT_ECONTEXT ? "input" : NULL, &err);
        job_fail(j, &p);
        return rc;
    }
    c->live = c->begun = c->waits = true;
    j->n_live++;
    j->embed.next++;
    j->embed.tokens += c->prompt->ids.n;
    return 0;
}

void job_embed_go_on(struct job *j)
{
    uint64_t most = engine_options(j->m->opt.engine)->queue_tokens / WINDOW_SHARE;
    while (j->state == JOB_RUNNING && j->embed.next < j->n_choices &&
           j->n_live < j->ticket.sequences &&
           (j->n_live == 0 || j->embed.tokens + j->prompt[j->embed.next].ids.n <= most))
        if (submit_next(j))
            break;
    /* Places that will not be needed any more. */
    while ((j->state != JOB_RUNNING || j->embed.next == j->n_choices) &&
           j->ticket.sequences > j->n_live)
        admit_sequence_over(&j->s->admit, &j->ticket);
}

uint64_t job_embed_window(const struct job *j, uint64_t texts)
{
    uint64_t most = MIN(engine_options(j->m->opt.engine)->max_batch, (uint32_t)WINDOW);
    return MIN(MIN(texts, most), admit_largest(&j->s->admit, j->m->queue));
}

uint64_t job_embed_waiting(const struct job *j, uint64_t tokens)
{
    uint64_t most = engine_options(j->m->opt.engine)->queue_tokens / WINDOW_SHARE;
    return MIN(tokens, MAX(most, j->n_prompts == 1 ? tokens : 1));
}

/* ------------------------------------------------------------------ from ids to the queue */

void job_embed_name(const struct job *j, size_t i, char name[32])
{
    if (j->params.one_prompt)
        snprintf(name, 32, "input");
    else
        snprintf(name, 32, "input[%zu]", i);
}

static int check_text(const struct job *j, size_t i, struct problem *p)
{
    const struct job_prompt *from = &j->prompt[i];
    uint32_t ctx = engine_options(j->m->opt.engine)->n_ctx;
    size_t n = from->ids.n;
    char name[32];
    job_embed_name(j, i, name);
    if (n == 0 || (from->text && from->len == 0))
        return problem_set(p, TRIT_EINVAL, name, "%s: found nothing, expected at least one %s",
                           name, from->text ? "character" : "token id");
    if (n <= ctx)
        return 0;
    problem_set(p, TRIT_ECONTEXT, name, "%s: found %zu tokens, the context has %u", name, n, ctx);
    p->n_prompt = n;
    p->n_ctx = ctx;
    return -TRIT_ECONTEXT;
}

static uint32_t dims_of(const struct job *j)
{
    return j->params.dimensions ? (uint32_t)j->params.dimensions : j->m->opt.model->hp.dim;
}

static int check_texts(struct job *j, struct problem *p)
{
    uint64_t bytes = (uint64_t)j->n_prompts * j->m->opt.model->hp.dim * sizeof(float);
    for (size_t i = 0; i < j->n_prompts; i++) {
        int rc = check_text(j, i, p);
        if (rc)
            return rc;
        j->prompt_tokens += j->prompt[i].ids.n;
    }
    if (bytes <= ANSWER_BYTES)
        return 0;
    return problem_set(p, TRIT_EINVAL, "input",
                       "input: %zu embeddings of this model take %llu MiB, at most %d MiB are "
                       "allowed in one request: send at most %zu at a time",
                       j->n_prompts, (unsigned long long)(bytes >> 20), ANSWER_BYTES >> 20,
                       ANSWER_BYTES / (j->m->opt.model->hp.dim * sizeof(float)));
}

void job_embed_run(struct job *j)
{
    struct problem p;
    if (check_texts(j, &p) || job_charge(j, NULL, &p)) {
        job_fail(j, &p);
        return;
    }
    j->choice = mem_zalloc(j->n_prompts, sizeof *j->choice);
    if (!j->choice) {
        job_fail_code(j, TRIT_ENOMEM);
        return;
    }
    j->n_choices = (uint32_t)j->n_prompts;
    for (uint32_t i = 0; i < j->n_choices; i++)
        j->choice[i] = (struct choice){.job = j, .index = i, .prompt = &j->prompt[i]};
    j->state = JOB_RUNNING;
    energy_begin(j);
    job_embed_go_on(j);
}

/* ------------------------------------------------------------------ vectors to the client */

/* The first n of a vector, with a length of 1 again; a vector of zeros has no direction and stays.
 */
static void normalise(float *x, size_t n)
{
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += (double)x[i] * (double)x[i];
    double length = sqrt(square);
    for (size_t i = 0; i < n && length > 0; i++)
        x[i] = (float)((double)x[i] / length);
}

/* Little endian, whatever this machine is. */
static void put_base64(struct json_out *o, const float *x, size_t n)
{
    size_t len = BASE64_ENCODE_RAW_LENGTH(n * sizeof *x);
    uint8_t *bytes = mem_zalloc(n, sizeof *x);
    char *text = mem_zalloc(len, 1);
    if (bytes && text) {
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, &x[i], sizeof bits);
            for (unsigned b = 0; b < 4; b++)
                bytes[4 * i + b] = (uint8_t)(bits >> 8 * b);
        }
        base64_encode_raw(text, n * sizeof *x, bytes);
        json_strn(o, text, len);
    } else {
        o->buf->failed = true;
    }
    mem_free(bytes);
    mem_free(text);
}

/* Any thread: the sequences have ended, and nobody else looks at the job's answer. */
static void write_answer(struct job *j)
{
    struct json_out o = {.buf = &j->embed.answer};
    uint32_t n = dims_of(j);
    json_open(&o, '{');
    json_key(&o, "object");
    json_str(&o, "list");
    json_key(&o, "data");
    json_open(&o, '[');
    for (uint32_t i = 0; i < j->n_choices; i++) {
        float *x = j->choice[i].seq->hidden;
        normalise(x, n);
        json_open(&o, '{');
        json_key(&o, "object");
        json_str(&o, "embedding");
        json_key(&o, "index");
        json_int(&o, i);
        json_key(&o, "embedding");
        if (j->params.base64) {
            put_base64(&o, x, n);
        } else {
            json_open(&o, '[');
            for (uint32_t k = 0; k < n; k++)
                json_float(&o, x[k]);
            json_close(&o, ']');
        }
        json_close(&o, '}');
    }
    json_close(&o, ']');
    json_key(&o, "model");
    json_str(&o, j->head.model);
    json_key(&o, "usage");
    json_open(&o, '{');
    json_key(&o, "prompt_tokens");
    json_int(&o, (int64_t)j->prompt_tokens);
    json_key(&o, "total_tokens");
    json_int(&o, (int64_t)j->prompt_tokens);
    json_close(&o, '}');
    json_close(&o, '}');
}

static void give_answer(struct job *j)
{
    if (!j->x)
        return;
    buf_free(&j->x->out);
    j->x->out = j->embed.answer;
    j->embed.answer = (struct buf){0};
    exchange_whole(j->x, 200, "application/json");
}

void job_embed_answer(struct job *j)
{
    uint64_t numbers = (uint64_t)j->n_choices * dims_of(j);
    job_work(j, numbers > POOL_NUMBERS, write_answer, give_answer);
}
