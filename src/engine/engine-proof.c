/* SPDX-License-Identifier: MIT */
/*
 * engine-proof.c - the first token: it shows that kernels, threads and pages work, and proves
 * weights that were attached to (model/model.h).
 *
 * Its own, computed before engine_open returns; or, where that would hold a client up, whatever
 * step is the first, and a dummy one only if none comes.  A step that has found its weights damaged
 * was none: its sequences wait again, and are computed from their beginnings when there are whole
 * ones.  What a predecessor has left in the cache goes with the weights.
 */
#include "config.h"
#include "engine/engine-parts.h"

#include "base/base.h"
#include "base/log.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "engine/forward.h"
#include "engine/sched.h"

static void ignore(struct seq *s, void *arg)
{
    (void)s;
    (void)arg;
}

static int damaged(const struct engine *e, struct trit_error *err)
{
    return trit_fail(err, TRIT_EFORMAT, "%s: the packed weights are damaged", e->opt.model->name);
}

int engine_warm_up(struct engine *e, struct trit_error *err)
{
    int32_t text[2] = {MAX(tok_bos(e->opt.model->tok), 0)};
    uint32_t page;
    struct seq probe = {.wish = {.prompt = text, .n_prompt = 1, .max_new = 1},
                        .lease = {.page = &page, .cap = 1},
                        .token = text + 1};
    probe.wish.sampler = (struct sampler_params){.top_p = 1, .repetition_penalty = 1};
    sched_add(e->sched, &probe);
    const struct sched_plan *p = sched_plan(e->sched, trit_now(), ignore, NULL);
    batch_fill(&e->batch, p);
    forward_prove(e->batch.forward);
    batch_run(&e->batch, p);
    sched_leave(e->sched, &probe, true);
    if (model_is_damaged(e->opt.model))
        return damaged(e, err);
    if (e->batch.slots[0].rc)
        return trit_fail(err, TRIT_EFORMAT,
                         "%s: the first token gives logits that are not finite: the weights or "
                         "scales are damaged",
                         e->opt.model->name);
    return 0;
}

/*
 * The proof has come out as e->proved.rc.  Weights outlive a process as its pages do: those that
 * are damaged were so, in all likelihood, when a predecessor computed the pages that he has left.
 */
static void tell(struct engine *e, const char *by)
{
    bool whole = e->proved.rc == 0;
    e->proof = whole ? PROOF_DONE : PROOF_FAILED;
    if (!whole) {
        sched_start_over(e->sched);
        engine_count_pages(e);
    }
    log_info("weights proved=%s by=%s", whole ? "yes" : "no", by);
    trit_assert(sem_post(&e->proved.told) == 0);
}

bool engine_begin_proof(struct engine *e)
{
    if (e->proof != PROOF_DUE)
        return false;
    forward_prove(e->batch.forward);
    return true;
}

bool engine_end_proof(struct engine *e)
{
    e->proved.rc = model_is_damaged(e->opt.model) ? damaged(e, &e->proved.err) : 0;
    tell(e, "request");
    return e->proof == PROOF_DONE;
}

double engine_prove_ahead(struct engine *e, double seconds)
{
    enum { RUN = 16 }; /* chunks between looks: a tenth of a millisecond */
    const struct model *m = e->opt.model;
    const size_t n = model_chunks(m);
    double start = trit_now(), now = start;
    int rung = 0;
    while (e->n_ahead < n && rung == 0 && now - start < seconds) {
        for (size_t end = MIN(e->n_ahead + RUN, n); e->n_ahead < end; e->n_ahead++)
            model_prove_ahead(m, e->n_ahead);
        trit_assert(sem_getvalue(&e->bell, &rung) == 0);
        now = trit_now();
    }
    return now - start;
}

void engine_prove_alone(struct engine *e)
{
    e->proved.rc = engine_warm_up(e, &e->proved.err);
    tell(e, "dummy");
}

void engine_look_mended(struct engine *e)
{
    if (!atomic_exchange(&e->mended, false))
        return;
    forward_renew(e->batch.forward);
    e->proof = PROOF_DUE; /* by use; there are no sums to compare any more */
}

void engine_give_up_proof(struct engine *e)
{
    if (e->proof != PROOF_DUE && !atomic_load(&e->mended))
        return;
    e->proved.rc = trit_fail(&e->proved.err, TRIT_ECANCELLED, "the engine was stopped");
    trit_assert(sem_post(&e->proved.told) == 0);
}
