/* SPDX-License-Identifier: MIT */
/*
 * version.h - what a bug report should begin with.
 */
#ifndef TRIT_VERSION_H
#define TRIT_VERSION_H

#include <stdio.h>

/* Version, compiler, libraries as they are loaded, kernels in the binary and the one in use. */
void version_print(FILE *out);

#endif
