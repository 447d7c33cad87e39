/* SPDX-License-Identifier: MIT */
/*
 * recall.c - changes of models, written and read.
 */
#include "config.h"
#include "main/recall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "main/conf-key.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* ------------------------------------------------------------------ writing */

static void add_string(struct buf *list, const char *s)
{
    buf_add(list, s, strlen(s) + 1);
}

static void add_model(struct buf *list, const char *word, const struct conf *m)
{
    if (!m)
        return;
    add_string(list, word);
    for (size_t i = 0; i < conf_n_keys; i++) {
        if (!conf_keys[i].of_model)
            continue;
        buf_addf(list, "%s=%s", conf_keys[i].name, m->text[i]);
        buf_addc(list, '\0');
    }
}

void recall_add(struct buf *list, const struct conf *file, const struct conf *api)
{
    trit_assert(file || api);
    if (list->len == 0)
        add_string(list, RECALL_MAGIC);
    add_model(list, "file", file);
    add_model(list, "api", api);
    add_string(list, "end");
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

int recall_save(const struct buf *list)
{
    int fd = list->failed ? -1 : mem_memfd("tritd-models");
    if (fd < 0)
        return -1;
    if (write_all(fd, list->data, list->len) && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* ------------------------------------------------------------------ reading */

/* All of it, NUL-terminated: what is in *list then ends with a string. */
static int slurp(int fd, struct buf *list, struct trit_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return trit_fail(err, TRIT_EFORMAT, "the list of models: is not a file");
    if (st.st_size > RECALL_BYTES)
        return trit_fail(err, TRIT_ETOOBIG, "the list of models: %lld bytes, expected %d at most",
                         (long long)st.st_size, RECALL_BYTES);
    size_t len = (size_t)st.st_size;
    if (!buf_reserve(list, len + 1))
        return trit_fail(err, TRIT_ENOMEM, "no memory for the list of models");
    while (list->len < len) {
        ssize_t n = pread(fd, list->data + list->len, len - list->len, (off_t)list->len);
        if (n <= 0)
            return trit_fail(err, TRIT_EIO, "the list of models: cannot be read: %s",
                             n ? strerror(errno) : "it is shorter than it was");
        list->len += (size_t)n;
    }
    if (len == 0 || list->data[len - 1] != '\0')
        return trit_fail(err, TRIT_EFORMAT, "the list of models: its end is missing");
    return 0;
}

static int set(struct conf *m, const char *text, struct trit_error *err)
{
    const char *equals = strchr(text, '=');
    if (!m || !equals)
        return trit_fail(err, TRIT_EFORMAT, "the list of models: found \"%.64s\", expected %s",
                         text, m ? "KEY=VALUE" : "\"file\" or \"api\"");
    const struct conf_key *key = conf_find(text, (size_t)(equals - text));
    if (!key || !key->of_model) {
        log_warn("model-list unknown=\"%.64s\"", text);
        return 0;
    }
    char where[80];
    snprintf(where, sizeof where, "the list of models: %.40s", key->name);
    return conf_set(m, key, equals + 1, CONF_COMMAND, where, err);
}

/* A model begins: what is not told of it, it has from the rest. */
static int begin(const struct conf *rest, bool *has, struct conf *m, struct trit_error *err)
{
    if (*has)
        return trit_fail(err, TRIT_EFORMAT, "the list of models: a change says one thing twice");
    int rc = conf_copy_model(rest, NULL, NULL, m, err);
    *has = rc == 0;
    return rc;
}

static int end(const struct recall_change *c, struct trit_error *err)
{
    if (!c->has_file && !c->has_api)
        return trit_fail(err, TRIT_EFORMAT, "the list of models: a change says nothing");
    if (c->has_api && !conf_is_name(c->api.alias))
        return trit_fail(err, TRIT_EINVAL, "the list of models: found \"%.64s\", expected a name",
                         c->api.alias);
    return c->has_api ? conf_check_together(&c->api, err) : 0;
}

static int parse(const struct buf *list, const struct conf *rest, struct recall *r,
                 struct trit_error *err)
{
    const char *p = list->data, *last = p + list->len;
    struct conf *m = NULL;
    bool is_open = false;
    int rc = 0;
    if (strcmp(p, RECALL_MAGIC) != 0)
        return trit_fail(err, TRIT_EFORMAT,
                         "the list of models: found \"%.32s\", expected \"" RECALL_MAGIC "\"", p);
    while (rc == 0 && (p += strlen(p) + 1) < last) {
        if (!is_open && r->n == RECALL_MAX)
            return trit_fail(err, TRIT_ETOOBIG, "the list of models: more than %d changes",
                             RECALL_MAX);
        struct recall_change *c = is_open ? &r->at[r->n - 1] : &r->at[r->n++];
        is_open = true;
        if (strcmp(p, "file") == 0) {
            rc = begin(rest, &c->has_file, m = &c->file, err);
        } else if (strcmp(p, "api") == 0) {
            rc = begin(rest, &c->has_api, m = &c->api, err);
        } else if (strcmp(p, "end") == 0) {
            rc = end(c, err);
            m = NULL;
            is_open = false;
        } else {
            rc = set(m, p, err);
        }
    }
    if (rc == 0 && is_open)
        rc = trit_fail(err, TRIT_EFORMAT, "the list of models: a change has no end");
    return rc;
}

int recall_read(int fd, const struct conf *rest, struct recall *r, struct buf *list,
                struct trit_error *err)
{
    struct buf own = {0};
    *r = (struct recall){0};
    if (!list)
        list = &own;
    int rc = slurp(fd, list, err);
    if (rc == 0)
        rc = parse(list, rest, r, err);
    if (rc)
        recall_free(r);
    buf_free(&own);
    return rc;
}

void recall_free(struct recall *r)
{
    for (size_t i = 0; i < r->n; i++) {
        conf_fini(&r->at[i].file);
        conf_fini(&r->at[i].api);
    }
    r->n = 0;
}

const struct recall_change *recall_find(const struct recall *r, const struct conf *file)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->at[i].has_file && conf_same_model(&r->at[i].file, file))
            return &r->at[i];
    return NULL;
}
