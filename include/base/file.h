/* SPDX-License-Identifier: MIT */
/*
 * file.h - the small files in which the kernel tells things, /proc and /sys.
 */
#ifndef TRIT_FILE_H
#define TRIT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The beginning of a file as a string, at most cap - 1 bytes (cap >= 1).  false: it is empty or
 * cannot be read, as under some sandboxes. */
bool file_read(const char *path, char *dst, size_t cap);

#endif
