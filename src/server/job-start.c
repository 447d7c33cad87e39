/* SPDX-License-Identifier: MIT */
/*
 * job-start.c - from checked parameters to sequences in the engine's queue.
 *
 * The order is: refuse what the queue has no room for, before any work is done for it; texts to
 * ids; see whether they fit the context, the tenant's limits and the deadline; one sequence for
 * each answer.  A request that is refused half way takes back what it had submitted.
 */
#include "config.h"
#include "server/job.h"

#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/model.h"
#include "engine/engine.h"
#include "engine/grammar.h"
#include "engine/seq.h"
#include "server/names.h"
#include "server/tools.h"

enum {
    POOL_BYTES = 16 * 1024,   /* texts longer than this are encoded in the pool */
    LOGPROB_BYTES = 16 << 20, /* of one request's logprobs */
    DEFAULT_COMPLETION = 16,  /* max_tokens of a completion, as OpenAI has it */
};

/* ------------------------------------------------------------------ submission */

/* How many tokens may follow a prompt of n.  Negative with *p when it does not fit. */
static int choose_max_new(const struct job *j, size_t n, uint32_t *max_new, struct problem *p)
{
    uint32_t ctx = engine_options(j->m->opt.engine)->n_ctx;
    const char *prompt = params_prompt_name(&j->params);
    int64_t wanted = j->params.max_tokens;
    int rc = 0;
    if (n == 0)
        return problem_set(p, TRIT_EINVAL, prompt,
                           "the prompt is empty: it has no token to go on from");
    if (n > ctx || (n == ctx && wanted != 0))
        rc = problem_set(
            p, TRIT_ECONTEXT, prompt,
            "the prompt has %zu tokens, the context of %u leaves no room for an answer", n, ctx);
    else if (wanted >= 0 && (uint64_t)wanted + n > ctx)
        rc = problem_set(p, TRIT_ECONTEXT, params_max_name(&j->params),
                         "the prompt has %zu tokens and %s asks for %lld more, together more than "
                         "the context of %u",
                         n, params_max_name(&j->params), (long long)wanted, ctx);
    if (rc) {
        p->n_prompt = n;
        p->n_ctx = ctx;
        return rc;
    }
    if (wanted < 0)
        wanted = j->params.endpoint & FOR_CONVERSATION ? j->s->opt.limits.default_max_tokens
                                                       : DEFAULT_COMPLETION;
    *max_new = (uint32_t)MIN(wanted, (int64_t)(ctx - n));
    return 0;
}

static int32_t *copy_ids(const int32_t *ids, size_t n)
{
    int32_t *copy = mem_zalloc(n, sizeof *copy);
    if (copy && n)
        memcpy(copy, ids, n * sizeof *copy);
    return copy;
}

/* Stop tokens: those of the model, then the client's. */
static int32_t *collect_stops(const struct job *j, uint32_t *n)
{
    size_t n_model, n_all;
    const int32_t *model = chat_stop_ids(j->chat->chat, &n_model);
    n_all = n_model + j->params.n_stop_ids;
    int32_t *ids = mem_zalloc(n_all, sizeof *ids);
    if (!ids)
        return NULL;
    if (n_model)
        memcpy(ids, model, n_model * sizeof *ids);
    if (j->params.n_stop_ids)
        memcpy(ids + n_model, j->params.stop_ids, j->params.n_stop_ids * sizeof *ids);
    *n = (uint32_t)n_all;
    return ids;
}

/* Gives NULL when there is no memory. */
static struct seq *make_seq(struct choice *c, uint32_t max_new, uint32_t k, uint64_t group)
{
    const struct job *j = c->job;
    const struct params *p = &j->params;
    struct seq_wish w = {
        .tenant = j->tenant->id,
        .salt = j->salt,
        .group = group,
        .priority = j->priority,
        .n_prompt = (uint32_t)c->prompt->ids.n,
        .max_new = max_new,
        .ignore_stop = p->ignore_eos,
        .want_logprobs = p->want_logprobs || p->best_of > p->n,
        .want_prompt_logprobs = p->want_logprobs && p->echo,
        .n_top = (uint32_t)p->top_logprobs,
        .owner = c,
        .sampler = {.temperature = (float)p->temperature,
                    .top_p = (float)p->top_p,
                    .min_p = (float)p->min_p,
                    .top_k = (uint32_t)p->top_k,
                    .presence_penalty = (float)p->presence_penalty,
                    .frequency_penalty = (float)p->frequency_penalty,
                    .repetition_penalty = (float)p->repetition_penalty,
                    .seed = params_choice_seed(p->seed.value, k),
                    .n_bias = p->n_bias},
    };
    w.prompt = copy_ids(c->prompt->ids.id, c->prompt->ids.n);
    w.stop_ids = collect_stops(j, &w.n_stop_ids);
    w.bias = mem_zalloc(p->n_bias, sizeof *w.bias);
    bool waits = j->grammar && p->shape.kind == SHAPE_CALLS && tools_wait(p->tools);
    if (waits)
        w.marker = mem_strdup(p->tools->form->open);
    if (!w.prompt || !w.stop_ids || !w.bias || (waits && !w.marker)) {
        mem_free(w.prompt);
        mem_free(w.stop_ids);
        mem_free(w.bias);
        mem_free(w.marker);
        return NULL;
    }
    if (p->n_bias)
        memcpy(w.bias, p->bias, p->n_bias * sizeof *w.bias);
    w.grammar = j->grammar ? grammar_ref(j->grammar) : NULL; /* the sequence's own */
    return seq_new(&w);
}

/*
 * Whether answers are looked through for thoughts.  Not where one is bound from its first token on:
 * there is no room for a thought, and where the prompt has opened one all would be taken for it.
 */
static bool may_think(const struct job *j)
{
    const struct params *p = &j->params;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a shape of calls has its tools. */
    bool free = p->shape.kind == SHAPE_FREE || (p->shape.kind == SHAPE_CALLS && !p->tools->must);
    return (p->endpoint & FOR_CONVERSATION) && !p->thoughts_as_text && free &&
           chat_thinks(j->chat->chat);
}

/* The template has opened the thought: that stands in the last tokens of the prompt. */
static bool prompt_thinks(const struct choice *c)
{
    const struct tok_ids *ids = &c->prompt->ids;
    char end[128];
    size_t at = sizeof end, len;
    for (size_t i = ids->n; i > 0; i--, at -= len) {
        const char *piece = tok_piece(c->job->m->opt.model->tok, ids->id[i - 1], &len);
        if (len > at)
            break;
        memcpy(end + at - len, piece, len);
    }
    return thought_is_open(end + at, sizeof end - at);
}

/* What is kept of each token; false: no memory. */
static bool make_room(struct choice *c, uint32_t max_new)
{
    const struct job *j = c->job;
    bool streams = j->params.want_logprobs && j->params.stream;
    bool sorts = j->params.want_logprobs && job_is_response(j);
    c->shown = streams ? mem_zalloc(max_new, sizeof *c->shown) : NULL;
    c->is_text = sorts ? mem_zalloc(max_new, sizeof *c->is_text) : NULL;
    return (c->shown || !streams) && (c->is_text || !sorts);
}

static int submit_choice(struct job *j, struct choice *c, uint32_t max_new, uint32_t k,
                         uint64_t group)
{
    struct trit_error err = {0};
    struct problem p;
    c->seq = make_seq(c, max_new, k, group);
    if (!c->seq || !make_room(c, max_new)) {
        j->s->metrics.rejected[REJECTED_MEMORY]++;
        job_fail_code(j, TRIT_ENOMEM);
        return -TRIT_ENOMEM;
    }
    int rc = engine_submit(j->m->opt.engine, c->seq, &err);
    if (rc) {
        if (rc == -TRIT_EBUSY)
            j->s->metrics.rejected[REJECTED_QUEUE_REQUESTS]++;
        problem_from(&p, rc, rc == -TRIT_ECONTEXT ? params_max_name(&j->params) : NULL, &err);
        if (rc == -TRIT_ECONTEXT) {
            p.n_prompt = c->prompt->ids.n;
            p.n_ctx = engine_options(j->m->opt.engine)->n_ctx;
        }
        job_fail(j, &p);
        return rc;
    }
    c->live = c->begun = c->waits = true;
    j->n_live++;
    return 0;
}

/* Logprobs are kept for every position; a request may not fill the memory with them. */
static int check_memory(const struct job *j, const uint32_t *max_new, struct problem *p)
{
    uint64_t bytes = 0, entry = sizeof(struct seq_logprob) +
                                (uint64_t)j->params.top_logprobs * sizeof(struct sampler_top);
    for (size_t i = 0; i < j->n_prompts; i++) {
        /* NOLINTNEXTLINE(-Wanalyzer-use-of-uninitialized-value): written for each prompt. */
        uint64_t places = max_new[i] + (j->params.echo ? j->prompt[i].ids.n : 0);
        bytes += places * entry * params_tries(&j->params);
    }
    if (!(j->params.want_logprobs || j->params.best_of > j->params.n) || bytes <= LOGPROB_BYTES)
        return 0;
    return problem_set(p, TRIT_EINVAL, job_is_response(j) ? "top_logprobs" : "logprobs",
                       "logprobs of this many tokens take %llu MiB, at most %d MiB are allowed in "
                       "one request",
                       (unsigned long long)(bytes >> 20), LOGPROB_BYTES >> 20);
}

/* An answer of a request was refused: those before it were cancelled with the job, and cost
 * nothing, not even where one has begun. */
static void take_back(struct job *j, int rc)
{
    if (rc == -TRIT_EBUSY || rc == -TRIT_ENOMEM)
        j->tenant->n_refused++;
    for (uint32_t i = 0; i < j->n_choices; i++)
        j->choice[i].begun = false;
}

static void job_run(struct job *j)
{
    struct server *s = j->s;
    uint32_t n = params_tries(&j->params), max_new[PARAMS_PROMPTS];
    struct problem p;
    for (size_t i = 0; i < j->n_prompts; i++) {
        if (choose_max_new(j, j->prompt[i].ids.n, &max_new[i], &p)) {
            job_fail(j, &p);
            return;
        }
        j->prompt_tokens += j->prompt[i].ids.n;
    }
    if (check_memory(j, max_new, &p) || job_charge(j, max_new, &p)) {
        job_fail(j, &p);
        return;
    }
    j->choice = mem_zalloc(j->n_prompts * n, sizeof *j->choice);
    if (!j->choice) {
        job_fail_code(j, TRIT_ENOMEM);
        return;
    }
    j->n_choices = (uint32_t)j->n_prompts * n;
    j->state = JOB_RUNNING;
    energy_begin(j);
    uint64_t group = 0;
    for (uint32_t i = 0; i < j->n_choices; i++) {
        struct choice *c = &j->choice[i];
        *c = (struct choice){.job = j, .index = i, .prompt = &j->prompt[i / n]};
        if (j->params.tools && !j->params.no_calls)
            calls_begin(&c->calls, j->params.tools);
        if (may_think(j))
            thought_begin(&c->thought, prompt_thinks(c));
        if (n > 1 && i % n == 0)
            group = names_random_u64() | 1;
        int rc = submit_choice(j, c, max_new[i / n], i % n, group);
        if (rc) {
            take_back(j, rc);
            return;
        }
    }
    if (j->params.stream) {
        j->ping_at = trit_now() + s->opt.limits.ping_seconds;
        server_ring_by(s, j->ping_at);
    }
}

/* ------------------------------------------------------------------ texts to ids */

/* A prompt and what comes behind the answer: the model writes the middle.  BOS stays in front. */
static int add_suffix(const struct job *j, struct tok_ids *ids)
{
    const struct tok *t = j->m->opt.model->tok;
    struct tok_ids all = {0};
    int32_t mark[3];
    size_t front = ids->n && ids->id[0] == tok_bos(t);
    trit_assert(tok_infill(t, mark));
    int rc = front ? tok_ids_add(&all, ids->id[0]) : 0;
    if (rc == 0)
        rc = tok_ids_add(&all, mark[0]);
    for (size_t i = front; rc == 0 && i < ids->n; i++)
        rc = tok_ids_add(&all, ids->id[i]);
    if (rc == 0)
        rc = tok_ids_add(&all, mark[1]);
    if (rc == 0)
        rc = tok_encode(t, j->params.suffix, strlen(j->params.suffix),
                        j->flags & (unsigned)~TOK_ADD_SPECIAL, j->limit, &all);
    if (rc == 0)
        rc = tok_ids_add(&all, mark[2]);
    tok_ids_free(rc ? &all : ids);
    if (rc == 0)
        *ids = all;
    return rc;
}

/* Any thread: params, model and tokenizer do not change. */
static void encode_all(struct job *j)
{
    const struct model *m = j->m->opt.model;
    const struct params *p = &j->params;
    const time_t at = time(NULL);
    struct tm now;
    const struct chat_talk talk = params_talk(p, localtime_r(&at, &now));
    for (size_t i = 0; i < j->n_prompts; i++) {
        struct job_prompt *to = &j->prompt[i];
        if (p->endpoint & FOR_CONVERSATION)
            to->rc = chat_encode(j->chat->chat, m->tok, &talk, j->limit, &to->ids, &j->encode_err);
        else if (to->text)
            to->rc = tok_encode(m->tok, to->text, to->len, j->flags, j->limit, &to->ids);
        if (to->rc == 0 && p->suffix)
            to->rc = add_suffix(j, &to->ids);
    }
}

/* Whether the answers are bound to something that nobody has asked for lately.  Otherwise its
 * grammar is here already. */
static bool is_new_shape(struct job *j)
{
    if (j->params.shape.kind == SHAPE_FREE)
        return false;
    shape_key(&j->params.shape, &j->shape_key);
    if (!j->shape_key.failed)
        j->grammar = grammars_find(&j->m->grammars, j->shape_key.data, j->shape_key.len);
    return !j->grammar;
}

/* Any thread.  With it goes what the engine needs for the first grammar of all. */
static void compile(struct job *j)
{
    struct trit_error err;
    if (j->params.shape.kind == SHAPE_FREE || j->grammar)
        return;
    j->shape_rc = engine_prepare_grammars(j->m->opt.engine, &err);
    if (j->shape_rc)
        problem_from(&j->shape_problem, j->shape_rc, NULL, &err);
    else
        j->shape_rc = shape_compile(&j->params.shape, &j->grammar, &j->shape_problem);
    j->compiled = j->shape_rc == 0;
}

static void on_encoded(struct job *j)
{
    struct problem p;
    char name[32];
    const char *field = params_prompt_name(&j->params), *what = "the prompt";
    if (j->state == JOB_FINISHED) /* The client has left meanwhile. */
        return;
    if (j->shape_rc) {
        job_fail(j, &j->shape_problem);
        return;
    }
    if (j->compiled && !j->shape_key.failed)
        grammars_add(&j->m->grammars, j->shape_key.data, j->shape_key.len, j->grammar);
    for (size_t i = 0; i < j->n_prompts; i++) {
        int rc = j->prompt[i].rc;
        if (rc && j->params.endpoint == FOR_EMBEDDINGS) {
            job_embed_name(j, i, name);
            field = what = name;
        }
        if (rc == -TRIT_ETOOBIG) {
            problem_set(&p, TRIT_ECONTEXT, field,
                        "%s has more than %u tokens, which is the context's length", what,
                        j->limit);
            p.n_prompt = (uint64_t)j->limit + 1; /* counting stopped there */
            p.n_ctx = j->limit;
            job_fail(j, &p);
            return;
        }
        if (rc) {
            problem_from(&p, rc, rc == -TRIT_ENOMEM ? NULL : field, &j->encode_err);
            job_fail(j, &p);
            return;
        }
    }
    if (j->kind == JOB_GENERATES) {
        if (j->params.endpoint == FOR_EMBEDDINGS)
            job_embed_run(j);
        else
            job_run(j);
        return;
    }
    j->state = JOB_FINISHED;
    if (j->kind == JOB_COUNTS)
        job_write_count(j, &j->x->out);
    else
        job_write_tokens(j, &j->x->out);
    exchange_whole(j->x, 200, "application/json");
}

static void encode_and_compile(struct job *j)
{
    encode_all(j);
    compile(j);
}

static void job_encode(struct job *j)
{
    size_t bytes = j->params.words.len;
    if (j->params.suffix)
        bytes += strlen(j->params.suffix);
    if (j->params.instructions)
        bytes += strlen(j->params.instructions);
    for (size_t i = 0; i < j->n_prompts; i++)
        bytes += j->prompt[i].len;
    bool is_new = is_new_shape(j); /* It finds the grammar; a long text changes nothing of that. */
    job_work(j, bytes > POOL_BYTES || is_new, encode_and_compile, on_encoded);
}

/* ------------------------------------------------------------------ beginnings */

/* A conversation becomes one prompt when it is encoded. */
static int take_prompts(struct job *j)
{
    bool chat = j->params.endpoint & FOR_CONVERSATION;
    size_t n = chat ? 1 : j->params.n_prompts;
    j->prompt = mem_zalloc(n, sizeof *j->prompt);
    if (!j->prompt)
        return -TRIT_ENOMEM;
    j->n_prompts = n;
    for (size_t i = 0; i < n && !chat; i++) {
        struct params_prompt *from = &j->params.prompt[i];
        struct job_prompt *to = &j->prompt[i];
        to->text = from->text;
        to->len = from->len;
        if (!from->text) {
            to->ids = (struct tok_ids){.id = from->ids, .n = from->n_ids, .cap = from->n_ids};
            from->ids = NULL;
        }
    }
    j->flags = (j->params.add_special ? TOK_ADD_SPECIAL : 0) |
               (j->params.parse_special ? TOK_PARSE_SPECIAL : 0);
    return 0;
}

static void begin(struct job *j)
{
    if (take_prompts(j))
        job_fail_code(j, TRIT_ENOMEM);
    else
        job_encode(j);
}

void job_generate(struct exchange *x, struct params *params)
{
    struct problem p;
    bool chat = params->endpoint & FOR_CONVERSATION;
    struct job *j = job_new(x, params);
    if (!j)
        return;
    names_random(j->id, sizeof j->id, job_is_response(j) ? "resp_" : chat ? "chatcmpl-" : "cmpl-");
    if (job_is_response(j))
        names_random(j->response.item_id, sizeof j->response.item_id, "msg_");
    j->head = (struct format_head){.chat = chat,
                                   .id = j->id,
                                   .created = time(NULL),
                                   .model = j->m->name,
                                   .fingerprint = j->m->fingerprint,
                                   .include_usage = j->params.include_usage,
                                   .obfuscate = j->params.obfuscate};
    if (!j->params.seed.given)
        j->params.seed.value = names_random_u64();
    j->limit = engine_options(j->m->opt.engine)->n_ctx;

    uint64_t prompts = chat ? 1 : j->params.n_prompts;
    if (job_ask(j, prompts * params_tries(&j->params), &p))
        job_fail(j, &p);
    else
        begin(j);
}

void job_embed(struct exchange *x, struct params *params)
{
    struct problem p;
    struct job *j = job_new(x, params);
    if (!j)
        return;
    names_random(j->id, sizeof j->id, "embd-");
    j->head = (struct format_head){.id = j->id, .created = time(NULL), .model = j->m->name};
    j->limit = engine_options(j->m->opt.engine)->n_ctx;
    if (job_ask(j, job_embed_window(j, j->params.n_prompts), &p))
        job_fail(j, &p);
    else
        begin(j);
}

/* Nothing is generated, so nothing is asked of the queue. */
static void encode_only(struct exchange *x, struct params *params, enum job_kind kind)
{
    struct job *j = job_new(x, params);
    if (!j)
        return;
    j->kind = kind;
    begin(j);
}

void job_tokenize(struct exchange *x, struct params *params)
{
    encode_only(x, params, JOB_TOKENIZES);
}

void job_count(struct exchange *x, struct params *params)
{
    encode_only(x, params, JOB_COUNTS);
}
