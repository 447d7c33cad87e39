/* SPDX-License-Identifier: MIT */
/*
 * fuzz_framing.c - a header, "VERSION \n NAME \n VALUE \n NAME ...", to the judges of framing and
 * of origin.  What framing lets pass has one meaning.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "fuzz/fuzz.h"
#include "server/framing.h"
#include "server/origin.h"
#include "server/problem.h"

static char *next_line(char **at)
{
    return *at ? strsep(at, "\n") : NULL;
}

static void origin(const char *name, const char *value)
{
    const char *at = value;
    size_t word = 0;
    int bad = 0;
    while (origin_next_word(&at, &word))
        trit_assert(word > 0);
    (void)origin_bad_word(value, &bad);
    (void)origin_host_allowed(value, name);
    (void)origin_is_same(value, name);
    (void)origin_listed(name, value);
    (void)origin_header_allowed(name, (int)strlen(name));
}

FUZZ(framing)
{
    char *copy = malloc(len + 1), *at = copy;
    trit_assert(copy);
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    struct framing f = {0};
    struct problem p = {0};
    unsigned lengths = 0, encodings = 0, hosts = 0;
    char *version = next_line(&at), *name;
    while ((name = next_line(&at))) {
        char *value = next_line(&at);
        framing_header(&f, name, value);
        origin(name, value ? value : "");
        lengths += strcasecmp(name, "content-length") == 0;
        encodings += strcasecmp(name, "transfer-encoding") == 0;
        hosts += strcasecmp(name, "host") == 0;
    }
    if (framing_check(&f, version, &p) == 0) {
        trit_assert(lengths + encodings <= 1 && hosts <= 1);
        trit_assert(framing_has_body(&f) == (encodings || f.length));
    } else {
        trit_assert(p.status == 400 && *p.text);
    }
    free(copy);
    return 0;
}
