/* SPDX-License-Identifier: MIT */
/*
 * shelf.h - the directory of models that trit pull fills: OWNER/NAME/FILE for what comes from a
 * hub, FILE for what comes from an address.
 */
#ifndef TRIT_CLIENT_SHELF_H
#define TRIT_CLIENT_SHELF_H

#include <stdbool.h>
#include <stddef.h>

struct trit_error;

/* Where it is: what was asked for (may be NULL), $TRIT_MODELS, or below $XDG_DATA_HOME or the home
 * directory.  mem_free; NULL: no memory, or no home. */
char *shelf_directory(const char *asked);

/* Make the directories of a file's path; its last part is the file's.  Negative with *err. */
int shelf_make_way(const char *path, struct trit_error *err);

/* Whether a name may be part of a path here: not empty, no ".." and nothing hidden, no odd
 * characters. */
bool shelf_is_name(const char *name, size_t len);

/* Whether every part of a path is such a name, so that it cannot lead out of the directory. */
bool shelf_is_path(const char *path);

/* Of "m-00002-of-00003.gguf", or with another ending, the number of the part and how many there
 * are; 0: it is no part of a model. */
unsigned shelf_part(const char *name, unsigned *of);

/* How much of a part's name or path comes before "-00002-of-00003". */
size_t shelf_stem(const char *name);

/* Print what is there: models, their sizes, and what is not yet whole. */
int shelf_list(const char *directory, struct trit_error *err);

/* Remove a model, a file or a folder, by its name as shelf_list prints it. */
int shelf_remove(const char *directory, const char *name, struct trit_error *err);

#endif
