/* SPDX-License-Identifier: MIT */
/*
 * page.h - the page for people: files that are part of the binary, at / and /page/.
 *
 * Their sources are in src/server/page/; page-embed.sh makes page-files.c of them.
 */
#ifndef TRIT_PAGE_H
#define TRIT_PAGE_H

#include <stddef.h>

struct exchange;

struct page_file {
    const char *path, *type; /* as in the request line, as in Content-Type */
    const unsigned char *data;
    size_t len; /* bytes */
};

/* page-files.c */
extern const struct page_file page_files[];
extern const size_t page_n_files;

/* GET and HEAD: the file of this path, 304 where the client has it already, or 404. */
void page_handle(struct exchange *x);

#endif
