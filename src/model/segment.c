/* SPDX-License-Identifier: MIT */
/*
 * segment.c - building, sealing and attaching segments.  See include/model/segment.h for their
 * life.
 *
 * File: header, checksum of each chunk of the payload, payload at a page boundary.  Checksums are
 * XXH3 (they guard against damage); the key is SHA-256 (it decides what is the same model).
 *
 * Not here: what the payload holds (weights.c), sums and digests (segment-digest.c), listing and
 * removing (segment-list.c).
 */
#include "config.h"
#include "model/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <nettle/sha2.h>
#include <xxhash.h>

#include "base/base.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/segment-file.h"

static const char *segment_dir = "/dev/shm";

void segment_set_dir(const char *dir)
{
    segment_dir = dir;
}

const char *segment_directory(void)
{
    return segment_dir;
}

void segment_path(const char *name, const char *suffix, char path[SEGMENT_PATH_BYTES])
{
    snprintf(path, SEGMENT_PATH_BYTES, "%s/%s%s", segment_dir, name, suffix);
}

static size_t payload_offset(uint64_t n_chunks)
{
    return round_up(sizeof(struct segment_header) + n_chunks * sizeof(uint64_t), 4096);
}

/* Of the whole file. */
static size_t bytes_of(size_t payload_bytes)
{
    return payload_offset(segment_chunks(payload_bytes)) + round_up(payload_bytes, 4096);
}

static uint8_t *payload_of(const struct segment *seg)
{
    return seg->map + payload_offset(segment_chunks(seg->payload_bytes));
}

/* The file name for a source: everything that decides the payload, digested. */
static void name_of(const struct segment_source *src, char *name, size_t cap)
{
    uint8_t full[SHA256_DIGEST_SIZE];
    uint32_t facts[] = {SEGMENT_VERSION, src->layout, src->tables};
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, sizeof src->digest, src->digest);
    sha256_update(&ctx, sizeof facts, (const uint8_t *)facts);
    sha256_update(&ctx, sizeof src->reading, (const uint8_t *)&src->reading);
    sha256_digest(&ctx, sizeof full, full);
    int at = snprintf(name, cap, SEGMENT_PREFIX "%u-", (unsigned)geteuid());
    trit_assert((size_t)at + 2 * SEGMENT_KEY_BYTES < cap);
    hex_put(name + at, full, SEGMENT_KEY_BYTES);
}

/* ------------------------------------------------------------------ attaching */

static int map_finished(struct segment *seg, struct trit_error *err)
{
    int rc = segment_map(seg, PROT_READ, err);
    if (rc == 0)
        seg->payload = payload_of(seg);
    return rc;
}

static const char *shown(const struct segment *seg)
{
    return *seg->name ? seg->name : "memfd";
}

static const uint64_t *sums_of(const struct segment *seg)
{
    return (const void *)(seg->map + sizeof(struct segment_header));
}

static int check_table(const struct segment *seg, const struct segment_header *h,
                       struct trit_error *err)
{
    uint64_t n = segment_chunks(seg->payload_bytes);
    if (segment_sum(sums_of(seg), n * sizeof(uint64_t)) != h->table_sum)
        return trit_fail(err, TRIT_EFORMAT, "%s: checksum table damaged", shown(seg));
    return 0;
}

/* Compare what is mapped with what was written.  A difference is damage: bit rot or a stranger. */
static int verify(struct segment *seg, struct trit_error *err)
{
    uint64_t n = segment_chunks(seg->payload_bytes);
    const uint64_t *want = sums_of(seg);
    const char *name = shown(seg);
    uint64_t *got = mem_zalloc(n, sizeof *got);
    if (!got)
        return trit_fail(err, TRIT_ENOMEM, "no memory to verify %s", name);
    int rc = segment_sum_payload(seg, got, NULL, err);
    for (uint64_t i = 0; rc == 0 && i < n; i++)
        if (got[i] != want[i])
            rc = trit_fail(err, TRIT_EFORMAT, "%s: chunk %llu of %llu damaged", name,
                           (unsigned long long)i, (unsigned long long)n);
    mem_free(got);
    return rc;
}

static bool is_of(const struct segment_header *h, const struct segment_source *src)
{
    return memcmp(h->source.digest, src->digest, sizeof h->source.digest) == 0 &&
           h->source.layout == src->layout && h->source.tables == src->tables &&
           h->source.reading == src->reading;
}

/* Map seg->fd, whose header this is, and verify it, or as much of it as is not left for later. */
static int use(struct segment *seg, const struct segment_header *h, enum segment_check check,
               struct trit_error *err)
{
    seg->payload_bytes = h->payload_bytes;
    seg->map_bytes = h->file_bytes;
    int rc = map_finished(seg, err);
    if (rc == 0)
        rc = check_table(seg, h, err);
    if (rc || check == SEGMENT_NOW)
        return rc ? rc : verify(seg, err);
    size_t n = segment_chunks(seg->payload_bytes);
    seg->proof = mem_zalloc(1, sizeof *seg->proof + n);
    if (!seg->proof)
        return trit_fail(err, TRIT_ENOMEM, "no memory to verify %s", seg->name);
    seg->proof->n = n;
    return 0;
}

void segment_prove(const struct segment *seg, size_t chunk)
{
    struct segment_proof *p = seg->proof;
    if (p->done[chunk])
        return;
    size_t at = chunk * SEGMENT_CHUNK, len = MIN((size_t)SEGMENT_CHUNK, seg->payload_bytes - at);
    if (segment_sum(seg->payload + at, len) != sums_of(seg)[chunk])
        atomic_store(&p->damaged, true);
    p->done[chunk] = true;
}

/* From there to the begin, and on from the other end of all. */
void segment_prove_ahead(const struct segment *seg, size_t i)
{
    size_t n = seg->proof->n;
    segment_prove(seg, (seg->proof->least + n - 1 - i) % n);
}

void segment_chunks_in(size_t from, size_t to, size_t *first, size_t *end)
{
    *first = segment_chunks(from);
    *end = segment_chunks(to);
}

/* Whether the name is still that of our own bytes: another process may have packed anew since. */
static bool is_named(const struct segment *seg)
{
    char path[SEGMENT_PATH_BYTES];
    struct stat ours, named;
    segment_path(seg->name, "", path);
    return fstat(seg->fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

void segment_condemn(const struct segment *seg)
{
    if (seg->adopted) {
        log_notice("weights kept=no reason=\"damaged\"");
        return;
    }
    bool named = *seg->name && is_named(seg);
    log_warn("segment-damaged name=%s action=%s", seg->name, named ? "removed" : "left");
    if (named)
        segment_remove(seg->name, NULL);
}

void segment_reject(struct segment *seg)
{
    segment_condemn(seg);
    segment_close(seg);
}

/* The end of a mapping from `at` on as pages of our own: what `by` has there, then from `keep` on
 * what seg has. */
static uint8_t *copy_end(const struct segment *seg, const struct segment *by, size_t at,
                         size_t keep)
{
    size_t bytes = seg->map_bytes - at;
    uint8_t *end = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (end == MAP_FAILED)
        return NULL;
    memcpy(end, by->map + at, keep - at);
    memcpy(end + (keep - at), seg->map + keep, seg->map_bytes - keep);
    trit_assert(mprotect(end, bytes, PROT_READ) == 0);
    return end;
}

/* In one call, for which faults wait: who reads there reads what was there before, or this. */
static bool move_to(uint8_t *to, uint8_t *from, size_t bytes)
{
    return mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

int segment_replace(struct segment *seg, struct segment *by, size_t keep, struct trit_error *err)
{
    trit_assert(!seg->unnamed && !by->writable && seg->payload_bytes == by->payload_bytes &&
                seg->map_bytes == by->map_bytes && keep <= seg->payload_bytes);
    uint8_t *map = seg->map, *payload = seg->payload;
    keep += (size_t)(payload - map);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t at = MIN(keep, seg->map_bytes - 1) / page * page, bytes = seg->map_bytes - at;
    uint8_t *end = copy_end(seg, by, at, keep);
    bool ends = end && move_to(map + at, end, bytes);
    if (!ends || !move_to(map, by->map, at)) {
        trit_fail(err, TRIT_ENOMEM, "%s: cannot be mapped in the place of another: %s", shown(by),
                  strerror(errno));
        if (end && !ends) {
            munmap(end, bytes);
            /* The kernel may have taken away what was there, and others read on. */
            trit_assert(mmap(map + at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, seg->fd,
                             (off_t)at) != MAP_FAILED);
        }
        return -TRIT_ENOMEM;
    }
    trit_assert(munmap(by->map + at, bytes) == 0);
    seg->map = NULL;
    segment_close(seg);
    *seg = *by;
    seg->map = map;
    seg->payload = payload;
    *by = (struct segment){.fd = -1};
    return 0;
}

int segment_adopt(const struct segment_source *src, enum segment_check check, int fd,
                  struct segment *seg, struct trit_error *err)
{
    struct segment_header h;
    const char *why = NULL;
    *seg = (struct segment){.fd = fd, .attached = true, .adopted = true, .source = *src};
    if (!segment_check_sealed(fd, &h))
        why = "it is not a sealed segment of this version";
    else if (!is_of(&h, src))
        why = "it is of another model, reading or layout";
    int rc = why ? trit_fail(err, TRIT_EFORMAT, "%s", why) : use(seg, &h, check, err);
    if (rc == 0)
        return 0;
    segment_close(seg);
    if (rc != -TRIT_EFORMAT)
        return rc;
    log_notice("weights kept=no reason=\"%s\"", why ? why : err ? err->text : "damaged");
    return -TRIT_ENOENT;
}

/* True while some process holds the .building file of this segment. */
static bool being_built(const char *name)
{
    char path[SEGMENT_PATH_BYTES];
    segment_path(name, SEGMENT_BUILDING, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool alive = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return alive;
}

static int try_attach(const struct segment_source *src, enum segment_check check,
                      struct segment *seg, struct trit_error *err)
{
    char path[SEGMENT_PATH_BYTES];
    segment_path(seg->name, "", path);
    seg->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (seg->fd < 0)
        return trit_fail(err, TRIT_ENOENT, "%s: %s", path, strerror(errno));
    /* Shared for as long as we live; the builder turns its exclusive lock into one right after it
     * has published, so this waits a moment at most. */
    while (flock(seg->fd, LOCK_SH) != 0)
        if (errno != EINTR)
            return trit_fail(err, TRIT_EIO, "%s: %s", path, strerror(errno));
    struct segment_header h;
    if (!segment_check_header(seg->fd, &h) || !is_of(&h, src))
        return trit_fail(err, TRIT_EFORMAT, "%s: not a segment of this model", seg->name);
    int rc = use(seg, &h, check, err);
    if (rc == 0)
        segment_enrol(seg->fd);
    return rc;
}

int segment_attach(const struct segment_source *src, enum segment_check check,
                   const atomic_bool *stop, struct segment *seg, struct trit_error *err)
{
    *seg = (struct segment){.fd = -1, .shared = true, .attached = true, .source = *src};
    name_of(src, seg->name, sizeof seg->name);
    for (unsigned waited = 0; being_built(seg->name); waited++) {
        if (stop && atomic_load(stop))
            return trit_fail(err, TRIT_ECANCELLED, "loading was cancelled");
        log_progress("waiting for another process to pack the weights (%u s)", waited / 20);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    log_progress(NULL);
    int rc = try_attach(src, check, seg, err);
    if (rc == -TRIT_EFORMAT) {
        segment_reject(seg);
        return -TRIT_ENOENT;
    }
    if (rc)
        segment_close(seg);
    return rc;
}

/* ------------------------------------------------------------------ building */

/*
 * Create <name>.building and lock it.  Between creating and locking another process may take the
 * lock, think us dead and remove the file; so after locking, the name must still be ours.
 */
static int open_building(const char *path, struct trit_error *err)
{
    for (int tries = 0; tries < 100; tries++) {
        struct stat mine, named;
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == EEXIST) {
            fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
            if (fd < 0)
                continue;
            bool dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
            if (dead) {
                log_notice("segment-leftover path=%s action=removed", path);
                unlink(path);
            }
            close(fd);
            if (!dead)
                return trit_fail(err, TRIT_EBUSY, "%s: another process is building it", path);
            continue;
        }
        if (fd < 0)
            return trit_fail(err, TRIT_EIO, "%s: %s", path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 && stat(path, &named) == 0 &&
            mine.st_ino == named.st_ino && mine.st_dev == named.st_dev)
            return fd;
        close(fd);
    }
    return trit_fail(err, TRIT_EBUSY, "%s: cannot be created and kept", path);
}

int segment_create(const struct segment_source *src, size_t payload_bytes, bool shared,
                   struct segment *seg, struct trit_error *err)
{
    *seg = (struct segment){.fd = -1,
                            .shared = shared,
                            .writable = true,
                            .unnamed = shared,
                            .source = *src,
                            .payload_bytes = payload_bytes};
    seg->map_bytes = bytes_of(payload_bytes);
    char path[SEGMENT_PATH_BYTES] = "memfd";
    if (shared) {
        name_of(src, seg->name, sizeof seg->name);
        segment_path(seg->name, SEGMENT_BUILDING, path);
        seg->fd = open_building(path, err);
        if (seg->fd < 0) {
            int rc = seg->fd;
            seg->fd = -1;
            return rc;
        }
    } else {
        seg->fd = mem_memfd("tritd-weights");
        if (seg->fd < 0)
            return trit_fail(err, TRIT_ENOMEM, "memfd_create: %s", strerror(errno));
    }
    int rc = segment_allocate(seg, path, err);
    if (rc)
        segment_close(seg);
    else
        seg->payload = payload_of(seg);
    return rc;
}

int segment_lend(const struct segment *seg, struct trit_error *err)
{
    char path[SEGMENT_PATH_BYTES] = "memfd";
    int fd;
    trit_assert(seg->writable);
    if (seg->shared) {
        segment_path(seg->name, SEGMENT_BUILDING, path);
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    } else {
        fd = fcntl(seg->fd, F_DUPFD_CLOEXEC, 0);
    }
    if (fd < 0)
        trit_fail(err, TRIT_EIO, "%s: %s", path, strerror(errno));
    return fd;
}

bool segment_is_whole(const struct segment *seg)
{
    struct stat st;
    int rc;
    if (fstat(seg->fd, &st) != 0 || (uint64_t)st.st_size != seg->map_bytes)
        return false;
    if ((uint64_t)st.st_blocks * 512 >= seg->map_bytes)
        return true;
    do /* There are holes, or it is a file system that counts otherwise. */
        rc = posix_fallocate(seg->fd, 0, (off_t)seg->map_bytes);
    while (rc == EINTR);
    return rc == 0;
}

int segment_borrow(int fd, size_t payload_bytes, struct segment *seg, struct trit_error *err)
{
    *seg = (struct segment){.fd = fd, .writable = true, .payload_bytes = payload_bytes};
    seg->map_bytes = bytes_of(payload_bytes);
    int rc = segment_map(seg, PROT_READ | PROT_WRITE, err);
    if (rc == 0)
        seg->payload = payload_of(seg);
    return rc;
}

/* A memfd is sealed by the kernel for good; a named file by its mode and by nobody having it open
 * for writing any more. */
static int forbid_writing(struct segment *seg, struct trit_error *err)
{
    int rc = seg->shared ? fchmod(seg->fd, 0400)
                         : fcntl(seg->fd, F_ADD_SEALS, SEGMENT_SEALS);
    if (rc != 0)
        return trit_fail(err, TRIT_EIO, "cannot seal the weights: %s", strerror(errno));
    return 0;
}

/* A descriptor for reading, from which nobody can make a mapping for writing.  The builder's own is
 * kept for its lock, which a mapping would keep for ever. */
static int reopen(struct segment *seg, struct trit_error *err)
{
    char path[SEGMENT_PATH_BYTES];
    segment_path(seg->name, SEGMENT_BUILDING, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return trit_fail(err, TRIT_EIO, "%s: %s", path, strerror(errno));
    seg->builder_fd = seg->fd;
    seg->fd = fd;
    return 0;
}

int segment_seal(struct segment *seg, struct trit_error *err)
{
    trit_assert(seg->writable);
    struct segment_header *h = (void *)seg->map;
    uint64_t n = segment_chunks(seg->payload_bytes), *sums = (void *)(seg->map + sizeof *h);
    int rc = segment_sum_payload(seg, sums, "checking the packed weights", err);
    if (rc)
        return rc;
    *h = (struct segment_header){.magic = SEGMENT_MAGIC,
                                 .version = SEGMENT_VERSION,
                                 .source = seg->source,
                                 .payload_bytes = seg->payload_bytes,
                                 .file_bytes = seg->map_bytes,
                                 .table_sum = segment_sum(sums, n * sizeof *sums)};
    h->header_sum = segment_header_sum(h);
    segment_unmap(seg);
    rc = forbid_writing(seg, err);
    if (rc == 0 && seg->shared)
        rc = reopen(seg, err);
    if (rc)
        return rc;
    seg->writable = false;
    return map_finished(seg, err);
}

int segment_publish(struct segment *seg, struct trit_error *err)
{
    trit_assert(!seg->writable);
    if (!seg->unnamed)
        return 0;
    char from[SEGMENT_PATH_BYTES], to[SEGMENT_PATH_BYTES];
    segment_path(seg->name, SEGMENT_BUILDING, from);
    segment_path(seg->name, "", to);
    if (rename(from, to) != 0)
        return trit_fail(err, TRIT_EIO, "%s: cannot be renamed: %s", from, strerror(errno));
    seg->unnamed = false;
    /* From now on we are a reader, with a shared lock like everybody's.  For a moment the file is
     * without a lock; nobody takes an exclusive one on a finished segment anyway. */
    close(seg->builder_fd);
    if (flock(seg->fd, LOCK_SH) != 0)
        return trit_fail(err, TRIT_EIO, "%s: %s", to, strerror(errno));
    segment_enrol(seg->fd);
    return 0;
}

void segment_lock_memory(struct segment *seg)
{
    seg->locked = mlock(seg->map, seg->map_bytes) == 0;
}

void segment_close(struct segment *seg)
{
    segment_unmap(seg);
    if (seg->unnamed && seg->fd >= 0) {
        char path[SEGMENT_PATH_BYTES];
        segment_path(seg->name, SEGMENT_BUILDING, path);
        unlink(path);
        if (!seg->writable)
            close(seg->builder_fd);
    }
    if (seg->fd >= 0)
        close(seg->fd);
    seg->fd = -1;
    mem_free(seg->proof);
    seg->proof = NULL;
}
