/* SPDX-License-Identifier: MIT */
/*
 * routes.c - which request means what, and the answers that need no engine.
 */
#include "config.h"
#include "server/parts.h"

#include <string.h>
#include <time.h>
#include <strings.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/model.h"
#include "model/segment.h"
#include "model/tokenizer.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "engine/kv.h"
#include "server/format.h"
#include "server/job.h"
#include "server/json.h"
#include "server/page.h"
#include "server/params.h"
#include "server/problem.h"

static const char json_type[] = "application/json";

/* ------------------------------------------------------------------ requests with fields */

/* The model of that name that the request may ask; NULL: the first.  NULL: there is none. */
static struct served *find_model(const struct exchange *x, const char *name)
{
    struct served *m = name ? models_find(&x->s->models, name) : x->s->models.first;
    while (!name && m && !models_may_ask(m, x->tenant))
        m = m->next;
    return m && models_may_ask(m, x->tenant) ? m : NULL;
}

static void answer_no_model(struct exchange *x, const char *model)
{
    struct problem p;
    char list[160];
    models_list(&x->s->models, models_may_ask, x->tenant, list, sizeof list);
    problem_set(&p, TRIT_ENOENT, "model",
                "The model `%.256s` does not exist or you do not have access to it; %s%s", model,
                *list ? "there is " : "there is none that you may ask", list);
    p.code = "model_not_found";
    exchange_problem(x, &p);
}

/* What the fields of a request may be depends on its model, the first where it names none that
 * there is: that is judged when the fields have been read. */
struct chosen {
    struct exchange *x;
    struct params_model allowed;
};

static const struct params_model *choose_model(void *arg, const char *name)
{
    struct chosen *c = arg;
    struct exchange *x = c->x;
    struct served *m = find_model(x, name);
    x->model = models_hold(m ? m : x->s->models.first);
    const struct model *model = x->model->opt.model;
    int32_t infill[3];
    c->allowed = (struct params_model){
        .vocab = (int32_t)MIN(tok_size(model->tok), (size_t)model->hp.vocab),
        .n_hidden = (int32_t)model->hp.dim,
        .sampling = model->sampling,
        .calls = chat_calls(x->model->chat->chat),
        .infills = tok_infill(model->tok, infill)};
    return &c->allowed;
}

/* false: the answer is decided.  The caller gives *p to params_fini, or to a job. */
static bool read_params(struct exchange *x, enum params_endpoint endpoint, struct params *p)
{
    struct chosen chosen = {.x = x};
    struct problem problem;
    const char *body = x->body.data ? x->body.data : "";
    if (params_read_for(p, endpoint, body, x->body.len, choose_model, &chosen, &x->ignored,
                        &problem))
        exchange_problem(x, &problem);
    else if (find_model(x, p->model) != x->model)
        answer_no_model(x, p->model ? p->model : x->model->name);
    else
        return true;
    params_fini(p);
    return false;
}

/* A model that only embeds has nothing trained to choose tokens by: an answer would be noise. */
static void generate(struct exchange *x, enum params_endpoint endpoint)
{
    struct params p;
    struct problem problem;
    if (!read_params(x, endpoint, &p))
        return;
    if (!x->model->opt.model->hp.embeds_only) {
        job_generate(x, &p);
        return;
    }
    problem_set(&problem, TRIT_EINVAL, "model",
                "model: %s was trained to embed texts, not to write them: POST /v1/embeddings is "
                "what it answers",
                x->model->name);
    exchange_problem(x, &problem);
    params_fini(&p);
}

static void handle_completions(struct exchange *x)
{
    generate(x, FOR_COMPLETIONS);
}

static void handle_chat(struct exchange *x)
{
    generate(x, FOR_CHAT);
}

/* Whether it is known how to make a vector: pooled otherwise than in training it would be noise. */
static bool can_pool(const struct served *m)
{
    uint32_t pooling = m->opt.model->hp.pooling;
    return m->opt.pooling != SEQ_POOL_NONE || pooling == MODEL_POOLING_NONE ||
           pooling == MODEL_POOLING_MEAN || pooling == MODEL_POOLING_LAST;
}

static void handle_embeddings(struct exchange *x)
{
    struct params p;
    struct problem problem;
    if (!read_params(x, FOR_EMBEDDINGS, &p))
        return;
    if (can_pool(x->model)) {
        job_embed(x, &p);
        return;
    }
    problem_set(&problem, TRIT_EUNSUPP, "model",
                "model: %s makes vectors by pooling_type %u, expected %d (mean) or %d (last), of "
                "which the setting pooling can choose one",
                x->model->name, x->model->opt.model->hp.pooling, MODEL_POOLING_MEAN,
                MODEL_POOLING_LAST);
    exchange_problem(x, &problem);
    params_fini(&p);
}

static void handle_responses(struct exchange *x)
{
    generate(x, FOR_RESPONSES);
}

static void handle_count_chat(struct exchange *x)
{
    struct params p;
    if (read_params(x, FOR_CHAT, &p))
        job_count(x, &p);
}

static void handle_count_responses(struct exchange *x)
{
    struct params p;
    if (read_params(x, FOR_RESPONSES, &p))
        job_count(x, &p);
}

static void handle_tokenize(struct exchange *x)
{
    struct params p;
    if (read_params(x, FOR_TOKENIZE, &p))
        job_tokenize(x, &p);
}

static void answer_text(struct exchange *x, const char *key, const struct buf *text)
{
    struct json_out o = {.buf = &x->out};
    json_open(&o, '{');
    json_key(&o, key);
    json_strn(&o, text->data ? text->data : "", text->len);
    json_close(&o, '}');
    x->out.failed = x->out.failed || text->failed;
    exchange_whole(x, 200, json_type);
}

static void handle_detokenize(struct exchange *x)
{
    struct params p;
    struct buf text = {0};
    if (!read_params(x, FOR_DETOKENIZE, &p))
        return;
    tok_decode(x->model->opt.model->tok, p.tokens, p.n_tokens, true, &text);
    answer_text(x, "content", &text);
    buf_free(&text);
    params_fini(&p);
}

static void handle_template(struct exchange *x)
{
    struct params p;
    struct buf text = {0};
    struct trit_error err = {0};
    struct problem problem;
    if (!read_params(x, FOR_TEMPLATE, &p))
        return;
    time_t at = time(NULL);
    struct tm now;
    const struct chat_talk talk = params_talk(&p, localtime_r(&at, &now));
    int rc = chat_render(x->model->chat->chat, &talk, &text, NULL, NULL, &err);
    if (rc) {
        problem_from(&problem, rc, "messages", &err);
        exchange_problem(x, &problem);
    } else {
        answer_text(x, "prompt", &text);
    }
    buf_free(&text);
    params_fini(&p);
}

/* ------------------------------------------------------------------ requests without */

static void put_model(struct json_out *o, const struct served *m)
{
    const struct engine_stats *st = engine_stats(m->opt.engine);
    struct format_model f = {.id = m->name,
                             .created = m->created,
                             .n_ctx = engine_options(m->opt.engine)->n_ctx,
                             .kv_bytes_per_token = st->kv_page_bytes / KV_PAGE_TOKENS,
                             .model = m->opt.model};
    format_model(o, &f);
}

static void handle_models(struct exchange *x)
{
    struct json_out o = {.buf = &x->out};
    json_open(&o, '{');
    json_key(&o, "object");
    json_str(&o, "list");
    json_key(&o, "data");
    json_open(&o, '[');
    for (const struct served *m = x->s->models.first; m; m = m->next)
        if (models_may_ask(m, x->tenant))
            put_model(&o, m);
    json_close(&o, ']');
    json_close(&o, '}');
    exchange_whole(x, 200, json_type);
}

static void handle_model(struct exchange *x)
{
    struct json_out o = {.buf = &x->out};
    const struct served *m = find_model(x, x->rest);
    if (!m) {
        answer_no_model(x, x->rest);
        return;
    }
    put_model(&o, m);
    exchange_whole(x, 200, json_type);
}

static void answer_status(struct exchange *x, const char *status)
{
    struct json_out o = {.buf = &x->out};
    json_open(&o, '{');
    json_key(&o, "status");
    json_str(&o, status);
    json_close(&o, '}');
    exchange_whole(x, 200, json_type);
}

static void handle_healthz(struct exchange *x)
{
    answer_status(x, "ok");
}

/* Whoever is asked for by a reload and cannot be had makes it a word less, and no other status: the
 * rest is served. */
static void handle_readyz(struct exchange *x)
{
    struct server_absent list[SERVER_MODELS];
    const struct server_admin *admin = &x->s->opt.admin;
    size_t n = admin->list ? admin->list(admin->arg, list, ARRAY_LEN(list)) : 0;
    bool degraded = false;
    for (size_t i = 0; i < n; i++)
        degraded = degraded || list[i].error;
    answer_status(x, degraded ? "degraded" : "ready");
}

/* Looking it up walks the page tables of the weights, so it is not done at every scrape. */
static size_t huge_bytes(struct served *m)
{
    double now = trit_now();
    if (m->huge_at == 0 || now - m->huge_at > 60) {
        m->huge_bytes = segment_huge_bytes(&m->opt.model->segment);
        m->huge_at = now;
    }
    return m->huge_bytes;
}

/* With those that are ending: they still compute, and take memory. */
static size_t list_models(struct server *s, struct metrics_model *list)
{
    struct served *lists[] = {s->serving ? s->models.first : NULL, s->models.ending};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (struct served *m = lists[i]; m && n < METRICS_MODELS; m = m->next)
            list[n++] = (struct metrics_model){
                .name = m->name,
                .ending = i == 1,
                .engine = m->opt.engine,
                .model = m->opt.model,
                .huge_bytes = huge_bytes(m),
                .oldest_seconds = job_oldest(s, m, trit_now()),
                .grammars_compiled = m->grammars.compiled,
                .grammars_known = m->grammars.hits,
            };
    return n;
}

static void handle_metrics(struct exchange *x)
{
    struct server *s = x->s;
    double joules;
    (void)rapl_read(&s->rapl, &joules);
    struct metrics_page page = {
        .counted = &s->metrics,
        .kernels = s->opt.kernels,
        .ready = s->serving && !s->draining,
        .draining = s->draining,
        .connections = s->n_conns,
        .http_bytes = http_bytes(s),
        .admit = &s->admit,
        .rapl = &s->rapl,
    };
    page.n_models = list_models(s, page.model);
    metrics_write(&page, &x->out);
    if (s->opt.limits.metrics_vllm)
        metrics_write_vllm(&page, &x->out);
    metrics_write_process(&x->out);
    exchange_whole(x, 200, "text/plain; version=0.0.4; charset=utf-8");
}

/* ------------------------------------------------------------------ the table */

enum method { GET, POST, DELETE }; /* HEAD comes with GET */
static const char *const methods[] = {[GET] = "GET", [POST] = "POST", [DELETE] = "DELETE"};
static const char *const allowed[] = {[GET] = "GET, HEAD", [POST] = "POST", [DELETE] = "DELETE"};

struct route {
    const char *path;
    bool prefix; /* something follows the path */
    enum method method;
    bool always; /* answered while loading and draining too */
    bool open;   /* to everybody */
    enum metrics_route id;
    void (*handle)(struct exchange *x);
    void (*post)(struct exchange *x); /* beside GET; NULL: not allowed */
};

static const struct route routes[] = {
    {"/v1/completions", .method = POST, .id = ROUTE_COMPLETIONS, .handle = handle_completions},
    {"/v1/chat/completions", .method = POST, .id = ROUTE_CHAT, .handle = handle_chat},
    {"/v1/responses", .method = POST, .id = ROUTE_RESPONSES, .handle = handle_responses},
    {"/v1/embeddings", .method = POST, .id = ROUTE_EMBEDDINGS, .handle = handle_embeddings},
    {"/v1/chat/completions/input_tokens", .method = POST, .id = ROUTE_COUNT_CHAT,
     .handle = handle_count_chat},
    {"/v1/responses/input_tokens", .method = POST, .id = ROUTE_COUNT_RESPONSES,
     .handle = handle_count_responses},
    {"/v1/models", .method = GET, .id = ROUTE_MODELS, .handle = handle_models},
    {"/v1/models/", .prefix = true, .method = GET, .id = ROUTE_MODEL, .handle = handle_model},
    {"/tokenize", .method = POST, .id = ROUTE_TOKENIZE, .handle = handle_tokenize},
    {"/detokenize", .method = POST, .id = ROUTE_DETOKENIZE, .handle = handle_detokenize},
    {"/apply-template", .method = POST, .id = ROUTE_TEMPLATE, .handle = handle_template},
    {"/v1/tritd/requests", .method = GET, .always = true, .id = ROUTE_REQUESTS,
     .handle = requests_list},
    {"/v1/tritd/requests/", .prefix = true, .method = DELETE, .always = true, .id = ROUTE_REQUEST,
     .handle = requests_end},
    {"/v1/tritd/models", .method = GET, .id = ROUTE_ADMIN_MODELS, .handle = admin_list,
     .post = admin_load},
    {"/v1/tritd/models/", .prefix = true, .method = DELETE, .id = ROUTE_ADMIN_MODEL,
     .handle = admin_unload},
    {"/healthz", .method = GET, .always = true, .open = true, .id = ROUTE_HEALTHZ,
     .handle = handle_healthz},
    {"/readyz", .method = GET, .open = true, .id = ROUTE_READYZ, .handle = handle_readyz},
    {"/metrics", .method = GET, .always = true, .id = ROUTE_METRICS, .handle = handle_metrics},
    {"/", .method = GET, .always = true, .open = true, .id = ROUTE_PAGE, .handle = page_handle},
    {"/page/", .prefix = true, .method = GET, .always = true, .open = true, .id = ROUTE_PAGE_FILE,
     .handle = page_handle},
};

static const struct route *find(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const struct route *r = &routes[i];
        size_t len = strlen(r->path);
        if (r->prefix ? strncmp(path, r->path, len) == 0 && path[len] : strcmp(path, r->path) == 0)
            return r;
    }
    return NULL;
}

static bool generates(const struct route *r)
{
    return r->id < N_GENERATING;
}

static bool is_page(const struct route *r)
{
    return r->id == ROUTE_PAGE || r->id == ROUTE_PAGE_FILE;
}

/* Whether a request that came during a drain is served all the same: its client had connected
 * before, and has not been told yet that this is the end. */
static bool is_late(const struct exchange *x)
{
    const struct server *s = x->s;
    return !s->cancelled_all && (s->leaving || (!x->conn->served && x->route != ROUTE_READYZ));
}

/* Not now: there is no model yet, or no future. */
static bool refuse_unready(struct exchange *x)
{
    struct server *s = x->s;
    if (s->serving && (!s->draining || is_late(x)))
        return false;
    if (generates(&routes[x->route]))
        s->metrics.rejected[s->draining ? REJECTED_DRAINING : REJECTED_LOADING]++;
    exchange_fail(x, s->draining ? TRIT_EDRAINING : TRIT_ELOADING);
    return true;
}

/*
 * Who asks?  Answers with 401 when it is nobody we know.  Whatever is there instead of a key, also
 * nothing, is looked for among the keys as a wrong key is, so that no answer is quicker.
 */
static bool authorize(struct exchange *x)
{
    struct server *s = x->s;
    const char *theirs = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "Authorization");
    bool bearer = theirs && strncasecmp(theirs, "Bearer ", 7) == 0;
    const char *text = bearer ? theirs + 7 : "";
    const struct key *key = keys_find(&s->keys, text, strlen(text));
    struct problem p;
    if (key) {
        admit_let_go(&s->admit, x->tenant);
        x->tenant = admit_find(&s->admit, key->grant.name);
        trit_assert(x->tenant);
        admit_hold(x->tenant);
        return true;
    }
    s->metrics.unauthorized++;
    problem_set(&p, TRIT_EAUTH, NULL,
                bearer ? "the API key is not one of this server's"
                       : "this server needs an API key: Authorization: Bearer KEY");
    exchange_problem(x, &p);
    return false;
}

static bool needs_key(const struct server *s, const struct route *r)
{
    if (s->keys.n == 0)
        return false;
    return !r || !(r->open || (r->id == ROUTE_METRICS && !s->opt.limits.metrics_need_key));
}

void routes_find(struct exchange *x, const char *method, const char *path)
{
    const struct route *r = find(path);
    struct problem p;
    if (r && is_page(r) && !x->s->opt.limits.page)
        r = NULL;
    if (r)
        x->route = r->id;
    if (origin_preflight(x, method) || (!(r && r->open) && origin_refuse(x, method)))
        return;
    if (needs_key(x->s, r) && !authorize(x))
        return;
    if (!r) {
        problem_set(&p, TRIT_ENOENT, NULL, "there is no such route");
        exchange_problem(x, &p);
        return;
    }
    x->rest = x->path + (r->prefix ? strlen(r->path) : 0);
    x->post = r->post && strcmp(method, methods[POST]) == 0;
    if (strcmp(method, methods[r->method]) != 0 && !x->post &&
        !(r->method == GET && strcmp(method, "HEAD") == 0)) {
        x->allow = r->post ? "GET, HEAD, POST" : allowed[r->method];
        problem_set(&p, TRIT_EINVAL, NULL, "the method of this route is %s%s", methods[r->method],
                    r->post ? " or POST" : "");
        p.status = 405;
        p.code = "method_not_allowed";
        exchange_problem(x, &p);
    } else if (!r->always && !refuse_unready(x) && generates(r)) {
        job_refuse_early(x);
    }
}

void routes_handle(struct exchange *x)
{
    const struct route *r = &routes[x->route];
    trit_assert(r->id == x->route);
    /* Things may have changed while the body came. */
    if (r->always || !refuse_unready(x))
        (x->post ? r->post : r->handle)(x);
}
