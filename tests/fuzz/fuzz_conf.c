/* SPDX-License-Identifier: MIT */
/*
 * fuzz_conf.c - any bytes as a configuration file.  One that is good prints as a file that says the
 * same.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "fuzz/fuzz.h"
#include "main/conf.h"

static int load(const uint8_t *bytes, size_t len, struct conf *c)
{
    struct trit_error err = {0};
    enum conf_action action;
    char program[] = "tritd", option[] = "--config", path[64];
    const char *file = fuzz_file(bytes, len);
    if (!file)
        return -TRIT_EIO;
    snprintf(path, sizeof path, "%s", file);
    char *argv[] = {program, option, path, NULL};
    int rc = conf_load(3, argv, c, &action, &err);
    trit_assert(rc == 0 || (err.code == -rc && *err.text));
    return rc;
}

static char *print(const struct conf *c, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    trit_assert(out);
    conf_print(c, out);
    trit_assert(fclose(out) == 0);
    return text;
}

/* Without the comment that says where each value came from. */
static size_t strip(char *text, size_t len)
{
    size_t to = 0;
    for (char *line = text, *end; (end = memchr(line, '\n', len - (size_t)(line - text)));
         line = end + 1) {
        char *comment = memmem(line, (size_t)(end - line), " #", 2);
        size_t n = (size_t)((comment ? comment : end) - line);
        while (n && line[n - 1] == ' ')
            n--;
        /* What only the command line can say is no line of a file. */
        if (n > 6 && memcmp(line, "config", 6) == 0)
            continue;
        memmove(text + to, line, n);
        to += n;
        text[to++] = '\n';
    }
    return to;
}

FUZZ(conf)
{
    struct conf c, again;
    if (load(bytes, len, &c) != 0)
        return 0;
    size_t n, n_again;
    char *text = print(&c, &n);
    n = strip(text, n);
    conf_fini(&c);
    trit_assert(load((const uint8_t *)text, n, &again) == 0);
    char *text_again = print(&again, &n_again);
    n_again = strip(text_again, n_again);
    trit_assert(n == n_again && memcmp(text, text_again, n) == 0);
    conf_fini(&again);
    free(text);
    free(text_again);
    return 0;
}
