/* SPDX-License-Identifier: MIT */
/*
 * schema-apart.c - whether two schemas can hold for the same value.
 *
 * Where no two of oneOf can, it means what anyOf means.  What is not seen to be apart may still be.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "server/schema-parts.h"

/* Whether both are bound to values, and to none that both have. */
static int values_differ(struct work *w, const struct parts *a, const struct parts *b, bool *differ)
{
    bool single_a, single_b;
    unsigned at;
    const cJSON *va = schema_values(a, &single_a, &at), *vb = schema_values(b, &single_b, &at);
    *differ = false;
    if (!va || !vb)
        return 0;
    for (const cJSON *x = single_a ? va : va->child; x; x = single_a ? NULL : x->next)
        for (const cJSON *y = single_b ? vb : vb->child; y; y = single_b ? NULL : y->next) {
            int rc = schema_steps(w, 1);
            if (rc || schema_same_value(x, y))
                return rc;
        }
    *differ = true;
    return 0;
}

static bool requires(const struct parts *p, const char *name)
{
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *list = schema_get(p->part[i].schema, "required");
        for (const cJSON *v = list ? list->child : NULL; v; v = v->next)
            if (strcmp(v->valuestring, name) == 0)
                return true;
    }
    return false;
}

/* What `properties` say of a name. */
static int property_of(struct work *w, const struct parts *p, const char *name, struct parts *to)
{
    struct parts found = {0};
    int rc = 0;
    for (unsigned i = 0; i < p->n && rc == 0; i++) {
        const cJSON *v = schema_get(schema_get(p->part[i].schema, "properties"), name);
        if (v)
            rc = schema_add_part(w, &found, v, 0);
    }
    return rc ? rc : schema_flatten(w, &found, to);
}

/* Objects: a required member has other values in the one than in the other, or one requires what
 * the other does not allow. */
static int members_differ(struct work *w, const struct parts *a, const struct parts *b,
                          bool *differ)
{
    for (unsigned i = 0; i < a->n; i++) {
        const cJSON *list = schema_get(a->part[i].schema, "required");
        for (const cJSON *v = list ? list->child : NULL; v; v = v->next) {
            const char *name = v->valuestring;
            int rc = schema_steps(w, 16);
            if (rc)
                return rc;
            for (unsigned k = 0; k < b->n; k++)
                if (cJSON_IsFalse(schema_get(b->part[k].schema, "additionalProperties")) &&
                    !schema_get(schema_get(b->part[k].schema, "properties"), name)) {
                    *differ = true;
                    return 0;
                }
            if (!requires(b, name))
                continue;
            struct parts of_a, of_b;
            rc = property_of(w, a, name, &of_a);
            if (rc == 0)
                rc = property_of(w, b, name, &of_b);
            if (rc == 0)
                rc = values_differ(w, &of_a, &of_b, differ);
            if (rc || *differ)
                return rc;
        }
    }
    return 0;
}

int schema_told_apart(struct work *w, const struct parts *a, const struct parts *b, bool *apart)
{
    unsigned common = schema_types(a, false) & schema_types(b, false);
    *apart = a->never || b->never || common == 0;
    if (*apart)
        return schema_steps(w, 8);
    int rc = values_differ(w, a, b, apart);
    if (rc == 0 && !*apart && common == IS_OBJECT)
        rc = members_differ(w, a, b, apart);
    if (rc == 0 && !*apart && common == IS_OBJECT)
        rc = members_differ(w, b, a, apart);
    return rc;
}
