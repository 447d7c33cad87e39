/* SPDX-License-Identifier: MIT */
/*
 * engine-run.h - an engine for tests, with the test's thread as the receiver of its events.
 */
#ifndef TRIT_ENGINE_RUN_H
#define TRIT_ENGINE_RUN_H

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "model/model.h"
#include "kernels/kernels.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/seq.h"

struct run {
    struct engine *engine;
    struct mailbox events;
    sem_t bell;
    unsigned open; /* submitted sequences without an end yet; counted by the test */
};

static inline void run_ring(void *arg)
{
    sem_post(&((struct run *)arg)->bell);
}

static inline void run_event(struct seq *s, void *arg)
{
    struct run *r = arg;
    if (s->end != SEQ_RUNNING)
        r->open--;
}

static inline void run_path(const char *file, char *path, size_t cap)
{
    const char *srcdir = getenv("srcdir");
    snprintf(path, cap, "%s/tests/golden/models/%s", srcdir ? srcdir : ".", file);
}

#define RUN_MODEL "b158.tq1_0.gguf"

/* A small model of the golden tests, for the best kernels there are; exits when it cannot be had.
 */
static inline struct model *run_load_file(const char *file, const struct kernels **k)
{
    char path[2048];
    struct model *m;
    struct trit_error err;
    log_open(LOG_WARN, 0);
    *k = kernels_pick(kernels_cpu_detect());
    run_path(file, path, sizeof path);
    struct model_options o = {.layout = (*k)->layout, .tables = TABLE_TERNARY};
    if (model_load(path, &o, &m, &err) != 0) {
        printf("cannot load the model: %s\n", err.text);
        exit(99);
    }
    return m;
}

static inline struct model *run_load(const struct kernels **k)
{
    return run_load_file(RUN_MODEL, k);
}

/* Small and generous; tests change what they are about. */
static inline struct engine_options run_options(const struct model *m, const struct kernels *k)
{
    return (struct engine_options){.model = m,
                                   .kernels = k,
                                   .threads = 2,
                                   .kv_type = KV_F16,
                                   .kv_bytes = 64 * kv_page_bytes(m, KV_F16),
                                   .n_ctx = 512,
                                   .max_batch = 8,
                                   .step_tokens = 64,
                                   .queue_requests = 64,
                                   .queue_tokens = 1 << 20};
}

static inline void run_open(struct run *r, const struct engine_options *options)
{
    struct trit_error err;
    struct engine_options o = *options;
    *r = (struct run){0};
    sem_init(&r->bell, 0, 0);
    mailbox_init(&r->events, run_ring, r);
    o.events = &r->events;
    if (engine_open(&o, &r->engine, &err) != 0) {
        printf("cannot open the engine: %s\n", err.text);
        exit(99);
    }
}

/* Sleep until the engine has something to say, then listen to all of it. */
static inline void run_listen(struct run *r)
{
    while (sem_wait(&r->bell) != 0 && errno == EINTR)
        ;
    engine_events(&r->events, run_event, r);
}

/* Until every sequence has ended. */
static inline void run_wait(struct run *r)
{
    while (r->open)
        run_listen(r);
}

static inline void run_close(struct run *r)
{
    engine_close(&r->engine);
    engine_events(&r->events, run_event, r);
    mailbox_fini(&r->events);
    sem_destroy(&r->bell);
}

#endif
