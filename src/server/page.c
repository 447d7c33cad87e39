/* SPDX-License-Identifier: MIT */
/*
 * page.c - serving the page for people.
 *
 * Not here: what it may do, which are headers and so in exchange.c; what it does, which is in
 * page/.
 */
#include "config.h"
#include "server/page.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "base/base.h"
#include "server/parts.h"
#include "server/problem.h"

static const struct page_file *find(const char *path)
{
    for (size_t i = 0; i < page_n_files; i++)
        if (strcmp(page_files[i].path, path) == 0)
            return &page_files[i];
    return NULL;
}

/* RFC 9110, 13.1.2.  Tags are quoted and hold no quotes, so one that is found in the list is one of
 * its members, weak or not. */
static bool has_already(struct exchange *x)
{
    const char *theirs = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "If-None-Match");
    return theirs && (strcmp(theirs, "*") == 0 || strstr(theirs, x->etag));
}

void page_handle(struct exchange *x)
{
    const struct page_file *f = find(x->path);
    struct problem p;
    if (!f) {
        problem_set(&p, TRIT_ENOENT, NULL, "the page has no such file");
        exchange_problem(x, &p);
        return;
    }
    snprintf(x->etag, sizeof x->etag, "\"%016llx\"",
             (unsigned long long)XXH3_64bits(f->data, f->len));
    /* libmicrohttpd sends no body with 304, but its length, which must be that of the 200. */
    buf_add(&x->out, f->data, f->len);
    exchange_whole(x, has_already(x) ? 304 : 200, f->type);
}
