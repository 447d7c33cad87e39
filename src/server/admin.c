/* SPDX-License-Identifier: MIT */
/*
 * admin.c - models through the API: GET /v1/tritd/models, POST to load one, DELETE to take one out.
 *
 * To load and to take out needs a key of an administrator (admin=yes in the keys file); where there
 * are no keys nobody may.  The answer to POST comes when the model serves, or could not be loaded;
 * its client may leave before, and the model is loaded all the same.
 *
 * Not here: how it is done, which is up to who has the models (server_admin).
 */
#include "config.h"
#include "server/parts.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/reading.h"
#include "model/tokenizer.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "server/fields.h"
#include "server/json.h"
#include "server/problem.h"

enum { PATH_MOST = 4000 };

/* A request that waits for its model. */
struct admin_wait {
    struct server *s;
    struct exchange *x; /* NULL: it has left */
};

static bool is_admin(const struct exchange *x)
{
    return x->s->keys.n > 0 && x->tenant->grant.admin;
}

/* false: it has been told. */
static bool may(struct exchange *x)
{
    struct problem p;
    if (is_admin(x))
        return true;
    problem_set(&p, TRIT_EAUTH, NULL,
                x->s->keys.n
                    ? "this needs the key of an administrator: admin=yes in the keys file"
                    : "this needs the key of an administrator, and the server has no keys");
    p.status = 403;
    p.code = "admin_required";
    exchange_problem(x, &p);
    return false;
}

/* ------------------------------------------------------------------ the list */

static void put_head(struct json_out *o, const struct exchange *x, const char *name,
                     const char *path, const char *state)
{
    json_open(o, '{');
    json_key(o, "id");
    json_str(o, name);
    json_key(o, "object");
    json_str(o, "tritd.model");
    json_key(o, "state");
    json_str(o, state);
    json_key(o, "path");
    json_str_or_null(o, is_admin(x) ? path : NULL);
}

static void put_memory(struct json_out *o, const struct served *m)
{
    const struct engine_stats *st = engine_stats(m->opt.engine);
    const struct {
        const char *name;
        size_t bytes;
    } list[] = {
        {"weights", m->opt.model->segment.payload_bytes},
        {"kv", st->kv_pool_bytes},
        {"states", st->states_bytes},
        {"scratch", st->scratch_bytes},
        {"tokenizer", tok_bytes(m->opt.model->tok)},
    };
    json_key(o, "memory_bytes");
    json_open(o, '{');
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        json_key(o, list[i].name);
        json_int(o, (int64_t)list[i].bytes);
    }
    json_key(o, "weights_shared");
    json_bool(o, m->opt.model->segment.shared);
    json_close(o, '}');
}

static void put_served(struct json_out *o, const struct exchange *x, const struct served *m,
                       const char *state)
{
    const struct engine_stats *st = engine_stats(m->opt.engine);
    put_head(o, x, m->name, m->opt.path, state);
    json_key(o, "created");
    json_int(o, m->created);
    json_key(o, "fingerprint");
    json_str(o, m->fingerprint);
    json_key(o, "n_ctx");
    json_int(o, engine_options(m->opt.engine)->n_ctx);
    json_key(o, "requests_running");
    json_int(o, atomic_load(&st->running));
    json_key(o, "requests_waiting");
    json_int(o, atomic_load(&st->waiting));
    json_key(o, "kv_usage");
    json_double(o, (double)atomic_load(&st->kv_used) / MAX(atomic_load(&st->kv_pages), 1u));
    put_memory(o, m);
    json_close(o, '}');
}

void admin_list(struct exchange *x)
{
    struct server *s = x->s;
    struct json_out o = {.buf = &x->out};
    struct server_absent absent[SERVER_MODELS];
    json_open(&o, '{');
    json_key(&o, "object");
    json_str(&o, "list");
    json_key(&o, "data");
    json_open(&o, '[');
    for (const struct served *m = s->models.first; m; m = m->next)
        if (models_may_ask(m, x->tenant))
            put_served(&o, x, m, "ready");
    for (const struct served *m = s->models.ending; m; m = m->next)
        if (models_may_ask(m, x->tenant))
            put_served(&o, x, m, "ending");
    size_t n = is_admin(x) ? s->opt.admin.list(s->opt.admin.arg, absent, ARRAY_LEN(absent)) : 0;
    for (size_t i = 0; i < n; i++) {
        put_head(&o, x, absent[i].name, absent[i].path, absent[i].state);
        json_key(&o, "error");
        json_str_or_null(&o, absent[i].error);
        json_close(&o, '}');
    }
    json_close(&o, ']');
    json_close(&o, '}');
    exchange_whole(x, 200, "application/json");
}

/* ------------------------------------------------------------------ loading */

static int read_order(const struct field_input *in)
{
    struct server_wish *wish = in->dst;
    struct reading ignored = {0};
    const char *text = cJSON_GetStringValue(in->value);
    if (!text || !reading_order(&ignored, text))
        return fields_refuse(in->problem, in->name, in->value, "published, arm or four");
    wish->order = text;
    return 0;
}

/* A file is read by the thread that loads the model. */
static int read_tiles(const struct field_input *in)
{
    struct server_wish *wish = in->dst;
    const char *text = cJSON_GetStringValue(in->value);
    if (!text || strlen(text) > PATH_MOST ||
        (*text && !strchr(text, '/') && !reading_is_tiles(text)))
        return fields_refuse(
            in->problem, in->name, in->value,
            "up to %d of BM,BK,BMM or ROWSxCOLS=BM,BK,BMM with blanks between them, "
            "or the path of a kernel_config.ini with a / in it",
            READING_TILES);
    wish->tiles = text;
    return 0;
}

#define AT(member) FIELD_AT(struct server_wish, member)
static const struct field rows[] = {
    {"name", 1, FIELD_STRING, .required = true, .max = 100, .at = AT(name)},
    {"path", 1, FIELD_STRING, .required = true, .max = PATH_MOST, .at = AT(path)},
    {"order", 1, FIELD_MIXED, .read = read_order},
    {"tiles", 1, FIELD_MIXED, .read = read_tiles},
    {"unchecked", 1, FIELD_BOOL, .at = AT(unchecked)},
};
static const struct field_table table = {rows, ARRAY_LEN(rows)};

static void loaded(void *arg, const struct served *m, const struct trit_error *err)
{
    struct admin_wait *w = arg;
    struct exchange *x = w->x;
    struct problem p;
    mem_free(w);
    if (!x)
        return;
    x->wait = NULL;
    if (m) {
        put_served(&(struct json_out){.buf = &x->out}, x, m, "ready");
        exchange_whole(x, 200, "application/json");
        return;
    }
    problem_from(&p, -err->code, err->code == TRIT_EDRAINING ? NULL : "path", err);
    /* That the file cannot be had is what the client asked for, and no fault in here. */
    if (p.status == 500 || p.status == 404 || p.status == 413) {
        p.status = 400;
        p.type = trit_err_type(TRIT_EINVAL);
    }
    p.final = p.status == 400;
    exchange_problem(x, &p);
}

void admin_left(struct exchange *x)
{
    if (x->wait)
        x->wait->x = NULL;
}

static void begin(struct exchange *x, const struct server_wish *wish)
{
    const struct server_admin *admin = &x->s->opt.admin;
    struct trit_error err;
    struct problem p;
    struct admin_wait *w = mem_zalloc(1, sizeof *w);
    if (!w) {
        exchange_fail(x, TRIT_ENOMEM);
        return;
    }
    *w = (struct admin_wait){.s = x->s, .x = x};
    x->wait = w;
    log_notice("model-load name=\"%s\" path=\"%s\" by=%s key=%s", wish->name, wish->path, x->id,
               x->tenant->grant.name);
    int rc = admin->load(admin->arg, wish, loaded, w, &err);
    if (rc == 0)
        return;
    x->wait = NULL;
    mem_free(w);
    problem_from(&p, rc, rc == -TRIT_EINVAL ? "name" : NULL, &err);
    exchange_problem(x, &p);
}

void admin_load(struct exchange *x)
{
    const char *text = x->body.data ? x->body.data : "";
    struct server_wish wish = {0};
    struct trit_error err;
    struct problem p;
    cJSON *body = NULL;
    if (!may(x))
        return;
    int rc = json_parse(text, x->body.len, &body, &err);
    if (rc)
        problem_from(&p, rc, NULL, &err);
    else
        rc = fields_read(&table, 1, body, text, x->body.len, &wish, NULL, &x->ignored, &p);
    if (rc)
        exchange_problem(x, &p);
    else
        begin(x, &wish);
    cJSON_Delete(body);
}

/* ------------------------------------------------------------------ taking out */

void admin_unload(struct exchange *x)
{
    struct server *s = x->s;
    struct json_out o = {.buf = &x->out};
    struct trit_error err;
    struct problem p;
    if (!may(x))
        return;
    log_notice("model-unload name=\"%s\" by=%s key=%s", x->rest, x->id, x->tenant->grant.name);
    int rc = s->opt.admin.unload(s->opt.admin.arg, x->rest, &err);
    if (rc) {
        problem_from(&p, rc, NULL, &err);
        if (rc == -TRIT_ENOENT)
            p.code = "model_not_found";
        if (rc == -TRIT_EINVAL)
            p.status = 409;
        exchange_problem(x, &p);
        return;
    }
    json_open(&o, '{');
    json_key(&o, "id");
    json_str(&o, x->rest);
    json_key(&o, "object");
    json_str(&o, "tritd.model");
    json_key(&o, "deleted");
    json_bool(&o, true);
    json_close(&o, '}');
    exchange_whole(x, 200, "application/json");
}
