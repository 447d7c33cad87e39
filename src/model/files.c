/* SPDX-License-Identifier: MIT */
/*
 * files.c - the file system's own answers, and the door through which others come.
 */
#include "config.h"
#include "model/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf-private.h"

static int open_here(const char *path, int *fd, uint64_t *bytes, struct trit_error *err)
{
    struct stat st;
    /* A named pipe must not hold us up before we can see what it is. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return gguf_fail_at(path, err, errno == ENOENT || errno == ENOTDIR ? TRIT_ENOENT : TRIT_EIO,
                            "cannot open: %s", strerror(errno));
    if (fstat(*fd, &st) != 0)
        return gguf_fail_at(path, err, TRIT_EIO, "cannot look at the file: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return gguf_fail_at(path, err, TRIT_EFORMAT, "%s, expected a regular file",
                            S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    *bytes = (uint64_t)st.st_size;
    return 0;
}

static bool has_here(const char *folder, const char *name)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool there = dir >= 0 && faccessat(dir, name, F_OK, 0) == 0;
    if (dir >= 0)
        close(dir);
    return there;
}

static bool has_suffix_here(const char *folder, const char *suffix)
{
    bool found = false;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        size_t len = strlen(e->d_name), end = strlen(suffix);
        found = len > end && strcmp(e->d_name + len - end, suffix) == 0;
    }
    if (d)
        closedir(d);
    return found;
}

static char *real_here(const char *path)
{
    char *found = realpath(path, NULL), *copy = found ? mem_strdup(found) : NULL;
    free(found);
    return copy;
}

static const struct files_door here = {open_here, has_here, has_suffix_here, real_here};
static const struct files_door *door = &here;

void files_set_door(const struct files_door *d)
{
    door = d ? d : &here;
}

int files_open(const char *path, int *fd, uint64_t *bytes, struct trit_error *err)
{
    return door->open(path, fd, bytes, err);
}

bool files_has(const char *folder, const char *name)
{
    return door->has(folder, name);
}

bool files_has_suffix(const char *folder, const char *suffix)
{
    return door->has_suffix(folder, suffix);
}

char *files_real(const char *path)
{
    return door->real(path);
}

uint64_t files_bytes(const char *path, bool *folder)
{
    struct stat st;
    uint64_t sum = 0;
    *folder = false;
    if (stat(path, &st) != 0)
        return 0;
    *folder = S_ISDIR(st.st_mode);
    if (!*folder)
        return (uint64_t)st.st_size;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size;
    if (d)
        closedir(d);
    return sum;
}
