/* SPDX-License-Identifier: MIT */
/*
 * segment-pages.c - the pages of a segment: all there before they are used, huge where that is
 * possible, mapped so that they stay huge.
 *
 * With pages of 4 KiB most of an attached start went into page tables: of 733 MB, 180,000 entries.
 * tmpfs gives no huge pages by itself unless it was mounted so, but since Linux 6.1 a process may
 * ask for those of its own mapping, whatever the policy of the machine: MADV_COLLAPSE, which also
 * fills holes.  So each extent of 2 MiB is given one page and then collapsed, which clears two
 * million bytes at a time, and what could not be had, or on an older kernel everything, is
 * allocated in small pages as before.
 *
 * Not here: what is in them (segment.c).
 */
#include "config.h"
#include "model/segment-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"

enum {
    EXTENT = MEM_EXTENT,
    GRAIN = 16, /* extents that a worker collapses with one call */
};

int segment_map(struct segment *seg, int prot, struct trit_error *err)
{
    uint8_t *p = mem_map_file(seg->fd, seg->map_bytes, prot);
    if (!p)
        return trit_fail(err, TRIT_ENOMEM, "cannot map %zu bytes of weights: %s", seg->map_bytes,
                         strerror(errno));
    seg->map = p;
    seg->huge_asked = madvise(p, seg->map_bytes, MADV_HUGEPAGE) == 0;
    return 0;
}

void segment_unmap(struct segment *seg)
{
    if (seg->map)
        trit_assert(munmap(seg->map, seg->map_bytes) == 0);
    seg->map = seg->payload = NULL;
}

struct collapse {
    struct team *team;
    const struct segment *seg;
    size_t n; /* extents */
    atomic_bool refused;
};

static void collapse_run(void *arg, unsigned worker)
{
    (void)worker;
    struct collapse *c = arg;
    for (size_t i; (i = team_take(c->team, GRAIN)) < c->n && !atomic_load(&c->refused);) {
        size_t end = MIN(i + GRAIN, c->n);
        /* An extent without any page is passed over; and to touch one that is not allocated would
         * be a signal where memory is short. */
        for (size_t k = i; k < end; k++)
            if (posix_fallocate(c->seg->fd, (off_t)(k * EXTENT), 1) != 0)
                atomic_store(&c->refused, true);
        if (atomic_load(&c->refused) ||
            !mem_collapse(c->seg->map + i * EXTENT, (end - i) * EXTENT))
            atomic_store(&c->refused, true);
    }
}

/* As many huge pages as can be had; a refusal costs speed only. */
static void collapse(const struct segment *seg)
{
    struct collapse c = {.seg = seg, .n = seg->map_bytes / EXTENT};
    if (c.n == 0 || team_open(&c.team, team_usable_cpus(), false, NULL) != 0)
        return;
    team_run(c.team, collapse_run, &c);
    team_close(&c.team);
}

static int no_room(const struct segment *seg, const char *where, int why, struct trit_error *err)
{
    struct statvfs vfs;
    unsigned long long left = 0;
    if (fstatvfs(seg->fd, &vfs) == 0)
        left = (unsigned long long)vfs.f_bavail * vfs.f_frsize;
    return trit_fail(
        err, TRIT_ENOMEM,
        "%s: the packed weights need %zu MiB and %llu MiB are free (%s); make room, or "
        "use --no-shared to keep them in private memory",
        where, seg->map_bytes >> 20, left >> 20, strerror(why));
}

/* A tmpfs that is plainly too small is not filled up first. */
static bool fits(const struct segment *seg)
{
    struct statvfs vfs;
    return fstatvfs(seg->fd, &vfs) != 0 || vfs.f_blocks == 0 ||
           seg->map_bytes / vfs.f_frsize < vfs.f_bfree;
}

int segment_allocate(struct segment *seg, const char *where, struct trit_error *err)
{
    if (!fits(seg))
        return no_room(seg, where, ENOSPC, err);
    if (ftruncate(seg->fd, (off_t)seg->map_bytes) != 0)
        return no_room(seg, where, errno, err);
    int rc = segment_map(seg, PROT_READ | PROT_WRITE, err);
    if (rc)
        return rc;
    collapse(seg);
    /* Have every page now, so that a full tmpfs is an error here and not SIGBUS later. */
    rc = posix_fallocate(seg->fd, 0, (off_t)seg->map_bytes);
    return rc ? no_room(seg, where, rc, err) : 0;
}
