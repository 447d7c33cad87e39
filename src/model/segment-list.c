/* SPDX-License-Identifier: MIT */
/*
 * segment-list.c - which segments there are, who uses them, and getting rid of them.
 */
#include "config.h"
#include "model/segment-file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"

uint64_t segment_header_sum(const struct segment_header *h)
{
    return segment_sum(h, offsetof(struct segment_header, header_sum));
}

static bool read_header(int fd, const struct stat *st, struct segment_header *h)
{
    return pread(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h &&
           memcmp(h->magic, SEGMENT_MAGIC, sizeof h->magic) == 0 && h->version == SEGMENT_VERSION &&
           h->header_sum == segment_header_sum(h) && (uint64_t)st->st_size == h->file_bytes &&
           h->payload_bytes < h->file_bytes;
}

bool segment_check_header(int fd, struct segment_header *h)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 077) == 0 && read_header(fd, &st, h);
}

bool segment_check_sealed(int fd, struct segment_header *h)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEGMENT_SEALS) == SEGMENT_SEALS && fstat(fd, &st) == 0 &&
           read_header(fd, &st, h);
}

/*
 * Who uses a segment: each holds a read lock on one byte at random, so far behind the end of any
 * file that they do not meet, and whoever asks for a write lock on all of it is told of one that is
 * in his way.  (/proc/locks has them too, but stops whoever takes a lock while it is read, and
 * takes ten milliseconds itself.)
 */
enum { USERS_MOST = 256 }; /* counted */
static const off_t users_first = (off_t)1 << 60, users_end = (off_t)1 << 62;

void segment_enrol(int fd)
{
    uint64_t at;
    if (getrandom(&at, sizeof at, GRND_NONBLOCK) != (ssize_t)sizeof at)
        at = (uint64_t)getpid();
    struct flock lock = {.l_type = F_RDLCK,
                         .l_whence = SEEK_SET,
                         .l_start = users_first + (off_t)(at % (uint64_t)(users_end - users_first)),
                         .l_len = 1};
    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

unsigned segment_count_users(int fd)
{
    /* Of a range with a lock in it the parts before and behind are still to be asked for. */
    struct {
        off_t from, to;
    } todo[USERS_MOST + 1] = {{users_first, users_end}};
    unsigned n = 0, n_todo = 1;
    while (n_todo && n < USERS_MOST) {
        off_t from = todo[n_todo - 1].from, to = todo[n_todo - 1].to;
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from};
        n_todo--;
        if (from >= to || fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
            continue;
        n++;
        todo[n_todo].from = from;
        todo[n_todo++].to = lock.l_start;
        todo[n_todo].from = lock.l_start + lock.l_len;
        todo[n_todo++].to = to;
    }
    return n;
}

unsigned segment_users(const struct segment *seg)
{
    return seg->shared ? segment_count_users(seg->fd) + 1 : 1;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);
    return n >= t && strcmp(s + n - t, tail) == 0;
}

/* What one directory entry is; false when it is not a segment of ours. */
static bool describe(const char *name, struct segment_info *info)
{
    struct stat st;
    char path[SEGMENT_PATH_BYTES], mine[32];
    snprintf(mine, sizeof mine, SEGMENT_PREFIX "%u-", (unsigned)geteuid());
    if (strncmp(name, mine, strlen(mine)) != 0 || strlen(name) >= sizeof info->name)
        return false;
    *info = (struct segment_info){0};
    snprintf(info->name, sizeof info->name, "%s", name);
    segment_path(name, "", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    info->bytes = (size_t)st.st_size;
    struct segment_header h;
    if (ends_with(name, SEGMENT_BUILDING)) {
        info->building = flock(fd, LOCK_SH | LOCK_NB) != 0;
        info->stale = !info->building;
    } else {
        info->stale = !segment_check_header(fd, &h);
        if (!info->stale)
            info->source = h.source;
        info->users = segment_count_users(fd);
    }
    close(fd);
    return true;
}

int segment_list(struct segment_info **list, size_t *n, struct trit_error *err)
{
    *list = NULL;
    *n = 0;
    DIR *dir = opendir(segment_directory());
    if (!dir)
        return trit_fail(err, TRIT_EIO, "%s: %s", segment_directory(), strerror(errno));
    int rc = 0;
    for (struct dirent *d; rc == 0 && (d = readdir(dir));) {
        struct segment_info info;
        if (!describe(d->d_name, &info))
            continue;
        struct segment_info *more = mem_resize(*list, *n + 1, sizeof **list);
        if (!more) {
            rc = trit_fail(err, TRIT_ENOMEM, "no memory to list segments");
            break;
        }
        *list = more;
        (*list)[(*n)++] = info;
    }
    closedir(dir);
    if (rc) {
        mem_free(*list);
        *list = NULL;
        *n = 0;
    }
    return rc;
}

int segment_remove(const char *name, struct trit_error *err)
{
    struct segment_info info;
    char path[SEGMENT_PATH_BYTES];
    if (strchr(name, '/') || !describe(name, &info))
        return trit_fail(err, TRIT_ENOENT, "%s: no such segment in %s", name, segment_directory());
    if (info.building)
        return trit_fail(err, TRIT_EBUSY, "%s: a process is building it", name);
    segment_path(name, "", path);
    if (unlink(path) != 0)
        return trit_fail(err, TRIT_EIO, "%s: %s", path, strerror(errno));
    return 0;
}

unsigned segment_clean(void)
{
    struct segment_info *list;
    size_t n;
    unsigned removed = 0;
    if (segment_list(&list, &n, NULL) != 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].stale && ends_with(list[i].name, SEGMENT_BUILDING))
            removed += segment_remove(list[i].name, NULL) == 0;
    mem_free(list);
    return removed;
}

size_t segment_huge_bytes(const struct segment *seg)
{
    char line[256];
    size_t bytes = 0;
    bool ours = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f && fgets(line, sizeof line, f)) {
        unsigned long start, end, kib;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            ours = start == (unsigned long)(uintptr_t)seg->map;
        else if (ours && (sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1 ||
                          sscanf(line, "FilePmdMapped: %lu", &kib) == 1))
            bytes += (size_t)kib * 1024;
    }
    if (f)
        fclose(f);
    return bytes;
}
