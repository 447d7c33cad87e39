/* SPDX-License-Identifier: MIT */
/*
 * loader-faults.h - what a reader of models may do wrong, at which place, and what the daemon says
 * then.
 *
 * The places are those at which loader-reader.c, built with LOADER_FAULTS, calls loader_fault().
 */
#ifndef TRIT_LOADER_FAULTS_H
#define TRIT_LOADER_FAULTS_H

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/loader-parts.h"
#include "model/segment-file.h"
#include "unit/unit.h"

/* Of the model that is read. */
static char path[2048];

/* What a reader does at which place; in memory that it shares with us. */
static struct fault {
    char where[16];
    void (*act)(int socket);
    uint64_t seed;   /* of a payload; 0: it stays */
    unsigned one_in; /* of its bytes is a random one */
    bool had[16], opened[16]; /* by act_ask_around */
} * fault;

static void act_segv(int socket)
{
    (void)socket;
    raise(SIGSEGV);
}

static void act_assert(int socket)
{
    (void)socket;
    if (!freopen("/dev/null", "w", stderr))
        close(STDERR_FILENO);
    abort();
}

static void act_exit(int socket)
{
    (void)socket;
    _exit(0);
}

static void act_kill(int socket)
{
    (void)socket;
    raise(SIGKILL);
}

/* By the one call that a sandbox cannot take away. */
static void act_sleep(int socket)
{
    sem_t never;
    (void)socket;
    sem_init(&never, 0, 0);
    for (;;)
        sem_wait(&never);
}

static void act_spin(int socket)
{
    (void)socket;
    for (volatile unsigned i = 0;; i++)
        ;
}

/* All memory there is; status 9 when it is refused. */
static void act_hoard(int socket)
{
    (void)socket;
    for (int i = 0; i < 1 << 14; i++) {
        char *p = malloc(1 << 20);
        if (!p)
            _exit(9);
        memset(p, 1, 1 << 20);
    }
    _exit(0);
}

/* Close the line and stay. */
static void act_hang_up(int socket)
{
    close(socket);
    act_sleep(socket);
}

static void lie(int socket, const struct loader_note *note, int fd)
{
    (void)!loader_send(socket, note, &fd, fd >= 0);
    act_sleep(socket);
}

static void act_no_view(int socket)
{
    lie(socket, &(struct loader_note){.kind = LOADER_DONE, .n = {4096}}, -1);
}

/* A memfd of `bytes`, sealed or not. */
static int memory(size_t bytes, bool sealed)
{
    int fd = mem_memfd("lie");
    (void)!ftruncate(fd, (off_t)bytes);
    (void)!write(fd, "TRITVUE\0\3\0\0\0\1\0\0\0\377\377\0\0\377\377\0\0", 24);
    if (sealed)
        (void)fcntl(fd, F_ADD_SEALS, SEGMENT_SEALS);
    return fd;
}

static void act_open_view(int socket)
{
    lie(socket, &(struct loader_note){.kind = LOADER_DONE, .n = {4096}}, memory(4096, false));
}

static void act_empty_view(int socket)
{
    lie(socket, &(struct loader_note){.kind = LOADER_DONE, .n = {4096}}, memory(4096, true));
}

static void act_long_view(int socket)
{
    lie(socket, &(struct loader_note){.kind = LOADER_DONE, .n = {1 << 20}}, memory(4096, true));
}

static void act_no_kind(int socket)
{
    lie(socket, &(struct loader_note){.kind = 77}, memory(4096, true));
}

/* A failure without a reason, of a code that there is not. */
static void act_no_code(int socket)
{
    struct loader_note note = {.kind = LOADER_FAILED, .code = 1 << 30};
    memset(note.text, 'x', sizeof note.text);
    lie(socket, &note, -1);
}

static void act_short(int socket)
{
    (void)!write(socket, "no note", 7);
    act_sleep(socket);
}

/* Asks and does not listen. */
static void act_flood(int socket)
{
    for (;;)
        if (!loader_send(socket, &(struct loader_note){.kind = LOADER_REAL}, NULL, 0))
            _exit(0);
}

/* Has always something to say and never an end, at next to no processor time. */
static void act_chatter(int socket)
{
    sem_t never;
    sem_init(&never, 0, 0);
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec = (until.tv_nsec + 20000000) % 1000000000;
        until.tv_sec += until.tv_nsec < 20000000;
        (void)sem_timedwait(&never, &until);
        if (!loader_send(socket, &(struct loader_note){.kind = LOADER_LOG, .code = LOG_DEBUG}, NULL,
                         0))
            _exit(0);
    }
}

/* Cut off whatever can be written to, which is the weights. */
static void act_cut(int socket)
{
    (void)socket;
    for (int fd = 4; fd < 64; fd++)
        (void)!ftruncate(fd, 0);
}

/* A file that is not the model's: what comes back shall not be one. */
static void ask_for(int socket, const char *name)
{
    struct loader_note note = {.kind = LOADER_OPEN};
    int fd;
    snprintf(note.text, sizeof note.text, "%s", name);
    if (!loader_send(socket, &note, NULL, 0) || !loader_receive(socket, &note, &fd, 1))
        _exit(1);
    _exit(fd >= 0 || note.code == 0 ? 0 : 12);
}

static void act_open_secret(int socket)
{
    ask_for(socket, "/etc/passwd");
}

/* The model's own file, which it has, again and again: as many descriptors of the daemon's. */
static void act_open_twice(int socket)
{
    ask_for(socket, path);
}

static void act_open_beside(int socket)
{
    char name[2200];
    snprintf(name, sizeof name, "%s/../secret", path);
    ask_for(socket, name);
}

/* Names below the model's folder, and whether they are for a reader. */
static const struct {
    const char *name;
    bool ours;
} asked[] = {
    {"config.json", true},
    {"1_Pooling/config.json", true},
    {"1_Pooling/other.json", false},
    {"1_Pooling/../config.json", false},
    {"1_Pooling/../../secret", false},
    {"1_Pooling//config.json", false},
    {"1_Pooling/", false},
    {"2_Dense/config.json", false},
    {"./config.json", false},
    {".hidden", false},
    {".", false},
    {"..", false},
    {"../secret", false},
    {"", false},
    {"/etc/passwd", false},
};

static bool ask_one(int socket, enum loader_kind kind, const char *text)
{
    struct loader_note note = {.kind = kind};
    int fd;
    snprintf(note.text, sizeof note.text, "%s", text);
    if (!loader_send(socket, &note, NULL, 0) || !loader_receive(socket, &note, &fd, 1))
        _exit(1);
    return kind == LOADER_HAS ? note.n[0] != 0 : fd >= 0;
}

static void act_ask_around(int socket)
{
    char name[2200];
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        snprintf(name, sizeof name, "%s/%s", path, asked[i].name);
        fault->had[i] = ask_one(socket, LOADER_HAS, asked[i].name);
        fault->opened[i] = ask_one(socket, LOADER_OPEN, name);
    }
    _exit(0);
}

void loader_fault(const char *where, int socket, uint8_t *payload, size_t payload_bytes)
{
    if (strcmp(where, fault->where) != 0)
        return;
    if (fault->act)
        fault->act(socket);
    for (size_t i = 0; fault->seed && i < payload_bytes; i++)
        if (unit_random(&fault->seed) % fault->one_in == 0)
            payload[i] = (uint8_t)(unit_random(&fault->seed) >> 32);
}

static const struct {
    const char *where;
    void (*act)(int socket);
    const char *words; /* of the error */
    bool unbounded;    /* a sanitizer's process has no bounds of memory */
} faults[] = {
    {"read", act_segv, "ended with signal 11", false},
    {"view", act_segv, "ended with signal 11", false},
    {"plan", act_segv, "ended with signal 11", false},
    {"text", act_segv, "ended with signal 11", false},
    {"pack", act_segv, "ended with signal 11", false},
    {"packed", act_segv, "ended with signal 11", false},
    {"read", act_assert, "ended with signal 6", false},
    {"text", act_assert, "ended with signal 6", false},
    {"read", act_exit, "ended with status 0", false},
    {"pack", act_exit, "ended with status 0", false},
    {"read", act_kill, "ended with signal 9", false},
    {"pack", act_kill, "ended with signal 9", false},
    {"read", act_sleep, "stood still for 3 s", false},
    {"pack", act_sleep, "stood still for 3 s", false},
    {"text", act_spin, "more than 1 s of processor time", false},
    {"read", act_hoard, "ended with status 9", true},
    {"view", act_no_view, "went astray", false},
    {"view", act_open_view, "went astray", false},
    {"view", act_long_view, "went astray", false},
    {"view", act_empty_view, "no valid head", false},
    {"view", act_no_kind, "went astray", false},
    {"view", act_no_code, "xxxx", false},
    {"view", act_short, "does not end", false},
    {"view", act_hang_up, "does not end", false},
    {"read", act_flood, "", false},
    {"read", act_chatter, "takes too long", false},
    {"packed", act_cut, "cut its weights short", false},
    {"read", act_open_secret, "ended with status 12", false},
    {"read", act_open_beside, "ended with status 12", false},
    {"read", act_open_twice, "ended with status 12", false},
};

#endif
