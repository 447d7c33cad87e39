/* SPDX-License-Identifier: MIT */
/*
 * file.c - one read, which is how these files are consistent in themselves.
 */
#include "config.h"
#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

bool file_read(const char *path, char *dst, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, dst, cap - 1);
    close(fd);
    if (n <= 0)
        return false;
    dst[n] = '\0';
    return true;
}
