/* SPDX-License-Identifier: MIT */
/*
 * load.c - one thread, one epoll set: curl's sockets, idle and stuck connections, arrivals.
 *
 * curl_multi_socket_action costs what is ready and not what is open, so thousands of connections
 * are measured as truly as four.
 *
 * Not here: what requests ask for (work.c), connections without a request (hold.c), the report.
 */
#include "config.h"
#include "load.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/slice.h"

#define HELD_MARK ((uint64_t)1 << 32) /* in epoll's data: not a socket of curl's */
enum { CALIBRATION_WORDS = 128, OWN_FILES = 64 };

struct flight {
    struct request request;
    struct run *run;
    uint32_t group;
    bool active, error_event;
    double due;         /* trit_now() when it should have been sent */
    double first, last; /* events; 0: none yet */
    double retry_at;    /* closed loop, after a refusal: not before */
    uint64_t events;
    double prompt_tokens, answer_tokens; /* by usage; answer negative: not told */
};

struct run {
    const struct load_options *o;
    struct load_result *r;
    CURLM *multi;
    struct hold *hold;
    int epoll_fd;
    double curl_at; /* when curl wants to be called; INFINITY: never */
    double begin;
    double next_arrival, next_tick;
    uint64_t random; /* of arrivals */
    uint64_t started, n_active;
    uint64_t next_index[LOAD_GROUPS_MAX];
    struct flight *flight;
    uint32_t n_flights;
    uint32_t *idle_flight; /* stack of those that are free */
    uint32_t n_idle;
};

/* ------------------------------------------------------------------ one request */

static bool on_event(const cJSON *event, void *arg)
{
    struct flight *f = arg;
    struct load_tally *total = &f->run->r->total, *group = &f->run->r->group[f->group];
    const char *message = error_message(event);
    if (message) {
        f->error_event = true;
        if (!*f->run->r->problem)
            snprintf(f->run->r->problem, sizeof f->run->r->problem, "%s", message);
        return false;
    }
    const cJSON *choice = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(event, "choices"), 0);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(choice, "text"));
    if (text && *text) {
        double now = trit_now();
        if (f->events++ == 0) {
            f->first = now;
            samples_add(&total->first, now - f->due);
            samples_add(&group->first, now - f->due);
        } else {
            samples_add(&total->gaps, now - f->last);
            samples_add(&group->gaps, now - f->last);
        }
        f->last = now;
    }
    const cJSON *usage = cJSON_GetObjectItemCaseSensitive(event, "usage");
    f->prompt_tokens = number_at(usage, "prompt_tokens", f->prompt_tokens);
    f->answer_tokens = number_at(usage, "completion_tokens", f->answer_tokens);
    return true;
}

/* The body of the next request of a group, or NULL. */
static cJSON *make_body(struct run *run, uint32_t group)
{
    const struct load_options *o = run->o;
    struct buf prompt = {0};
    uint32_t max_tokens;
    uint64_t index = run->next_index[group]++;
    work_item(&o->work, group, index, &prompt, &max_tokens);
    char *text = buf_take(&prompt, NULL);
    cJSON *body = cJSON_CreateObject(), *wants;
    bool whole = text && body && cJSON_AddStringToObject(body, "prompt", text) &&
                 cJSON_AddNumberToObject(body, "max_tokens", max_tokens) &&
                 /* Lengths make the work; servers that do not know the field ignore it. */
                 cJSON_AddBoolToObject(body, "ignore_eos", true) &&
                 cJSON_AddNumberToObject(body, "seed", (double)(index % (1 << 30))) &&
                 cJSON_AddBoolToObject(body, "stream", true) &&
                 (wants = cJSON_AddObjectToObject(body, "stream_options")) &&
                 cJSON_AddBoolToObject(wants, "include_usage", true);
    if (o->model)
        whole = whole && cJSON_AddStringToObject(body, "model", o->model);
    if (o->temperature >= 0)
        whole = whole && cJSON_AddNumberToObject(body, "temperature", o->temperature);
    if (o->top_p >= 0)
        whole = whole && cJSON_AddNumberToObject(body, "top_p", o->top_p);
    mem_free(text);
    if (whole)
        return body;
    cJSON_Delete(body);
    return NULL;
}

/* Send the next request of a group in a free flight.  false: no memory. */
static bool launch(struct run *run, struct flight *f, uint32_t group, double due)
{
    const struct load_options *o = run->o;
    struct server_address server = {.url = o->url, .key = o->group[group].key};
    *f = (struct flight){
        .run = run, .group = group, .due = due, .active = true, .answer_tokens = -1};
    cJSON *body = make_body(run, group);
    bool ok = body && request_open(&f->request, &server, "/v1/completions", body, on_event, f);
    cJSON_Delete(body);
    if (!ok)
        return false;
    curl_easy_setopt(f->request.easy, CURLOPT_TIMEOUT_MS, (long)(o->timeout_seconds * 1e3));
    curl_easy_setopt(f->request.easy, CURLOPT_BUFFERSIZE, 8192L); /* there may be thousands */
    curl_easy_setopt(f->request.easy, CURLOPT_PRIVATE, f);
    if (curl_multi_add_handle(run->multi, f->request.easy) != CURLM_OK)
        return false;
    run->started++;
    run->n_active++;
    return true;
}

/* How it ended.  curl tells what happened to the connection, the flight what to the stream. */
static enum load_end end_of(const struct flight *f, CURLcode code, long status)
{
    const struct request *r = &f->request;
    if (f->error_event)
        return LOAD_ERROR_EVENT;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return LOAD_GIVEN_UP;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return LOAD_TIMEOUT;
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return LOAD_CONNECT;
    if (r->stopped || (code == CURLE_OK && status == 200 && !r->streams))
        return LOAD_UNREADABLE;
    if (code != CURLE_OK)
        return LOAD_BROKEN;
    return status != 200 ? LOAD_REFUSED : r->done ? LOAD_COMPLETED : LOAD_CUT;
}

static void land(struct run *run, struct flight *f, CURLcode code)
{
    char text[sizeof run->r->problem];
    long status = 0;
    curl_off_t retry_after = 0; /* curl has 0 for none; nobody sends a 0 that means something */
    double now = trit_now(), first = (f->events ? f->first : now) - f->due;
    curl_easy_getinfo(f->request.easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(f->request.easy, CURLINFO_RETRY_AFTER, &retry_after);
    const char *problem = request_problem(&f->request, code, text, sizeof text);
    if (problem && !*run->r->problem)
        snprintf(run->r->problem, sizeof run->r->problem, "%s", problem);
    struct load_outcome end = {
        .end = end_of(f, code, status),
        .status = status,
        .retry_after = retry_after > 0,
        .seconds = now - f->due,
        .in_time = run->o->first_within == 0 || first <= run->o->first_within,
        .talking_seconds = f->last - f->first,
        .events = f->events,
        .prompt_tokens = f->prompt_tokens,
        .answer_tokens = f->answer_tokens,
    };
    load_tally_add(&run->r->total, &end);
    load_tally_add(&run->r->group[f->group], &end);
    curl_multi_remove_handle(run->multi, f->request.easy);
    request_close(&f->request);
    f->active = false;
    /* Also after a failure: a server that cannot be reached is not asked in a busy loop. */
    f->retry_at = end.end == LOAD_COMPLETED ? 0
                  : retry_after > 0         ? now + (double)retry_after
                                            : now + LOAD_RETRY_SECONDS;
    run->idle_flight[run->n_idle++] = (uint32_t)(f - run->flight);
    run->n_active--;
    run->r->seconds = now - run->begin;
}

/* ------------------------------------------------------------------ when requests begin */

static bool may_start(const struct run *run, double now)
{
    const struct load_options *o = run->o;
    return !*o->stop && (!o->requests || run->started + run->r->total.unsent < o->requests) &&
           (o->seconds == 0 || now - run->begin < o->seconds);
}

/* Clients that are free and need not wait send their next request; *wake: when one need not any
 * more. */
static bool start_clients(struct run *run, double now, double *wake)
{
    for (uint32_t i = run->n_idle; i > 0 && may_start(run, now); i--) {
        uint32_t number = run->idle_flight[i - 1];
        struct flight *f = &run->flight[number];
        if (f->retry_at > now) {
            *wake = MIN(*wake, f->retry_at);
            continue;
        }
        run->idle_flight[i - 1] = run->idle_flight[--run->n_idle];
        if (!launch(run, f, f->group, now))
            return false;
    }
    return true;
}

/* The group of an arrival, in proportion to its clients. */
static uint32_t draw_group(struct run *run)
{
    double all = 0, at;
    for (size_t g = 0; g < run->o->n_groups; g++)
        all += run->o->group[g].clients;
    at = work_fraction(&run->random) * all;
    for (uint32_t g = 0; g + 1 < run->o->n_groups; g++) {
        at -= run->o->group[g].clients;
        if (at < 0)
            return g;
    }
    return (uint32_t)run->o->n_groups - 1;
}

static bool start_arrivals(struct run *run, double now, double *wake)
{
    while (run->next_arrival <= now && may_start(run, now)) {
        double due = run->next_arrival;
        uint32_t group = draw_group(run);
        run->next_arrival += -log(1 - work_fraction(&run->random)) / run->o->rate;
        if (run->n_idle == 0) {
            run->r->total.unsent++;
            run->r->group[group].unsent++;
        } else if (!launch(run, &run->flight[run->idle_flight[--run->n_idle]], group, due)) {
            return false;
        }
    }
    if (may_start(run, now))
        *wake = MIN(*wake, run->next_arrival);
    return true;
}

/* ------------------------------------------------------------------ sockets and time */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct run *run = arg;
    struct epoll_event want = {.data.u64 = (uint64_t)fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(run->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    want.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                  (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (epoll_ctl(run->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &want) != 0)
        return -1;
    curl_multi_assign(run->multi, fd, run); /* any pointer: it is in the set */
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct run *run = arg;
    (void)multi;
    run->curl_at = ms < 0 ? INFINITY : trit_now() + (double)ms * 1e-3;
    return 0;
}

/* Wait for sockets until `wake`, to the microsecond, which epoll_wait alone cannot. */
static bool serve_sockets(struct run *run, double wake)
{
    struct epoll_event event[256];
    struct pollfd set = {.fd = run->epoll_fd, .events = POLLIN};
    int running;
    double wait = MAX(MIN(wake, run->curl_at) - trit_now(), 0.0);
    struct timespec ts = {.tv_sec = (time_t)wait, .tv_nsec = (long)((wait - floor(wait)) * 1e9)};
    if (ppoll(&set, 1, &ts, NULL) < 0 && errno != EINTR)
        return false;
    int n = epoll_wait(run->epoll_fd, event, (int)ARRAY_LEN(event), 0);
    for (int i = 0; i < n; i++) {
        if (event[i].data.u64 & HELD_MARK) {
            hold_event(run->hold, (uint32_t)event[i].data.u64, event[i].events);
            continue;
        }
        int what = (event[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (event[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (event[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        if (curl_multi_socket_action(run->multi, (curl_socket_t)event[i].data.u64, what,
                                     &running) != CURLM_OK)
            return false;
    }
    if (trit_now() >= run->curl_at) {
        run->curl_at = INFINITY;
        if (curl_multi_socket_action(run->multi, CURL_SOCKET_TIMEOUT, 0, &running) != CURLM_OK)
            return false;
    }
    return true;
}

static void land_all(struct run *run)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(run->multi, &left));) {
        struct flight *f = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
        if (m->msg == CURLMSG_DONE)
            land(run, f, code);
    }
}

static void tick(struct run *run, double now)
{
    if (run->hold && now >= run->next_tick) {
        hold_tick(run->hold);
        run->next_tick = now + 1;
    }
}

/* Let the connections that are only there come to rest.  false: an interface failed. */
static bool settle(struct run *run)
{
    double end = trit_now() + run->o->settle_seconds;
    for (double now; (now = trit_now()) < end && !*run->o->stop;) {
        tick(run, now);
        if (!serve_sockets(run, MIN(end, now + 0.2)))
            return false;
    }
    return true;
}

/* Until nothing may begin and nothing is under way.  false: out of memory, or an interface failed.
 */
static bool fly(struct run *run)
{
    for (;;) {
        double now = trit_now(), wake = now + 0.2; /* for the signal that came before the wait */
        bool started =
            run->o->rate > 0 ? start_arrivals(run, now, &wake) : start_clients(run, now, &wake);
        if (!started)
            return false;
        if (run->n_active == 0 && !may_start(run, now))
            return true;
        if (*run->o->stop) {
            for (uint32_t i = 0; i < run->n_flights; i++)
                if (run->flight[i].active)
                    land(run, &run->flight[i], CURLE_ABORTED_BY_CALLBACK);
            continue;
        }
        tick(run, now);
        if (!serve_sockets(run, wake))
            return false;
        land_all(run);
    }
}

/* ------------------------------------------------------------------ a run */

/* A raw request as hold.h wants it.  NULL: no memory. */
static char *wire_request(const struct load_options *o, const char *what, const char *body)
{
    struct buf text = {0};
    buf_addf(&text, "%s HTTP/1.1\r\nHost: localhost\r\n", what);
    if (o->group[0].key)
        buf_addf(&text, "Authorization: Bearer %s\r\n", o->group[0].key);
    if (body)
        buf_addf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    buf_addf(&text, "\r\n%s", body ? body : "");
    return buf_take(&text, NULL);
}

static int open_held(struct run *run, struct trit_error *err)
{
    const struct load_options *o = run->o;
    uint32_t n = o->idle + o->stuck;
    int rc = n ? hold_open(o->url, n, run->epoll_fd, HELD_MARK, &run->hold, err) : 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        cJSON *body = i < o->idle ? NULL : make_body(run, 0);
        char *json = body ? cJSON_PrintUnformatted(body) : NULL;
        char *request = i < o->idle ? wire_request(o, "GET /v1/models", NULL)
                        : json      ? wire_request(o, "POST /v1/completions", json)
                                    : NULL;
        cJSON_free(json);
        cJSON_Delete(body);
        if (request)
            hold_add(run->hold, i < o->idle ? HOLD_IDLE : HOLD_STUCK, request);
        else
            rc = trit_fail(err, TRIT_ENOMEM, "no memory for %u connections", n);
    }
    return rc;
}

/* As many descriptors as there may be connections. */
static int allow_files(const struct load_options *o, uint32_t flights, struct trit_error *err)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)flights + o->idle + o->stuck + OWN_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
        return 0;
    limit.rlim_cur = need;
    limit.rlim_max = MAX(limit.rlim_max, need);
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return 0;
    return trit_fail(err, TRIT_EINVAL,
                     "%llu open files are needed and not allowed; try: ulimit -n %llu",
                     (unsigned long long)need, (unsigned long long)need);
}

static int open_run(struct run *run, struct trit_error *err)
{
    const struct load_options *o = run->o;
    uint32_t clients = 0;
    for (size_t g = 0; g < o->n_groups; g++)
        clients += o->group[g].clients;
    run->n_flights = o->rate > 0 ? o->in_flight_max : clients;
    int rc = allow_files(o, run->n_flights, err);
    if (rc != 0)
        return rc;
    run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    run->multi = curl_multi_init();
    run->flight = mem_zalloc(run->n_flights, sizeof *run->flight);
    run->idle_flight = mem_zalloc(run->n_flights, sizeof *run->idle_flight);
    run->r->group = mem_zalloc(o->n_groups, sizeof *run->r->group);
    if (run->epoll_fd < 0 || !run->multi || !run->flight || !run->idle_flight || !run->r->group)
        return trit_fail(err, TRIT_ENOMEM, "no memory for %u clients", run->n_flights);
    run->r->n_groups = o->n_groups;
    /* A client is a flight that stays with its group; arrivals choose theirs. */
    for (uint32_t g = 0, i = 0, end = 0; o->rate == 0 && g < o->n_groups; g++)
        for (end += o->group[g].clients; i < end; i++)
            run->flight[i].group = g;
    while (run->n_idle < run->n_flights) {
        run->idle_flight[run->n_idle] = run->n_idle;
        run->n_idle++;
    }
    curl_multi_setopt(run->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(run->multi, CURLMOPT_SOCKETDATA, run);
    curl_multi_setopt(run->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(run->multi, CURLMOPT_TIMERDATA, run);
    curl_multi_setopt(run->multi, CURLMOPT_MAXCONNECTS, (long)run->n_flights);
    return open_held(run, err);
}

static void close_run(struct run *run)
{
    for (uint32_t i = 0; run->flight && i < run->n_flights; i++)
        if (run->flight[i].active) {
            curl_multi_remove_handle(run->multi, run->flight[i].request.easy);
            request_close(&run->flight[i].request);
        }
    curl_multi_cleanup(run->multi);
    hold_close(&run->hold);
    if (run->epoll_fd >= 0)
        close(run->epoll_fd);
    mem_free(run->flight);
    mem_free(run->idle_flight);
}

int load_run(const struct load_options *o, struct load_result *r, struct trit_error *err)
{
    trit_assert(o->n_groups >= 1 && o->n_groups <= LOAD_GROUPS_MAX);
    trit_assert(o->requests || o->seconds > 0);
    *r = (struct load_result){0};
    slice_short(); /* or its times are those of waiting behind whoever fills the processors */
    struct run run = {.o = o, .r = r, .epoll_fd = -1, .curl_at = INFINITY, .random = ~o->work.seed};
    int rc = open_run(&run, err);
    if (rc == 0) {
        bool settled = settle(&run);
        run.begin = run.next_arrival = run.next_tick = trit_now();
        if (!settled || !fly(&run))
            rc = trit_fail(err, TRIT_ENOMEM, "the load could not be run to its end: no memory");
        for (int kind = 0; run.hold && kind < N_HOLD_KINDS; kind++)
            hold_tally(run.hold, (enum hold_kind)kind, &r->held[kind]);
    }
    close_run(&run);
    return rc;
}

void load_result_close(struct load_result *r)
{
    load_tally_fini(&r->total);
    for (size_t g = 0; g < r->n_groups; g++)
        load_tally_fini(&r->group[g]);
    mem_free(r->group);
    *r = (struct load_result){0};
}

int load_calibrate(const struct load_options *o, struct load_calibration *c, struct trit_error *err)
{
    struct server_address server = {.url = o->url, .key = o->group[0].key};
    struct buf prompt = {0};
    struct request r = {0};
    char why[600];
    int rc = 0;
    *c = (struct load_calibration){.words_per_token = 1};
    work_words(o->work.seed, CALIBRATION_WORDS, &prompt);
    char *text = buf_take(&prompt, NULL);
    cJSON *body = cJSON_CreateObject(), *answer = NULL;
    bool whole = text && body && cJSON_AddStringToObject(body, "prompt", text) &&
                 cJSON_AddNumberToObject(body, "max_tokens", 1) &&
                 (!o->model || cJSON_AddStringToObject(body, "model", o->model)) &&
                 request_open(&r, &server, "/v1/completions", body, NULL, NULL);
    if (!whole) {
        rc = trit_fail(err, TRIT_ENOMEM, "no memory for a request");
        goto out;
    }
    /* A time-out that is chosen to be too short for a request is not for this one. */
    curl_easy_setopt(r.easy, CURLOPT_TIMEOUT_MS, (long)(MAX(o->timeout_seconds, 60.0) * 1e3));
    const char *problem = request_run(&r, o->stop, 0, why, sizeof why);
    if (problem) {
        rc = trit_fail(err, TRIT_EIO, "%s", problem);
        goto out;
    }
    answer = cJSON_ParseWithLength(r.answer.data ? r.answer.data : "", r.answer.len);
    const cJSON *usage = cJSON_GetObjectItemCaseSensitive(answer, "usage");
    c->prompt_tokens = number_at(usage, "prompt_tokens", 0);
    c->generated_tokens = number_at(usage, "completion_tokens", 0);
    c->told = c->prompt_tokens >= 1;
    if (c->told)
        c->words_per_token = CALIBRATION_WORDS / c->prompt_tokens;
out:
    request_close(&r);
    cJSON_Delete(answer);
    cJSON_Delete(body);
    mem_free(text);
    return rc;
}
