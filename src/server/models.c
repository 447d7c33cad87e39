/* SPDX-License-Identifier: MIT */
/*
 * models.c - a list of a few, counted references, and one callback at the end.
 */
#include "config.h"
#include "server/models.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/model.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "server/admit.h"
#include "server/names.h"

_Static_assert(ADMIT_QUEUES <= 32, "a bit for each");

/* ------------------------------------------------------------------ templates */

static struct models_chat *new_chat(struct chat *chat, bool own)
{
    struct models_chat *c = mem_zalloc(1, sizeof *c);
    if (c)
        *c = (struct models_chat){.chat = chat, .own = own, .refs = 1};
    return c;
}

void models_let_go_chat(struct models_chat *c)
{
    if (!c || --c->refs)
        return;
    if (c->own)
        chat_close(&c->chat);
    mem_free(c);
}

struct models_chat *models_hold_chat(struct served *m)
{
    m->chat->refs++;
    return m->chat;
}

int models_set_chat(struct served *m, struct chat *chat)
{
    struct models_chat *c = new_chat(chat, true);
    if (!c)
        return -TRIT_ENOMEM;
    models_let_go_chat(m->chat);
    m->chat = c;
    return 0;
}

/* ------------------------------------------------------------------ the table */

static uint64_t work_of(const struct served *m)
{
    const struct engine_stats *st = m->opt.engine ? engine_stats(m->opt.engine) : NULL;
    return st ? atomic_load(&st->prompt_tokens) + atomic_load(&st->generated_tokens) : 0;
}

uint64_t models_work(const struct models *all)
{
    uint64_t work = all->past_work;
    for (const struct served *m = all->first; m; m = m->next)
        work += work_of(m);
    for (const struct served *m = all->ending; m; m = m->next)
        work += work_of(m);
    return work;
}

static void free_served(struct served *m)
{
    grammars_fini(&m->grammars);
    models_let_go_chat(m->chat);
    mem_free(m->alias);
    mem_free(m->path);
    mem_free(m);
}

/* A lowest number that no model has; negative: all are taken. */
static int free_queue(const struct models *all)
{
    for (int i = 0; i < ADMIT_QUEUES; i++)
        if (!(all->queues & 1u << i))
            return i;
    return -1;
}

static int check_room(const struct models *all, const char *name, const struct served *replaces,
                      struct trit_error *err)
{
    for (const struct served *m = all->first; m; m = m->next)
        if (m != replaces && strcmp(m->name, name) == 0)
            return trit_fail(err, TRIT_EINVAL,
                             "two models would be called \"%.100s\": give one another name", name);
    if (all->n >= SERVER_MODELS && !replaces)
        return trit_fail(err, TRIT_EBUSY, "there are %d models already, the most there can be",
                         SERVER_MODELS);
    if (free_queue(all) < 0)
        return trit_fail(
            err, TRIT_EBUSY,
            "too many models that were taken out are still serving their last requests");
    return 0;
}

/* Take it off a list that it is on. */
static void unlink_from(struct served **link, struct served *m)
{
    while (*link != m) {
        trit_assert(*link);
        link = &(*link)->next;
    }
    *link = m->next;
}

/* It is off the table, and goes with the last who holds it. */
static void end(struct models *all, struct served *m)
{
    all->n--;
    m->next = all->ending;
    all->ending = m;
    models_let_go(all, m);
}

int models_add(struct models *all, const struct server_model *opt, struct served *replaces,
               struct served **out, struct trit_error *err)
{
    const char *name = opt->alias ? opt->alias : opt->model->name;
    *out = NULL;
    int rc = check_room(all, name, replaces, err);
    if (rc)
        return rc;
    struct served *m = mem_zalloc(1, sizeof *m);
    if (m) {
        m->alias = opt->alias ? mem_strdup(opt->alias) : NULL;
        m->path = mem_strdup(opt->path ? opt->path : "");
        m->chat = new_chat(opt->model->chat, false);
    }
    if (!m || (opt->alias && !m->alias) || !m->path || !m->chat) {
        if (m)
            free_served(m);
        return trit_fail(err, TRIT_ENOMEM, "no memory for a model");
    }
    m->opt = *opt;
    m->opt.alias = m->alias;
    m->opt.path = m->path;
    m->name = m->alias ? m->alias : opt->model->name;
    m->created = time(NULL);
    m->queue = (unsigned)free_queue(all);
    m->refs = 1;
    names_random_bytes(m->secret, sizeof m->secret);
    all->queues |= 1u << m->queue;

    struct served **link = &all->first;
    while (*link && *link != replaces)
        link = &(*link)->next;
    m->next = replaces ? replaces->next : NULL;
    *link = m;
    all->n++;
    if (replaces)
        end(all, replaces);
    *out = m;
    return 0;
}

void models_remove(struct models *all, struct served *m)
{
    unlink_from(&all->first, m);
    end(all, m);
}

bool models_is(const struct served *m, const char *name)
{
    return strcmp(name, m->name) == 0 || strcmp(name, m->opt.model->name) == 0;
}

bool models_may_ask(const struct served *m, const void *arg)
{
    const struct tenant *t = arg;
    char list[ADMIT_MODELS], *rest = NULL;
    memcpy(list, t->grant.models, sizeof list);
    bool may = !*list;
    for (char *name = strtok_r(list, ",", &rest); name && !may; name = strtok_r(NULL, ",", &rest))
        may = models_is(m, name);
    return may;
}

struct served *models_find(const struct models *all, const char *name)
{
    for (struct served *m = all->first; m; m = m->next)
        if (strcmp(name, m->name) == 0)
            return m;
    for (struct served *m = all->first; m; m = m->next)
        if (strcmp(name, m->opt.model->name) == 0)
            return m;
    return NULL;
}

struct served *models_hold(struct served *m)
{
    m->refs++;
    return m;
}

void models_let_go(struct models *all, struct served *m)
{
    if (!m || --m->refs)
        return;
    void (*gone)(void *arg) = m->opt.gone;
    void *arg = m->opt.arg;
    unlink_from(&all->ending, m);
    all->past_work += work_of(m);
    all->queues &= ~(1u << m->queue);
    free_served(m);
    if (gone)
        gone(arg);
}

void models_close(struct models *all)
{
    struct served *lists[] = {all->first, all->ending};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (struct served *m = lists[i]; m; m = m->next) {
            m->opt.engine = NULL;
            m->opt.model = NULL;
            m->opt.gone = NULL;
        }
}

void models_fini(struct models *all)
{
    while (all->first)
        models_remove(all, all->first);
    trit_assert(!all->ending);
}

void models_list(const struct models *all, bool (*may)(const struct served *m, const void *arg),
                 const void *arg, char *dst, size_t cap)
{
    size_t used = 0;
    dst[0] = '\0';
    for (const struct served *m = all->first; m; m = m->next) {
        size_t len = strlen(m->name) + 2;
        if (!may(m, arg))
            continue;
        if (used + len + sizeof ", ..." > cap) {
            snprintf(dst + used, cap - used, "%s...", used ? ", " : "");
            return;
        }
        used += (size_t)snprintf(dst + used, cap - used, "%s%s", used ? ", " : "", m->name);
    }
}
