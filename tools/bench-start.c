/* SPDX-License-Identifier: MIT */
/*
 * bench-start.c - `trit-bench start`: how long a daemon takes to serve, what it holds, what it
 * burns.
 *
 * Each sample is a cold start, which packs the weights, and an attached one, which finds them; the
 * attached one is asked for its memory when idle, again after a load, and for its idle processor
 * time.
 */
#include "config.h"
#include "bench.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/base.h"
#include "base/team.h"
#include "daemon.h"
#include "load.h"
#include "proc.h"

enum { DAEMONS_MAX = 64 };
#define MIB (1024.0 * 1024.0)

struct memory_samples {
    struct bench_samples rss, weights, kv, beyond, files, heap, anonymous;
};

struct starts {
    struct bench_options o; /* how rows are shown */
    struct daemon_options daemon;
    struct daemon_home home;
    const char *shm_dir;
    double idle_seconds;
    uint32_t clients, daemons;
    bool uncache;

    struct bench_samples cold_ready, cold_token, warm_ready, warm_token, cached;
    struct bench_samples cpu_percent, cpu_ticks;
    struct memory_samples idle, loaded;
    struct bench_samples all_pss, all_beyond; /* of several daemons */
    double kv_bytes, weight_bytes, scratch_bytes, tokenizer_bytes;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

/* ------------------------------------------------------------------ measuring */

static void sample_memory(struct memory_samples *s, const struct proc_memory *m)
{
    bench_sample(&s->rss, (double)m->rss / MIB);
    bench_sample(&s->weights, (double)m->weights / MIB);
    bench_sample(&s->kv, (double)m->kv / MIB);
    bench_sample(&s->beyond, (double)(m->rss - m->weights - m->kv) / MIB);
    bench_sample(&s->files, (double)m->files / MIB);
    bench_sample(&s->heap, (double)m->heap / MIB);
    bench_sample(&s->anonymous, (double)m->anonymous / MIB);
}

/* What the daemon says of itself, needed to tell its memory apart. */
static int ask_sizes(struct starts *s, const struct daemon *d, struct trit_error *err)
{
    const struct {
        const char *name;
        double *to;
    } list[] = {
        {"tritd_memory_bytes{kind=\"kv\"}", &s->kv_bytes},
        {"tritd_memory_bytes{kind=\"weights_shared\"}", &s->weight_bytes},
        {"tritd_memory_bytes{kind=\"scratch\"}", &s->scratch_bytes},
        {"tritd_memory_bytes{kind=\"tokenizer\"}", &s->tokenizer_bytes},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(list); i++)
        rc = daemon_metric(d, list[i].name, list[i].to, err);
    return rc;
}

static int read_memory(const struct starts *s, const struct daemon *d, struct proc_memory *m,
                       struct trit_error *err)
{
    char segments[300];
    snprintf(segments, sizeof segments, "%s/tritd-", s->home.dir);
    return proc_memory(d->pid, segments, (uint64_t)s->kv_bytes, m, err);
}

/* Sixteen tokens of output to each of many prompts: enough to touch whatever is used when working.
 */
static int work(const struct starts *s, const struct daemon *d, struct trit_error *err)
{
    struct load_group group = {.name = "all", .clients = s->clients};
    struct load_options o = {
        .url = d->url,
        .group = &group,
        .n_groups = 1,
        .requests = s->clients,
        .timeout_seconds = 600,
        .top_p = -1,
        .work = {.prompt = {.from = 64, .to = 64},
                 .output = {.from = 16, .to = 16},
                 .words_per_token = 0.3, /* also the worst of tokenizers makes no more of it */
                 .seed = 1},
        .stop = &interrupted,
    };
    struct load_result r;
    int rc = load_run(&o, &r, err);
    if (rc == 0 && r.total.ends[LOAD_COMPLETED] != r.total.requests)
        rc = trit_fail(err, TRIT_EIO, "the load: %s", r.problem);
    load_result_close(&r);
    return rc;
}

static int measure_idle(struct starts *s, const struct daemon *d, struct trit_error *err)
{
    struct proc_cpu before, after;
    int rc = proc_cpu(d->pid, &before, err);
    double begin = trit_now(), left;
    while (rc == 0 && !interrupted && (left = begin + s->idle_seconds - trit_now()) > 0)
        poll(NULL, 0, (int)(MIN(left, 0.2) * 1e3) + 1);
    double seconds = trit_now() - begin;
    if (rc == 0)
        rc = proc_cpu(d->pid, &after, err);
    if (rc == 0) {
        bench_sample(&s->cpu_percent, 100 * (after.seconds - before.seconds) / seconds);
        bench_sample(&s->cpu_ticks, (double)(after.ticks - before.ticks));
    }
    return rc;
}

/* Start one, take the two times, and leave it running. */
static int start(struct starts *s, struct daemon *d, struct bench_samples *ready,
                 struct bench_samples *token, struct trit_error *err)
{
    int rc = daemon_start(&s->daemon, &s->home, d, err);
    if (rc == 0)
        rc = daemon_first_token(d, err);
    if (rc != 0)
        return rc;
    bench_sample(ready, (d->ready_at - d->exec_at) * 1e3);
    bench_sample(token, (trit_now() - d->exec_at) * 1e3);
    return 0;
}

static int measure_cold(struct starts *s, struct trit_error *err)
{
    struct daemon d = {0};
    double share;
    daemon_home_forget(&s->home);
    int rc = s->uncache ? proc_uncache(s->daemon.model, err) : 0;
    if (rc == 0)
        rc = proc_cached(s->daemon.model, &share, err);
    if (rc == 0) {
        bench_sample(&s->cached, 100 * share);
        rc = start(s, &d, &s->cold_ready, &s->cold_token, err);
    }
    daemon_stop(&d);
    return rc;
}

static int measure_attached(struct starts *s, struct trit_error *err)
{
    struct daemon d = {0};
    struct proc_memory m;
    int rc = start(s, &d, &s->warm_ready, &s->warm_token, err);
    if (rc == 0)
        rc = ask_sizes(s, &d, err);
    if (rc == 0)
        rc = read_memory(s, &d, &m, err);
    if (rc == 0)
        sample_memory(&s->idle, &m);
    if (rc == 0 && s->clients) {
        rc = work(s, &d, err);
        if (rc == 0)
            rc = read_memory(s, &d, &m, err);
        if (rc == 0)
            sample_memory(&s->loaded, &m);
    }
    if (rc == 0)
        rc = measure_idle(s, &d, err);
    daemon_stop(&d);
    return rc;
}

/* Several at once on one copy of the weights. */
static int measure_many(struct starts *s, struct trit_error *err)
{
    struct daemon d[DAEMONS_MAX] = {{0}};
    struct bench_samples unused = {0};
    double pss = 0, beyond = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < s->daemons; i++)
        rc = start(s, &d[i], &unused, &unused, err);
    for (uint32_t i = 0; rc == 0 && i < s->daemons; i++) {
        struct proc_memory m;
        rc = read_memory(s, &d[i], &m, err);
        if (rc == 0) {
            pss += (double)m.pss / MIB;
            beyond += (double)(m.rss - m.weights - m.kv) / MIB;
        }
    }
    if (rc == 0) {
        bench_sample(&s->all_pss, pss);
        bench_sample(&s->all_beyond, beyond);
    }
    for (uint32_t i = 0; i < s->daemons; i++)
        daemon_stop(&d[i]);
    return rc;
}

static int measure(struct starts *s, struct trit_error *err)
{
    int rc = daemon_home_open(s->shm_dir, &s->home, err);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; rc == 0 && i < s->o.repeat; i++) {
        rc = measure_cold(s, err);
        if (rc == 0)
            rc = measure_attached(s, err);
        if (rc == 0 && s->daemons > 1)
            rc = measure_many(s, err);
        if (rc == 0 && interrupted)
            rc = trit_fail(err, TRIT_ECANCELLED, "interrupted");
    }
    daemon_home_close(&s->home);
    return rc;
}

/* ------------------------------------------------------------------ showing */

static void show_memory(const struct starts *s, struct memory_samples *m, const char *when)
{
    char what[80], note[120];
    snprintf(what, sizeof what, "%s: resident memory", when);
    bench_row(&s->o, what, &m->rss, "MiB", NULL);
    snprintf(note, sizeof note, "of %.1f MiB", s->weight_bytes / MIB);
    bench_row(&s->o, "  shared weights", &m->weights, "MiB", note);
    snprintf(note, sizeof note, "of %.1f MiB", s->kv_bytes / MIB);
    bench_row(&s->o, "  KV pool", &m->kv, "MiB", note);
    bench_row(&s->o, "  beyond both", &m->beyond, "MiB", NULL);
    bench_row(&s->o, "    program and libraries", &m->files, "MiB", "shared with others as well");
    bench_row(&s->o, "    heap", &m->heap, "MiB", NULL);
    snprintf(note, sizeof note, "scratch may have %.1f, the tokenizer %.1f", s->scratch_bytes / MIB,
             s->tokenizer_bytes / MIB);
    bench_row(&s->o, "    other anonymous memory", &m->anonymous, "MiB", note);
}

static void show(struct starts *s)
{
    char what[80], note[120];
    bench_begin(&s->o, "start");
    snprintf(note, sizeof note, "page cache had %.0f %% of the file", bench_median(&s->cached));
    bench_row(&s->o, "cold: exec to readyz", &s->cold_ready, "ms", note);
    bench_row(&s->o, "cold: exec to the first token", &s->cold_token, "ms", NULL);
    bench_row(&s->o, "attached: exec to readyz", &s->warm_ready, "ms", NULL);
    bench_row(&s->o, "attached: exec to the first token", &s->warm_token, "ms", NULL);
    show_memory(s, &s->idle, "idle");
    if (s->clients) {
        snprintf(what, sizeof what, "after %u clients", s->clients);
        show_memory(s, &s->loaded, what);
    }
    snprintf(note, sizeof note, "%.0f ticks of %.0f ms in %.1f s", bench_median(&s->cpu_ticks),
             1e3 / (double)sysconf(_SC_CLK_TCK), s->idle_seconds);
    bench_row(&s->o, "idle processor time", &s->cpu_percent, "% of one", note);
    if (s->daemons > 1) {
        snprintf(what, sizeof what, "%u daemons: all, each page counted once", s->daemons);
        bench_row(&s->o, what, &s->all_pss, "MiB", NULL);
        snprintf(what, sizeof what, "%u daemons: beyond weights and KV, sum", s->daemons);
        bench_row(&s->o, what, &s->all_beyond, "MiB", NULL);
    }
    bench_end(&s->o);
}

/* ------------------------------------------------------------------ the command line */

static const char help[] =
    "trit-bench start measures the life of a daemon around its work: start, memory, idleness.\n"
    "\n"
    "Usage: trit-bench start FILE [OPTIONS] [-- OPTIONS OF TRITD]\n"
    "\n"
    "Starts tritd on a free port of 127.0.0.1, several times: cold, when it must pack the "
    "weights,\n"
    "and attached, when it finds them packed. Packed weights lie in a directory of this program's\n"
    "own and are removed at the end; those of running daemons are not touched.\n"
    "\n"
    "  --tritd PATH         the daemon (default: the one beside this program)\n"
    "  --repeat N           samples behind each median, 1 to 64 (default 3)\n"
    "  --uncache            before a cold start let the kernel forget the file, so that it is\n"
    "                       read from disk; either way it is said what the page cache had\n"
    "  --clients N          requests together before memory is read again; 0: none (default 32)\n"
    "  --idle-seconds S     how long to watch an idle daemon (default 5)\n"
    "  --daemons N          also N at once on one copy of the weights, 1 to 64 (default 1)\n"
    "  --shm-dir DIR        a tmpfs for the packed weights (default /dev/shm)\n"
    "  --json               one JSON object instead of a table\n"
    "  -h, --help           this text\n"
    "\n"
    "Examples:\n"
    "  trit-bench start model.gguf\n"
    "  trit-bench start model.gguf --uncache --repeat 1         as after a reboot\n"
    "  trit-bench start model.gguf --daemons 4 -- --kv-bytes 512M\n";

enum {
    OPT_TRITD = 256,
    OPT_REPEAT,
    OPT_UNCACHE,
    OPT_CLIENTS,
    OPT_IDLE,
    OPT_DAEMONS,
    OPT_SHM_DIR,
    OPT_JSON
};

static const struct option options[] = {
    {"tritd", required_argument, NULL, OPT_TRITD},
    {"repeat", required_argument, NULL, OPT_REPEAT},
    {"uncache", no_argument, NULL, OPT_UNCACHE},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"idle-seconds", required_argument, NULL, OPT_IDLE},
    {"daemons", required_argument, NULL, OPT_DAEMONS},
    {"shm-dir", required_argument, NULL, OPT_SHM_DIR},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool take_option(struct starts *s, int opt)
{
    unsigned long n = 0;
    switch (opt) {
    case OPT_TRITD:
        return s->daemon.tritd = optarg, true;
    case OPT_REPEAT:
        return bench_number("repeat", optarg, 1, 64, &n) && (s->o.repeat = (unsigned)n, true);
    case OPT_UNCACHE:
        return s->uncache = true;
    case OPT_CLIENTS:
        return bench_number("clients", optarg, 0, 1024, &n) && (s->clients = (uint32_t)n, true);
    case OPT_IDLE:
        return bench_real("idle-seconds", optarg, 0.1, 3600, &s->idle_seconds);
    case OPT_DAEMONS:
        return bench_number("daemons", optarg, 1, DAEMONS_MAX, &n) &&
               (s->daemons = (uint32_t)n, true);
    case OPT_SHM_DIR:
        return s->shm_dir = optarg, true;
    case OPT_JSON:
        return s->o.json = true;
    default:
        return false; /* getopt has said what is wrong. */
    }
}

/* The tritd of the same build or installation, else the one in $PATH. */
static void find_tritd(char *path, size_t cap)
{
    static const char *const places[] = {"tritd", "../sbin/tritd"};
    char self[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? (self[n] = '\0', strrchr(self, '/')) : NULL;
    for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
        int len = snprintf(path, cap, "%.*s/%s", (int)(slash - self), self, places[i]);
        if (len > 0 && (size_t)len < cap && access(path, X_OK) == 0)
            return;
    }
    snprintf(path, cap, "tritd");
}

int bench_start(int argc, char **argv)
{
    char tritd[1100];
    struct starts s = {
        .o = {.threads = team_usable_cpus(), .repeat = 3, .seed = 1},
        .daemon = {.tritd = tritd, .ready_seconds = 600, .stop = &interrupted},
        .shm_dir = "/dev/shm",
        .idle_seconds = 5,
        .clients = 32,
        .daemons = 1,
    };
    struct trit_error err;
    find_tritd(tritd, sizeof tritd);
    for (int opt; (opt = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (opt == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!take_option(&s, opt))
            return bench_usage("start");
    }
    if (optind >= argc) {
        fputs("trit-bench start: expected a model file\n", stderr);
        return bench_usage("start");
    }
    s.daemon.model = argv[optind];
    s.daemon.extra = &argv[optind + 1];
    signal(SIGPIPE, SIG_IGN);
    /* Whatever ends this, daemons and hundreds of megabytes of /dev/shm are not left behind. */
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &(struct sigaction){.sa_handler = on_interrupt}, NULL);
    if (measure(&s, &err) != 0) {
        fprintf(stderr, "trit-bench: %s\n", err.text);
        return 1;
    }
    show(&s);
    return 0;
}
