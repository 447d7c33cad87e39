/* SPDX-License-Identifier: MIT */
/*
 * job-admit.c - a job at the door: may it come in, in which order, until when; and what it is told
 * when it may not.
 *
 * What needs no knowledge of HTTP or of the engine is in admit.c.
 */
#include "config.h"
#include "server/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/hmac.h>

#include "base/base.h"
#include "engine/engine.h"
#include "engine/seq.h"
#include "engine/stats.h"

/* ------------------------------------------------------------------ refusals */

static const enum metrics_rejected reasons[N_VERDICTS] = {
    [ADMIT_QUEUE_REQUESTS] = REJECTED_QUEUE_REQUESTS,
    [ADMIT_QUEUE_TOKENS] = REJECTED_QUEUE_TOKENS,
    [ADMIT_CONCURRENCY] = REJECTED_CONCURRENCY,
    [ADMIT_RATE_REQUESTS] = REJECTED_RATE_REQUESTS,
    [ADMIT_RATE_TOKENS] = REJECTED_RATE_TOKENS,
    [ADMIT_TOO_LARGE] = REJECTED_RATE_TOKENS,
    [ADMIT_DEADLINE] = REJECTED_DEADLINE,
    [ADMIT_LATE] = REJECTED_LATE,
};

static uint64_t waiting_tokens(const struct served *m)
{
    return atomic_load(&engine_stats(m->opt.engine)->waiting_tokens);
}

/* Count a refusal by admit.c and put it into words.  Returns negative. */
static int refuse(struct server *s, const struct served *m, struct tenant *t,
                  enum admit_verdict verdict, double wait, struct problem *p)
{
    const struct admit_grant *g = &t->grant;
    s->metrics.rejected[reasons[verdict]]++;
    t->n_refused++;
    switch (verdict) {
    case ADMIT_QUEUE_REQUESTS:
        problem_set(p, TRIT_EBUSY, NULL, "no room in the queue: %u requests are ahead",
                    s->admit.queue[m->queue].held);
        break;
    case ADMIT_QUEUE_TOKENS:
        problem_set(p, TRIT_EBUSY, NULL, "the queue is full: it holds %llu prompt tokens",
                    (unsigned long long)waiting_tokens(m));
        break;
    case ADMIT_CONCURRENCY:
        problem_set(p, TRIT_ELIMIT, NULL,
                    "the key %s has %u requests in progress, which is its limit", g->name,
                    g->concurrency);
        break;
    case ADMIT_RATE_REQUESTS:
        problem_set(p, TRIT_ELIMIT, NULL, "the key %s is limited to %u requests a minute", g->name,
                    g->requests);
        break;
    case ADMIT_RATE_TOKENS:
        problem_set(p, TRIT_ELIMIT, NULL,
                    "the key %s is limited to %u tokens a minute; a request counts with its prompt "
                    "and max_tokens until it is over",
                    g->name, g->tokens);
        break;
    case ADMIT_TOO_LARGE:
        problem_set(p, TRIT_ELIMIT, NULL,
                    "prompt and max_tokens together are more than the %u tokens a minute of the "
                    "key %s",
                    g->tokens, g->name);
        p->final = true;
        break;
    case ADMIT_LATE:
        problem_set(p, TRIT_EBUSY, NULL,
                    "the first token is expected %.3g s later than the %.3g s that it may take",
                    wait, s->opt.limits.first_seconds);
        break;
    default:
        trit_unreachable("verdict");
    }
    p->wait = wait;
    return -TRIT_ELIMIT;
}

static int refuse_late(struct job *j, double expected, double left, struct problem *p)
{
    j->s->metrics.rejected[REJECTED_DEADLINE]++;
    j->tenant->n_refused++;
    problem_set(p, TRIT_ELATE, NULL,
                "the answer is expected in %.3g s, but the deadline is in %.3g s", expected,
                fmax(left, 0));
    p->wait = expected - left;
    return -TRIT_ELATE;
}

/* ------------------------------------------------------------------ who, how soon, until when */

static double number_of(const char *text)
{
    char *end;
    if (!text || *text < '0' || *text > '9')
        return NAN;
    double v = strtod(text, &end);
    return isfinite(v) && *end == '\0' ? v : NAN;
}

/*
 * The earliest of what is said about it.  How long an SDK will wait for the answer is its own
 * affair, so a value there that makes no sense is passed over; for a stream it means something
 * else, the time between events.
 */
static int read_deadline(struct job *j, struct problem *p)
{
    static const char ours[] = "x-tritd-deadline-ms";
    static const char *const sdks[] = {"x-stainless-read-timeout", "x-stainless-timeout"};
    struct MHD_Connection *mhd = j->x->mhd;
    double seconds = j->params.timeout > 0 ? j->params.timeout : INFINITY;
    const char *text = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, ours);
    if (text) {
        double ms = number_of(text);
        if (!(ms > 0 && ms <= PARAMS_TIMEOUT * 1e3))
            return problem_set(p, TRIT_EINVAL, ours, "%s: expected milliseconds, above 0 to %d000",
                               ours, PARAMS_TIMEOUT);
        seconds = fmin(seconds, ms * 1e-3);
    }
    for (size_t i = 0; i < ARRAY_LEN(sdks) && !j->params.stream; i++) {
        double v = number_of(MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, sdks[i]));
        if (v > 0)
            seconds = fmin(seconds, v);
    }
    j->deadline = j->t_start + seconds;
    return 0;
}

/* Tenants share no cached prompts, nor do salts of one tenant.  Keyed, so that nobody can look for
 * a salt that collides with somebody else's. */
static uint64_t salt_of(const struct job *j)
{
    struct hmac_sha256_ctx ctx;
    const char *name = admit_tenant(&j->tenant->grant), *salt = j->params.cache_salt;
    uint64_t v;
    hmac_sha256_set_key(&ctx, sizeof j->m->secret, j->m->secret);
    hmac_sha256_update(&ctx, strlen(name) + 1, (const uint8_t *)name);
    if (salt)
        hmac_sha256_update(&ctx, strlen(salt), (const uint8_t *)salt);
    hmac_sha256_digest(&ctx, sizeof v, (uint8_t *)&v);
    return v;
}

static const char *tier_of(enum seq_priority p)
{
    static const char *const tiers[SEQ_PRIORITIES] = {
        [SEQ_HIGH] = "priority", [SEQ_NORMAL] = "default", [SEQ_LOW] = "flex"};
    return tiers[p];
}

/* ------------------------------------------------------------------ the door */

static enum admit_verdict look(struct server *s, const struct served *m, struct tenant *t,
                               double *wait)
{
    enum admit_verdict v =
        admit_look(&s->admit, m->queue, t, waiting_tokens(m), trit_now(), wait);
    if (v != ADMIT_YES)
        return v;
    /* It is not known yet how soon it is to be: as soon as this tenant may ask for. */
    struct engine_claim own = admit_claim(&s->admit, m->queue, t, t->grant.highest, NULL);
    struct engine_estimate e = engine_estimate(m->opt.engine, &own, 0, 0);
    return admit_first(&s->admit, m->queue, &e, s->opt.limits.first_seconds, wait);
}

/* Which model it is for is not known yet either: one that would take it is enough. */
bool job_refuse_early(struct exchange *x)
{
    struct server *s = x->s;
    struct problem p;
    double wait = 0;
    enum admit_verdict v = ADMIT_YES;
    const struct served *last = NULL;
    for (const struct served *m = s->models.first; m; m = m->next) {
        v = look(s, m, x->tenant, &wait);
        if (v == ADMIT_YES)
            return false;
        last = m;
    }
    if (!last)
        return false;
    refuse(s, last, x->tenant, v, wait, &p);
    exchange_problem(x, &p);
    return true;
}

int job_ask(struct job *j, uint64_t sequences, struct problem *p)
{
    struct server *s = j->s;
    uint64_t room = admit_largest(&s->admit, j->m->queue);
    double wait, now = trit_now();
    if (sequences > room)
        return problem_set(p, TRIT_EINVAL, j->params.best_of > j->params.n ? "best_of" : "n",
                           "the request asks for %llu answers, this server takes at most %llu at "
                           "a time",
                           (unsigned long long)sequences, (unsigned long long)room);
    int rc = read_deadline(j, p);
    if (rc)
        return rc;
    /* The highest is the smallest. */
    j->priority = MAX(j->params.priority, j->tenant->grant.highest);
    j->salt = salt_of(j);
    j->head.service_tier = j->params.endpoint & FOR_CONVERSATION ? tier_of(j->priority) : NULL;
    enum admit_verdict v = admit_ask(&s->admit, j->m->queue, j->tenant, (uint32_t)sequences,
                                     j->priority, waiting_tokens(j->m), now, &j->ticket, &wait);
    if (v != ADMIT_YES)
        return refuse(s, j->m, j->tenant, v, wait, p);
    struct engine_claim own =
        admit_claim(&s->admit, j->m->queue, j->tenant, j->priority, &j->ticket);
    struct engine_estimate e = engine_estimate(j->m->opt.engine, &own, 0, 0);
    if (e.start > j->deadline - now)
        return refuse_late(j, e.start, j->deadline - now, p);
    v = admit_first(&s->admit, j->m->queue, &e, s->opt.limits.first_seconds, &wait);
    if (v != ADMIT_YES)
        return refuse(s, j->m, j->tenant, v, wait, p);
    server_ring_by(s, j->deadline);
    return 0;
}

int job_charge(struct job *j, const uint32_t *max_new, struct problem *p)
{
    struct server *s = j->s;
    uint64_t prompt = 0, cost = 0;
    uint32_t longest = 0, tries = params_tries(&j->params);
    double wait, now = trit_now();
    for (size_t i = 0; i < j->n_prompts; i++) {
        prompt += (uint64_t)tries * j->prompt[i].ids.n;
        cost += j->prompt[i].ids.n;
        if (max_new) {
            cost += (uint64_t)tries * max_new[i];
            longest = MAX(longest, max_new[i]);
        }
    }
    if (j->params.endpoint == FOR_EMBEDDINGS)
        prompt = job_embed_waiting(j, prompt);
    agent_note(s, prompt);
    struct engine_claim own =
        admit_claim(&s->admit, j->m->queue, j->tenant, j->priority, &j->ticket);
    struct engine_estimate e = engine_estimate(
        j->m->opt.engine, &own, (uint32_t)MIN(j->prompt_tokens, UINT32_MAX), longest);
    if (admit_deadline(&e, j->deadline - now, &wait) != ADMIT_YES)
        return refuse_late(j, e.end, j->deadline - now, p);
    enum admit_verdict v =
        admit_first(&s->admit, j->m->queue, &e, s->opt.limits.first_seconds, &wait);
    if (v == ADMIT_YES)
        v = admit_charge(&s->admit, &j->ticket, prompt, cost, waiting_tokens(j->m), now, &wait);
    if (v != ADMIT_YES)
        return refuse(s, j->m, j->tenant, v, wait, p);
    admit_expect(&j->ticket, &e, now);
    return 0;
}

/* Tokens of the prompts that were read, or begun to be; the choices of one read it once. */
static uint64_t prompts_begun(const struct job *j)
{
    const struct job_prompt *counted = NULL;
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < j->n_choices; i++) {
        const struct choice *c = &j->choice[i];
        if (!c->begun || c->prompt == counted || !atomic_load(&c->seq->started))
            continue;
        counted = c->prompt;
        tokens += c->prompt->ids.n;
    }
    return tokens;
}

void job_settle(struct job *j)
{
    struct tenant *t = j->tenant;
    if (!j->ticket.tenant || j->state != JOB_FINISHED || j->in_pool || j->n_live)
        return;
    struct format_usage u;
    job_usage(j, &u);
    uint64_t prompt = prompts_begun(j);
    admit_end(&j->s->admit, &j->ticket, prompt + u.completion, prompt > 0, trit_now());
    if (prompt == 0)
        return;
    t->n_requests++;
    t->prompt_tokens += prompt;
    t->cached_tokens += u.cached;
    t->generated_tokens += u.completion;
    t->joules += fmax(0, u.joules);
    if (u.joules >= 0)
        metrics_joules(&j->s->metrics, u.joules);
}
