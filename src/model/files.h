/* SPDX-License-Identifier: MIT */
/*
 * files.h - what the readers of models ask of the file system, and no more than that.
 *
 * A process that reads a model for another (model/loader.h) can open nothing: there these questions
 * go to whoever it reads for, who answers them of the model's own path alone.
 */
#ifndef TRIT_FILES_H
#define TRIT_FILES_H

#include <stdbool.h>
#include <stdint.h>

struct trit_error;

/* Who answers.  As the functions below have it. */
struct files_door {
    int (*open)(const char *path, int *fd, uint64_t *bytes, struct trit_error *err);
    bool (*has)(const char *folder, const char *name);
    bool (*has_suffix)(const char *folder, const char *suffix);
    char *(*real)(const char *path);
};

/* From now on and in this process; NULL: the file system itself.  Before there are threads. */
void files_set_door(const struct files_door *door);

/*
 * Open a regular file for reading, without waiting for what is none.  *fd (-1: none) and *bytes are
 * set.  -TRIT_ENOENT, -TRIT_EIO or -TRIT_EFORMAT; *fd may be open then and is the caller's.
 */
int files_open(const char *path, int *fd, uint64_t *bytes, struct trit_error *err);

/* Whether the folder has an entry of this name; any whose name ends so. */
bool files_has(const char *folder, const char *name);
bool files_has_suffix(const char *folder, const char *suffix);

/* The path without links, to be freed; NULL: there is none, or no memory. */
char *files_real(const char *path);

/* Bytes of a file, or of all files in a folder; 0 where there is none.  By the file system itself.
 */
uint64_t files_bytes(const char *path, bool *folder);

#endif
