/* SPDX-License-Identifier: MIT */
/*
 * segment.h - packed weights in shared memory: built once, attached by every later process.
 *
 * A segment is a file in /dev/shm named tritd-<uid>-<key>, where the key digests what it was made
 * from: the content of the model's files and how they are read, the layout, the table type and the
 * version of this format.
 * It begins with a header (magic, version, state, key, sizes, source file identity, the checksum of
 * every chunk), followed by the payload: weights, as model/weights.c arranges them, and behind them
 * the tokenizer's tables (model/tokenizer-tables.c).
 *
 * Life: built under the name <final>.building with an exclusive flock held, every page allocated
 * first so that a full /dev/shm is an error and not SIGBUS; filled; checksummed; made read-only;
 * used, to see that it is of use; renamed.  So a name without .building is always whole, and has
 * proved itself to the process that built it.  A .building file whose lock can be taken
 * belongs to a dead process and is removed by the next who looks.  Attached processes hold a shared
 * lock, and one on a byte of their own far behind the end, which is how they are counted.
 *
 * Private segments (--no-shared) are sealed memfds: no name, no writer, gone with the process,
 * unless somebody keeps the descriptor, as systemd's fd store does: then the next process adopts
 * them.
 */
#ifndef TRIT_SEGMENT_H
#define TRIT_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trit_error;

enum { SEGMENT_KEY_BYTES = 16, SEGMENT_DIGEST_BYTES = 32 };

/* What a segment is made from. */
struct segment_source {
    uint8_t digest[SEGMENT_DIGEST_BYTES]; /* of the content of its file, or files */
    uint64_t dev, inode, size;            /* and the identity, for finding a segment */
    int64_t mtime_ns, ctime_ns;           /* again without reading the file */
    uint32_t layout;                      /* enum layout_id */
    uint32_t tables;                      /* enum table_type, of embedding and head */
    uint64_t reading;                     /* gguf_reading_sum: what the files do not tell */
};

/* Of an attached one that is compared with its checksums little by little. */
struct segment_proof {
    size_t n;            /* chunks */
    size_t least;        /* the end of those that a token reads least of; see segment_prove_ahead */
    atomic_bool damaged; /* one was not what it should be */
    uint8_t done[];      /* [n] */
};

struct segment {
    int fd;         /* what is mapped; read-only once it is sealed */
    int builder_fd; /* where it is sealed and unnamed: holds the builder's lock */
    bool shared;
    bool attached;   /* somebody else had built it */
    bool adopted;    /* and it is the memfd that segment_adopt was given */
    bool writable;   /* between segment_create and segment_seal */
    bool unnamed;    /* between segment_create and segment_publish, where it is shared */
    bool huge_asked; /* madvise(MADV_HUGEPAGE) was accepted */
    bool locked;     /* mlock succeeded */
    char name[64];   /* file name, "" when private */
    struct segment_source source;
    uint8_t *map; /* the whole mapping */
    size_t map_bytes;
    uint8_t *payload; /* page-aligned */
    size_t payload_bytes;
    struct segment_proof *proof; /* NULL: it is whole, all of it */
};

/* Where segments live: /dev/shm, or another tmpfs for tests.  Call before anything else. */
void segment_set_dir(const char *dir);

/* A file that a model is read from; borrowed. */
struct segment_file {
    int fd;
    const char *path; /* for messages */
};

/*
 * Fill size, identity and, unless a segment of the same identity already knows it, the digest (read
 * through fd, SHA-256 over the SHA-256 of 16 MiB chunks).  Of several files the digest is that of
 * their digests in order, and the identity digests theirs.  layout, tables and reading are
 * the caller's.
 * kept: a memfd that segment_adopt will be given, which is asked too; -1: there is none.
 */
int segment_identify(const struct segment_file *files, size_t n, int kept,
                     struct segment_source *src, struct trit_error *err);

/* Whether segment_identify will find the digest without reading the files. */
bool segment_is_known(const struct segment_file *files, size_t n, int kept);

/* What is done about checksums of the payload.  Later: seg->proof is there, and nothing may be
 * given to anybody that was made from the payload before segment_prove has seen all chunks. */
enum segment_check { SEGMENT_NOW, SEGMENT_LATER };

/*
 * Attach to a finished segment of this source, verifying header and checksums.  -TRIT_ENOENT when
 * there is none (also when a damaged one was found: it is removed and the log says so).  Waits for
 * a living builder, unless *stop (NULL: never) becomes true: then -TRIT_ECANCELLED.
 */
int segment_attach(const struct segment_source *src, enum segment_check check,
                   const atomic_bool *stop, struct segment *seg, struct trit_error *err);

/*
 * Attach to a private segment that another process has left: sealed, of this source, every checksum
 * verified.  Takes fd.  -TRIT_ENOENT: it is not, it was closed, and the log says why.
 */
int segment_adopt(const struct segment_source *src, enum segment_check check, int fd,
                  struct segment *seg, struct trit_error *err);

/* Compare a chunk with its checksum, unless that was done; damage is noted in seg->proof.
 * Different threads, different chunks.  The chunks [*first, *end) are those that begin in the
 * payload's bytes [from, to). */
void segment_prove(const struct segment *seg, size_t chunk);
void segment_chunks_in(size_t from, size_t to, size_t *first, size_t *end);

/* The i-th of n chunks for who has time before the first token: of what that reads least first,
 * so that as little as can be is left of what it has to fetch for its proof alone. */
void segment_prove_ahead(const struct segment *seg, size_t i);

/* Take the name of a damaged one away, so that nobody attaches to it any more, unless it is that of
 * another by now; and close it. */
void segment_condemn(const struct segment *seg);
void segment_reject(struct segment *seg);

/*
 * Let another one, sealed and of as many bytes, lie where a damaged one does, for those who have
 * pointers into that.  The payload's bytes from `keep` on stay what they are, in memory of our own,
 * and may be read meanwhile.  *by is *seg then and holds nothing.  -TRIT_ENOMEM: what lies there is
 * still damaged.
 */
int segment_replace(struct segment *seg, struct segment *by, size_t keep, struct trit_error *err);

/* Make a writable segment for payload_bytes, zeroed.  Shared or private.  Clean error when the
 * memory is not to be had.  -TRIT_EBUSY when another process began to build it meanwhile: attach.
 */
int segment_create(const struct segment_source *src, size_t payload_bytes, bool shared,
                   struct segment *seg, struct trit_error *err);

/*
 * For another process that fills a writable segment: a descriptor to hand it, for the caller to
 * close, that does not share the builder's lock; -1 with *err.  And there: map it.  fd is taken
 * when it succeeds.  Nobody may have it mapped for writing when it is sealed.
 */
int segment_lend(const struct segment *seg, struct trit_error *err);
int segment_borrow(int fd, size_t payload_bytes, struct segment *seg, struct trit_error *err);

/* When that process is gone: whether all bytes are still there, which it could have cut off.  To
 * touch one that is not would be a signal. */
bool segment_is_whole(const struct segment *seg);

/* Checksum and seal against writing.  The mapping becomes read-only. */
int segment_seal(struct segment *seg, struct trit_error *err);

/* Give a sealed one its final name, under which others attach to it.  Nothing to do for a private
 * one, or for one that has it. */
int segment_publish(struct segment *seg, struct trit_error *err);

/* Ask for resident pages; what was obtained stands in seg->locked. */
void segment_lock_memory(struct segment *seg);

/* Bytes of the mapping that huge pages back right now, from /proc/self/smaps; 0 if unknown. */
size_t segment_huge_bytes(const struct segment *seg);

/* Processes that use it now, this one among them; a few system calls for each. */
unsigned segment_users(const struct segment *seg);

/* Unmap and close.  A shared segment that was not published is removed. */
void segment_close(struct segment *seg);

/* Listing for trit-model segments.  users counts processes attached now. */
struct segment_info {
    char name[80];
    size_t bytes;
    unsigned users;
    bool building;                /* under construction by a living process */
    bool stale;                   /* half-built leftover, or not readable by this version */
    struct segment_source source; /* what it was made from; zeros unless it is whole */
};
int segment_list(struct segment_info **list, size_t *n, struct trit_error *err); /* mem_free */

/* Remove by name; one in use stays alive for those who hold it.  -TRIT_ENOENT. */
int segment_remove(const char *name, struct trit_error *err);

/* Remove every half-built leftover of dead processes; how many. */
unsigned segment_clean(void);

#endif
