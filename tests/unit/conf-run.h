/* SPDX-License-Identifier: MIT */
/*
 * conf-run.h - a configuration from words and from a file that stand in a test.
 */
#ifndef TRIT_TEST_CONF_RUN_H
#define TRIT_TEST_CONF_RUN_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "main/conf-key.h"
#include "unit/unit.h"

static struct conf conf;
static struct trit_error err;
static enum conf_action action;

/* conf_load with the given words behind the program's name. */
#define LOAD(...) load((const char *[]){"tritd", __VA_ARGS__, NULL})

static inline int load(const char *const *words)
{
    char *argv[16]; /* getopt may reorder words but writes none */
    int argc = 0;
    while (words[argc])
        argc++;
    ck_assert_int_lt(argc, (int)ARRAY_LEN(argv));
    memcpy(argv, words, ((size_t)argc + 1) * sizeof *argv);
    return conf_load(argc, argv, &conf, &action, &err);
}

/* A file with this content; its path stays valid until the next call. */
static inline char *file_of(const char *content)
{
    static char path[64];
    snprintf(path, sizeof path, "check_conf.%ld.tmp", (long)getpid());
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(content, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

static inline void drop_file(void)
{
    unlink(file_of(""));
}

static inline void assert_refused(const char *content, const char *text)
{
    char *path = file_of(content);
    ck_assert_int_lt(LOAD("--model", "m.gguf", "--config", path), 0);
    char expected[600];
    snprintf(expected, sizeof expected, "%s:%s", path, text);
    ck_assert_str_eq(err.text, expected);
    drop_file();
}

#endif
