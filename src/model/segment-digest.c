/* SPDX-License-Identifier: MIT */
/*
 * segment-digest.c - which model this is, and whether it is whole: SHA-256 of the model's files,
 * XXH3 of a segment's payload, both by chunks on every processor.
 *
 * Not here: the segments themselves (segment.c).
 */
#include "config.h"
#include "model/segment.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <nettle/sha2.h>
#include <xxhash.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/team.h"
#include "model/segment-file.h"

/* ------------------------------------------------------------------ work over chunks */

uint64_t segment_chunks(uint64_t payload_bytes)
{
    return payload_bytes / SEGMENT_CHUNK + (payload_bytes % SEGMENT_CHUNK != 0);
}

struct chunk_job {
    struct team *team;
    int fd;             /* hashing a file: 16 MiB chunks through pread */
    const uint8_t *map; /* or checksumming a mapping */
    uint64_t bytes, chunk, n_chunks;
    uint64_t *sums;
    uint8_t *digests;
    atomic_size_t done;
    atomic_int error; /* errno of a failed read, or ENOMEM */
    const char *what;
};

static void show_progress(struct chunk_job *j)
{
    size_t done = atomic_fetch_add(&j->done, 1) + 1;
    if (j->what)
        log_progress("%s: %zu of %zu MiB", j->what, (size_t)(done * j->chunk >> 20),
                     (size_t)(j->bytes >> 20));
}

static int hash_chunk(struct chunk_job *j, uint64_t i, uint8_t *buffer, size_t buffer_bytes)
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    uint64_t at = i * j->chunk, end = MIN(at + j->chunk, j->bytes);
    while (at < end) {
        ssize_t n = pread(j->fd, buffer, MIN(buffer_bytes, end - at), (off_t)at);
        if (n <= 0)
            return n < 0 ? errno : EPIPE; /* Shorter than it was: somebody truncates it. */
        sha256_update(&ctx, (size_t)n, buffer);
        at += (uint64_t)n;
    }
    sha256_digest(&ctx, SEGMENT_DIGEST_BYTES, j->digests + i * SEGMENT_DIGEST_BYTES);
    return 0;
}

static void hash_run(void *arg, unsigned worker)
{
    (void)worker;
    struct chunk_job *j = arg;
    enum { BUFFER = 256 * 1024 };
    uint8_t *buffer = mem_zalloc(BUFFER, 1);
    if (!buffer)
        atomic_store(&j->error, ENOMEM);
    for (uint64_t i; (i = team_take(j->team, 1)) < j->n_chunks && !atomic_load(&j->error);) {
        int rc = hash_chunk(j, i, buffer, BUFFER);
        if (rc)
            atomic_store(&j->error, rc);
        show_progress(j);
    }
    mem_free(buffer);
}

static void sum_run(void *arg, unsigned worker)
{
    (void)worker;
    struct chunk_job *j = arg;
    for (uint64_t i; (i = team_take(j->team, 1)) < j->n_chunks;) {
        uint64_t at = i * j->chunk;
        j->sums[i] = segment_sum(j->map + at, MIN(j->chunk, j->bytes - at));
        show_progress(j);
    }
}

/* Run over all chunks on every processor we have; a team that cannot be had is an error. */
static int run_chunks(struct chunk_job *j, team_fn fn, struct trit_error *err)
{
    int rc = team_open(&j->team, team_usable_cpus(), false, err);
    if (rc)
        return rc;
    team_run(j->team, fn, j);
    team_close(&j->team);
    log_progress(NULL);
    return 0;
}

int segment_sum_payload(const struct segment *seg, uint64_t *sums, const char *what,
                        struct trit_error *err)
{
    struct chunk_job j = {.map = seg->payload,
                          .bytes = seg->payload_bytes,
                          .chunk = SEGMENT_CHUNK,
                          .n_chunks = segment_chunks(seg->payload_bytes),
                          .sums = sums,
                          .what = what};
    return run_chunks(&j, sum_run, err);
}

/* ------------------------------------------------------------------ identity */

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool same_identity(const struct segment_source *a, const struct segment_source *b)
{
    return a->dev == b->dev && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* A finished segment made from this very file, by device, inode, size and times, knows its digest.
 * The times cannot be turned back by anyone who may not also replace our segments. */
static bool known_digest(struct segment_source *src, int kept)
{
    struct segment_info *list;
    struct segment_header h;
    size_t n;
    bool found = kept >= 0 && segment_check_sealed(kept, &h) && same_identity(&h.source, src);
    if (found)
        memcpy(src->digest, h.source.digest, sizeof src->digest);
    if (found || segment_list(&list, &n, NULL) != 0)
        return found;
    for (size_t i = 0; i < n && !found; i++) {
        found = same_identity(&list[i].source, src);
        if (found)
            memcpy(src->digest, list[i].source.digest, sizeof src->digest);
    }
    mem_free(list);
    return found;
}

/* The SHA-256 over those of the file's chunks. */
static int digest_file(const struct segment_file *f, uint64_t bytes, uint8_t *digest,
                       struct trit_error *err)
{
    struct chunk_job j = {.fd = f->fd,
                          .bytes = bytes,
                          .chunk = 16 << 20,
                          .n_chunks = bytes / (16 << 20) + 1,
                          .what = "reading the model"};
    j.digests = mem_zalloc(j.n_chunks, SEGMENT_DIGEST_BYTES);
    if (!j.digests)
        return trit_fail(err, TRIT_ENOMEM, "%s: no memory to digest it", f->path);
    int rc = run_chunks(&j, hash_run, err);
    if (rc == 0 && j.error)
        rc = trit_fail(err, j.error == ENOMEM ? TRIT_ENOMEM : TRIT_EIO, "%s: %s", f->path,
                       j.error == EPIPE ? "the file shrinks while it is read" : strerror(j.error));
    if (rc == 0) {
        struct sha256_ctx ctx;
        sha256_init(&ctx);
        sha256_update(&ctx, j.n_chunks * SEGMENT_DIGEST_BYTES, j.digests);
        sha256_digest(&ctx, SEGMENT_DIGEST_BYTES, digest);
    }
    mem_free(j.digests);
    return rc;
}

/* Of one file what the system says; of several the sum of their sizes, the youngest of their times,
 * and a digest of all of it in place of the inode. */
static int identity_of(const struct segment_file *files, size_t n, struct segment_source *src,
                       struct trit_error *err)
{
    uint64_t mixed = 0;
    src->size = 0;
    src->mtime_ns = src->ctime_ns = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        if (fstat(files[i].fd, &st) != 0)
            return trit_fail(err, TRIT_EIO, "%s: %s", files[i].path, strerror(errno));
        int64_t mtime = nanoseconds(st.st_mtim), ctime = nanoseconds(st.st_ctim);
        const uint64_t facts[] = {st.st_dev, st.st_ino, (uint64_t)st.st_size, (uint64_t)mtime,
                                  (uint64_t)ctime};
        mixed = XXH3_64bits_withSeed(facts, sizeof facts, mixed);
        src->dev = st.st_dev;
        src->inode = n == 1 ? st.st_ino : mixed;
        src->size += (uint64_t)st.st_size;
        src->mtime_ns = MAX(src->mtime_ns, mtime);
        src->ctime_ns = MAX(src->ctime_ns, ctime);
    }
    return 0;
}

bool segment_is_known(const struct segment_file *files, size_t n, int kept)
{
    struct segment_source src;
    return identity_of(files, n, &src, NULL) == 0 && known_digest(&src, kept);
}

int segment_identify(const struct segment_file *files, size_t n, int kept,
                     struct segment_source *src, struct trit_error *err)
{
    struct sha256_ctx ctx;
    struct stat st;
    int rc = identity_of(files, n, src, err);
    if (rc || known_digest(src, kept))
        return rc;
    sha256_init(&ctx);
    for (size_t i = 0; i < n; i++) {
        if (fstat(files[i].fd, &st) != 0)
            return trit_fail(err, TRIT_EIO, "%s: %s", files[i].path, strerror(errno));
        rc = digest_file(&files[i], (uint64_t)st.st_size, src->digest, err);
        if (rc)
            return rc;
        sha256_update(&ctx, SEGMENT_DIGEST_BYTES, src->digest);
    }
    if (n > 1)
        sha256_digest(&ctx, SEGMENT_DIGEST_BYTES, src->digest);
    return 0;
}
