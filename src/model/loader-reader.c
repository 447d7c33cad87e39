/* SPDX-License-Identifier: MIT */
/*
 * loader-reader.c - a reader: it parses the files of one model, tries what is made of them, packs.
 *
 * The readers of formats run here as they run anywhere, but for what they ask of the file system
 * (model/files.h), which goes to the daemon as notes, and for what they log.  Whatever goes wrong
 * between this process and the daemon ends it; the daemon knows what that means.
 *
 * Nothing is freed: the process is gone when the model is read.
 */
#include "config.h"
#include "model/loader-parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/chat.h"
#include "model/files.h"
#include "model/gguf-private.h"
#include "model/hf.h"
#include "model/load-parts.h"
#include "model/segment-file.h"
#include "model/tokenizer.h"

static struct {
    int socket;
    int given; /* the file that came with the wish to read it; -1: none */
    uint64_t given_bytes;
    bool planned;
    bool trying; /* the daemon will do the same, and log it */
    struct model_options opt;
    struct model m;
    struct gguf *g;
    struct weights_plan plan;
} self;

/* Where tests put a fault. */
#ifndef LOADER_FAULTS
static void loader_fault(const char *where, int socket, uint8_t *payload, size_t payload_bytes)
{
    (void)where, (void)socket, (void)payload, (void)payload_bytes;
}
#endif

static void say(const struct loader_note *note, int fd)
{
    if (!loader_send(self.socket, note, &fd, fd >= 0))
        _exit(1);
}

static void say_text(enum loader_kind kind, int code, const char *text)
{
    struct loader_note note = {.kind = kind, .code = code};
    snprintf(note.text, sizeof note.text, "%s", text);
    say(&note, -1);
}

static void hear(struct loader_note *note, int *fd)
{
    if (!loader_receive(self.socket, note, fd, 1))
        _exit(1);
}

static void say_done(int rc, const struct trit_error *err)
{
    if (rc)
        say_text(LOADER_FAILED, -rc, err->text);
    else
        say_text(LOADER_DONE, 0, "");
}

static void log_away(enum log_level level, bool progress, const char *line)
{
    if (progress)
        say_text(LOADER_PROGRESS, 0, line ? line : "");
    else if (!self.trying)
        say_text(LOADER_LOG, (int)level, line);
}

/* ------------------------------------------------------------------ the door */

/* A text that does not fit into a note is no name that we could have been given. */
static bool ask(enum loader_kind kind, const char *text, struct loader_note *answer, int *fd)
{
    *fd = -1;
    if (strlen(text) >= sizeof answer->text)
        return false;
    say_text(kind, 0, text);
    hear(answer, fd);
    return answer->kind == LOADER_ANSWER;
}

static int open_there(const char *path, int *fd, uint64_t *bytes, struct trit_error *err)
{
    struct loader_note answer;
    if (self.given >= 0) {
        *fd = self.given;
        *bytes = self.given_bytes;
        self.given = -1;
        return 0;
    }
    if (!ask(LOADER_OPEN, path, &answer, fd))
        return gguf_fail_at(path, err, TRIT_EIO, "cannot open: the name is too long");
    *bytes = answer.n[0];
    if (answer.code)
        return trit_fail(err, answer.code, "%s", answer.text);
    return 0;
}

static bool has_there(const char *folder, const char *name)
{
    struct loader_note answer;
    int fd;
    (void)folder;
    return ask(LOADER_HAS, name, &answer, &fd) && answer.n[0];
}

static bool has_suffix_there(const char *folder, const char *suffix)
{
    struct loader_note answer;
    int fd;
    (void)folder;
    return ask(LOADER_SUFFIX, suffix, &answer, &fd) && answer.n[0];
}

static char *real_there(const char *path)
{
    struct loader_note answer;
    int fd;
    (void)path;
    return ask(LOADER_REAL, "", &answer, &fd) && *answer.text ? mem_strdup(answer.text) : NULL;
}

static const struct files_door there = {open_there, has_there, has_suffix_there, real_there};

/* ------------------------------------------------------------------ what is asked */

/* The view in a memfd that nobody can change any more; *fd. */
static int write_view(int *fd, size_t *bytes, struct trit_error *err)
{
    *bytes = gguf_view_bytes(self.g);
    *fd = mem_memfd("tritd-model");
    if (*fd < 0 || ftruncate(*fd, (off_t)*bytes) != 0)
        return gguf_fail(self.g, err, TRIT_ENOMEM, "no memory for what was read");
    void *p = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (p == MAP_FAILED)
        return gguf_fail(self.g, err, TRIT_ENOMEM, "no memory for what was read");
    gguf_view_write(self.g, p);
    munmap(p, *bytes);
    if (fcntl(*fd, F_ADD_SEALS, SEGMENT_SEALS) != 0)
        return gguf_fail(self.g, err, TRIT_EIO, "cannot seal what was read");
    return 0;
}

/* There is no way back up. */
static void limit(int what, uint64_t most)
{
    struct rlimit r;
    if (getrlimit(what, &r) != 0)
        return;
    r.rlim_cur = MIN(most, r.rlim_max);
    r.rlim_max = MIN(most + 1, r.rlim_max); /* Of processor time, a second after SIGXCPU. */
    (void)setrlimit(what, &r);
}

static void read_model(const struct loader_note *wish, int given)
{
    struct trit_error err = {0};
    self.given = given;
    self.given_bytes = wish->n[3];
    struct loader_note done = {.kind = LOADER_DONE};
    int fd = -1;
    size_t bytes = 0;
    limit(RLIMIT_CPU, wish->n[1]);
    if (!TRIT_SANITIZED) /* They have terabytes of addresses of their own. */
        limit(RLIMIT_DATA, wish->n[2]);
    loader_fault("read", self.socket, NULL, 0);
    int rc = (wish->n[0] ? hf_open : gguf_open)(wish->text, &self.g, &err);
    self.trying = true;
    if (rc == 0)
        rc = write_view(&fd, &bytes, &err);
    if (rc) {
        say_done(rc, &err);
        return;
    }
    done.n[0] = bytes;
    loader_fault("view", self.socket, NULL, 0);
    say(&done, fd);
    close(fd);
}

static void try_plan(const struct loader_note *wish)
{
    struct trit_error err = {0};
    self.opt.layout = (enum layout_id)wish->n[0];
    self.opt.tables = (enum table_type)wish->n[1];
    struct reading reading;
    memcpy(&reading, wish->text, sizeof reading);
    if (reading.n_tiles > READING_TILES)
        _exit(1);
    loader_fault("plan", self.socket, NULL, 0);
    int rc = reading_apply(&reading, self.g, &err);
    if (rc == 0)
        rc = hparams_read(self.g, &self.m, &err);
    if (rc == 0)
        rc = weights_plan(self.g, &self.opt, &self.m, &self.plan, &err);
    if (rc == 0)
        rc = load_check_order(&reading, self.g, &err);
    self.planned = rc == 0;
    say_done(rc, &err);
}

static void try_text(const struct loader_note *wish)
{
    struct trit_error err = {0};
    loader_fault("text", self.socket, NULL, 0);
    int rc = tok_open(self.g, self.m.hp.vocab, &self.m.tok, &err);
    if (rc == 0 && wish->n[0])
        rc = chat_open(self.g, self.m.tok, NULL, &self.m.chat, &err);
    say_done(rc, &err);
}

static void pack(const struct loader_note *wish, int fd)
{
    struct trit_error err = {0};
    struct segment seg;
    int rc = 0;
    loader_fault("pack", self.socket, NULL, 0);
    if (fd < 0 || wish->n[1] != self.plan.payload_bytes || wish->n[0] < wish->n[1])
        rc = gguf_fail(self.g, &err, TRIT_EFORMAT,
                       "the weights take %zu bytes to one reader and %llu to another",
                       self.plan.payload_bytes, (unsigned long long)wish->n[1]);
    if (rc == 0)
        rc = segment_borrow(fd, wish->n[0], &seg, &err);
    if (rc == 0)
        rc = weights_pack(self.g, &self.plan, &self.m, NULL, seg.payload, &err);
    if (rc == 0)
        loader_fault("packed", self.socket, seg.payload, seg.payload_bytes);
    say_done(rc, &err);
}

void loader_reader(int socket, void (*enter)(void))
{
    self.socket = socket;
    limit(RLIMIT_CORE, 0);
    team_limit_cpus(team_usable_cpus()); /* What it asks the machine for cannot be read later. */
    log_divert(log_away);
    files_set_door(&there);
    if (enter)
        enter();
    for (;;) {
        struct loader_note wish;
        int fd;
        if (!loader_receive(socket, &wish, &fd, 1))
            _exit(0);
        if (wish.kind == LOADER_READ && !self.g)
            read_model(&wish, fd);
        else if (wish.kind == LOADER_PLAN && self.g && !self.planned)
            try_plan(&wish);
        else if (wish.kind == LOADER_TEXT && self.planned)
            try_text(&wish);
        else if (wish.kind == LOADER_PACK && self.planned)
            pack(&wish, fd);
        else
            _exit(1);
    }
}
