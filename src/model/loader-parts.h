/* SPDX-License-Identifier: MIT */
/*
 * loader-parts.h - what the bodies of model/loader.h share, and what load.c asks of them.
 *
 *     loader.c         the daemon's side: the loader process, and a reader for each model
 *     loader-talk.c    the daemon's talk with a reader: it asks, answers and judges
 *     loader-host.c    the loader process
 *     loader-reader.c  a reader
 *
 * They talk in notes of one size over socket pairs that keep their bounds.  None believes a note: a
 * text ends where its bytes do, a number is looked at before it is used.
 */
#ifndef TRIT_LOADER_PARTS_H
#define TRIT_LOADER_PARTS_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/loader.h"
#include "model/reading.h"

struct gguf;
struct gguf_view_file;
struct loader;
struct model_options;
struct segment;
struct trit_error;

/* ------------------------------------------------------------------ for load.c */

/*
 * What hf_open_any does, by a reader, which stays for the two that follow.  Gives *l (loader_close)
 * and *g; on failure neither.
 */
int loader_open(const char *path, const struct model_options *opt, struct loader **l,
                struct gguf **g, struct trit_error *err);

/* Let the reader match tensors and graph; make tokenizer and chat format and throw them away: what
 * does it harm does the daemon none. */
int loader_try_plan(struct loader *l, struct trit_error *err);
int loader_try_text(struct loader *l, struct trit_error *err);

/* Let it pack the weights into a writable segment.  It is gone when this returns. */
int loader_pack(struct loader *l, const struct segment *seg, size_t weight_bytes,
                struct trit_error *err);

/* NULL is allowed; what still reads is killed. */
void loader_close(struct loader **l);

/* ------------------------------------------------------------------ notes */

enum loader_kind {
    /* daemon to loader process, with the reader's end and that on which its end is told */
    LOADER_FORK = 1,
    LOADER_TWIN, /* to fork a loader process like itself, with that one's socket */
    /* daemon to reader */
    LOADER_READ,   /* text: the path; n: folder or not, seconds and bytes that it may use, bytes
                    * of the file, with it, where it is open already */
    LOADER_PLAN,   /* n: enum layout_id, enum table_type; text: the bytes of a struct reading */
    LOADER_ANSWER, /* to an OPEN and so on; code, text, n: bytes; with the file */
    LOADER_TEXT,   /* n: with the file's chat template or not */
    LOADER_PACK,   /* n: bytes of payload; with the segment */
    /* reader to daemon */
    LOADER_OPEN,     /* text: a path */
    LOADER_HAS,      /* text: a file of the folder */
    LOADER_SUFFIX,   /* text */
    LOADER_REAL,     /* of the model's own path */
    LOADER_LOG,      /* a line; code: enum log_level */
    LOADER_PROGRESS, /* a line */
    LOADER_DONE,     /* what was asked; to READ with the view, n: its bytes */
    LOADER_FAILED,   /* code, text: why not */
};

struct loader_note {
    uint32_t kind;
    int32_t code;
    uint64_t n[4];
    char text[PATH_MAX + 512];
};

_Static_assert(sizeof(struct reading) < PATH_MAX + 512, "a note has room for a reading");

/* Send with a descriptor (-1: none), which stays the caller's.  false: nobody listens. */
bool loader_send(int socket, const struct loader_note *note, const int *fds, size_t n_fds);

/* Wait for the next; *fds receives up to n_fds descriptors, -1 where there is none.  Others are
 * closed.  false: the other end is gone, or what came is no note. */
bool loader_receive(int socket, struct loader_note *note, int *fds, size_t n_fds);

/* ------------------------------------------------------------------ the daemon's side */

enum {
    LOADER_FILES_MOST = 1100, /* of one model: shards and a few more; there may be room for fewer */
};

/* A model that is being read. */
struct loader {
    char *path; /* of the model */
    const struct model_options *opt;
    const struct loader_options *limits;
    int talk;   /* with the reader */
    int status; /* its end; closing it kills the reader.  -1: it has ended */
    struct gguf_view_file *files;
    size_t n_files;
    bool sent;     /* the last wish */
    bool orphaned; /* the loader process has ended before it told of the reader's end */
    unsigned lines;
    unsigned cpu_seconds; /* that the reader may use */
    double deadline;
    double answered; /* when it was last done; what we take from then on is not its time */
};

/* Open a file that reading this model may ask for: l->files[l->n_files - 1] from then on.  err may
 * be NULL. */
int loader_open_for(struct loader *l, const char *path, uint64_t *bytes, struct trit_error *err);

/* Answer and wait until the reader is done with what it was asked; *fd as in loader_receive.
 * Errors: its own, or that it has ended or is too slow. */
int loader_hear(struct loader *l, struct loader_note *done, int *fd, struct trit_error *err);

/* Map the view that the reader has written to fd, which it cannot change any more.  It takes the
 * files over. */
int loader_take_view(struct loader *l, int fd, uint64_t bytes, struct gguf **g,
                     struct trit_error *err);

/* Fail because the loader process has ended. */
int loader_no_host(const struct loader *l, struct trit_error *err);

/* ------------------------------------------------------------------ the processes */

/* The loader process; returns when the daemon's end of the socket is closed. */
void loader_host(int socket, const struct loader_options *options);

/* A reader, which has no descriptor but this one and stderr.  It enters the sandbox by `enter`
 * (NULL: there is none) before it hears of a file. */
_Noreturn void loader_reader(int socket, void (*enter)(void));

#ifdef LOADER_FAULTS
/* For tests, which compile the reader anew: called at each step of it, with the weights behind the
 * last. */
void loader_fault(const char *where, int socket, uint8_t *payload, size_t payload_bytes);
#endif

#endif
