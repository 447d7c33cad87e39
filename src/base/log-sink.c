/* SPDX-License-Identifier: MIT */
/*
 * log-sink.c - the way out: a ring of entries and the one thread that writes them.
 *
 * The lock guards the ring and is held for a copy, never while something is written.  stderr may be
 * a pipe that nobody reads, a full disk or a stopped terminal: then the thread sleeps in write(2),
 * the ring fills, and what comes is counted instead of kept.  stderr is not made non-blocking,
 * because it is shared with whoever started us.
 *
 * Not here: files, rotation.  stderr belongs to whoever started us.
 */
#include "config.h"
#include "base/log-parts.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* What lines of requests leave to warnings and errors. */
enum { RESERVE = LOG_RING_BYTES / 8 };

struct head {
    uint32_t len;
    bool journal;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    char bytes[LOG_RING_BYTES];
    size_t first, used;
    atomic_bool running; /* written under the lock; also read without */
    bool stopping;
    uint64_t told; /* of the blocked, how many the log has been told */
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .filled = PTHREAD_COND_INITIALIZER,
          .emptied = PTHREAD_COND_INITIALIZER};

static pthread_t writer;
static int journal_fd = -1;
static struct sockaddr_un journal_address;
static atomic_uint_fast64_t n_blocked, n_failed;

/* ------------------------------------------------------------------ writing */

static bool write_all(const char *s, size_t len)
{
    while (len) {
        ssize_t n = write(STDERR_FILENO, s, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
            if (poll(&p, 1, ring.running ? -1 : 100) == 1)
                continue;
        }
        if (n <= 0)
            return false; /* There is nowhere left to complain. */
        s += n;
        len -= (size_t)n;
    }
    return true;
}

static void deliver(const char *entry, size_t len, bool journal)
{
    char line[LOG_ENTRY_BYTES];
    if (journal) {
        ssize_t n;
        do
            n = sendto(journal_fd, entry, len, MSG_NOSIGNAL,
                       (const struct sockaddr *)&journal_address, sizeof journal_address);
        while (n < 0 && errno == EINTR);
        if (n == (ssize_t)len)
            return;
        len = log_format_rescue(line, sizeof line, entry, len);
        entry = line;
    }
    if (!write_all(entry, len))
        atomic_fetch_add(&n_failed, 1);
}

bool log_sink_open_journal(const char *socket_path)
{
    const char *path = socket_path ? socket_path : JOURNAL_SOCKET;
    if (strlen(path) >= sizeof journal_address.sun_path || access(path, W_OK) != 0)
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    journal_address.sun_family = AF_UNIX;
    strcpy(journal_address.sun_path, path);
    journal_fd = fd;
    return true;
}

bool log_sink_has_journal(void)
{
    return journal_fd >= 0;
}

/* ------------------------------------------------------------------ the ring */

static void copy_in(const void *src, size_t len)
{
    size_t at = (ring.first + ring.used) % LOG_RING_BYTES, n = MIN(len, LOG_RING_BYTES - at);
    memcpy(ring.bytes + at, src, n);
    memcpy(ring.bytes, (const char *)src + n, len - n);
    ring.used += len;
}

static void copy_out(void *dst, size_t len)
{
    size_t n = MIN(len, LOG_RING_BYTES - ring.first);
    memcpy(dst, ring.bytes + ring.first, n);
    memcpy((char *)dst + n, ring.bytes, len - n);
    ring.first = (ring.first + len) % LOG_RING_BYTES;
    ring.used -= len;
}

void log_sink_put(const char *entry, size_t len, enum log_level level, bool journal)
{
    struct head head = {.len = (uint32_t)len, .journal = journal};
    trit_assert(len > 0 && len <= LOG_ENTRY_BYTES);
    pthread_mutex_lock(&ring.lock);
    bool queued = ring.running;
    if (queued) {
        size_t room = LOG_RING_BYTES - (level <= LOG_WARN ? 0 : RESERVE);
        if (ring.used + sizeof head + len > room) {
            atomic_fetch_add(&n_blocked, 1);
        } else {
            copy_in(&head, sizeof head);
            copy_in(entry, len);
            pthread_cond_signal(&ring.filled);
        }
    }
    pthread_mutex_unlock(&ring.lock);
    if (!queued)
        deliver(entry, len, journal);
}

static struct timespec in(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    double nanos = (double)t.tv_nsec + seconds * 1e9;
    t.tv_sec += (time_t)(nanos / 1e9);
    t.tv_nsec = (long)(nanos - 1e9 * (double)(time_t)(nanos / 1e9));
    return t;
}

/* After a jam: how many lines are missing here. */
static void tell_blocked(void)
{
    char entry[LOG_ENTRY_BYTES];
    bool journal;
    uint64_t n = atomic_load(&n_blocked) - ring.told;
    if (n == 0)
        return;
    ring.told += n;
    size_t len = log_lost_entry(entry, n, &journal);
    deliver(entry, len, journal);
}

static void *write_entries(void *arg)
{
    char entry[LOG_ENTRY_BYTES];
    (void)arg;
    pthread_mutex_lock(&ring.lock);
    for (;;) {
        struct timespec later = in(1);
        bool quiet = false;
        while (ring.used == 0 && !ring.stopping && !quiet)
            quiet = pthread_cond_timedwait(&ring.filled, &ring.lock, &later) == ETIMEDOUT;
        if (ring.used == 0 && ring.stopping)
            break;
        struct head head = {0};
        if (ring.used) {
            copy_out(&head, sizeof head);
            copy_out(entry, head.len);
        }
        bool last = ring.used == 0;
        pthread_mutex_unlock(&ring.lock);
        if (head.len)
            deliver(entry, head.len, head.journal);
        if (last)
            tell_blocked(); /* What was lost came after all that was kept. */
        log_tell_limited(false);
        pthread_mutex_lock(&ring.lock);
    }
    ring.running = false;
    pthread_cond_broadcast(&ring.emptied);
    pthread_mutex_unlock(&ring.lock);
    return NULL;
}

bool log_sink_start(void)
{
    sigset_t all, old;
    trit_assert(!ring.running);
    ring.running = true;
    ring.stopping = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ring.running = pthread_create(&writer, NULL, write_entries, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return ring.running;
}

void log_sink_stop(double seconds)
{
    struct timespec late = in(seconds);
    int rc = 0;
    pthread_mutex_lock(&ring.lock);
    bool was = ring.running;
    ring.stopping = true;
    pthread_cond_signal(&ring.filled);
    while (ring.running && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&ring.emptied, &ring.lock, &late);
    bool stuck = ring.running;
    pthread_mutex_unlock(&ring.lock);
    if (!was)
        return;
    if (stuck)
        pthread_detach(writer); /* It sleeps in write(2) and ends with the process. */
    else
        pthread_join(writer, NULL);
}

void log_sink_get(struct log_losses *losses)
{
    losses->blocked = atomic_load(&n_blocked);
    losses->failed = atomic_load(&n_failed);
}
