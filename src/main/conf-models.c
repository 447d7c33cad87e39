/* SPDX-License-Identifier: MIT */
/*
 * conf-models.c - several models: each a configuration of its own, that has from the rest what it
 * does not say for itself.
 *
 * While it is read, a further model holds only the texts that are its own.  conf_inherit() makes it
 * whole; from then on what it has from the rest counts as default, and its own as what it was.
 */
#include "config.h"
#include "main/conf-key.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "base/utf8.h"

bool conf_is_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > CONF_NAME_BYTES || strpbrk(name, ",[]#") || name[0] == ' ' ||
        name[len - 1] == ' ' || !utf8_valid(name, len))
        return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return true;
}

int conf_check_name(const char *name, const char *where, struct trit_error *err)
{
    if (conf_is_name(name))
        return 0;
    return trit_fail(err, TRIT_EINVAL,
                     "%s: found \"%.64s\", expected a name of at most %d bytes without commas, "
                     "brackets and #",
                     where, name, CONF_NAME_BYTES);
}

static size_t row_of(const char *name)
{
    return (size_t)(conf_find(name, strlen(name)) - conf_keys);
}

struct conf *conf_add_model(struct conf *c, const char *name, const char *where,
                            struct trit_error *err)
{
    if (*name && conf_check_name(name, where, err))
        return NULL;
    for (size_t i = 0; *name && i < c->n_more; i++)
        if (strcmp(c->more[i].alias ? c->more[i].alias : "", name) == 0) {
            trit_fail(err, TRIT_EINVAL, "%s: there is a model \"%.64s\" already", where, name);
            return NULL;
        }
    if (c->n_more + 1 >= CONF_MODELS_MAX) {
        trit_fail(err, TRIT_ETOOBIG, "%s: more than %d models", where, CONF_MODELS_MAX);
        return NULL;
    }
    struct conf *grown = mem_resize(c->more, c->n_more + 1, sizeof *grown);
    if (!grown) {
        trit_fail(err, TRIT_ENOMEM, "%s: no memory for the value", where);
        return NULL;
    }
    c->more = grown;
    struct conf *m = &grown[c->n_more++];
    memset(m, 0, sizeof *m);
    if (*name && conf_set(m, &conf_keys[row_of("alias")], name, CONF_FILE, where, err))
        return NULL;
    return m;
}

/* The text of c's key i, or the default of what is about c's file: two of a name cannot be. */
static int take_text(struct conf *m, const struct conf *c, size_t i, struct trit_error *err)
{
    const char *text = conf_keys[i].of_file ? conf_keys[i].text : c->text[i];
    return conf_set(m, &conf_keys[i], text, CONF_DEFAULT, conf_keys[i].name, err);
}

int conf_inherit(struct conf *c, struct trit_error *err)
{
    int rc = 0;
    for (size_t k = 0; k < c->n_more && rc == 0; k++) {
        struct conf *m = &c->more[k];
        if (!m->model)
            return trit_fail(err, TRIT_EINVAL,
                             "[model %.64s]: model: found nothing, expected the path of its file",
                             m->alias);
        for (size_t i = 0; i < conf_n_keys && rc == 0; i++)
            if (!m->text[i])
                rc = take_text(m, c, i, err);
        if (rc == 0)
            rc = conf_check_together(m, err);
        for (size_t l = 0; l < k && rc == 0; l++)
            if (*m->alias && strcmp(m->alias, c->more[l].alias) == 0)
                rc =
                    trit_fail(err, TRIT_EINVAL, "alias: two models are called \"%.64s\"", m->alias);
        if (rc == 0 && *m->alias && conf_model(c, 0) == c && strcmp(m->alias, c->alias) == 0)
            rc = trit_fail(err, TRIT_EINVAL, "alias: two models are called \"%.64s\"", m->alias);
    }
    return rc;
}

size_t conf_n_models(const struct conf *c)
{
    bool own = c->n_more == 0 || c->origin[row_of("model")] != CONF_DEFAULT;
    return c->n_more + own;
}

const struct conf *conf_model(const struct conf *c, size_t i)
{
    trit_assert(i < conf_n_models(c));
    bool own = conf_n_models(c) > c->n_more;
    return own && i == 0 ? c : &c->more[i - own];
}

bool conf_says(const struct conf *c, const char *key)
{
    return c->origin[row_of(key)] != CONF_DEFAULT;
}

bool conf_same_model(const struct conf *a, const struct conf *b)
{
    for (size_t i = 0; i < conf_n_keys; i++)
        if (conf_keys[i].of_model && strcmp(a->text[i], b->text[i]) != 0)
            return false;
    return true;
}

int conf_copy_model(const struct conf *c, const char *name, const char *path, struct conf *to,
                    struct trit_error *err)
{
    memset(to, 0, sizeof *to);
    int rc = name ? conf_check_name(name, "name", err) : 0;
    bool other = path && strcmp(path, c->model) != 0;
    for (size_t i = 0; i < conf_n_keys && rc == 0; i++) {
        const char *text = name && i == row_of("alias")     ? name
                           : path && i == row_of("model")   ? path
                           : other && conf_keys[i].of_file ? conf_keys[i].text
                                                            : c->text[i];
        rc = conf_set(to, &conf_keys[i], text, (enum conf_origin)c->origin[i], conf_keys[i].name,
                      err);
    }
    if (rc)
        conf_fini(to);
    return rc;
}
