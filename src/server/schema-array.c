/* SPDX-License-Identifier: MIT */
/*
 * schema-array.c - arrays: which elements, and how many.
 */
#include "config.h"

#include <inttypes.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"
#include "server/gbnf.h"
#include "server/schema-parts.h"

/* What all parts say of element i; `behind`: of those behind every prefixItems. */
static int element_view(struct work *w, const struct parts *p, size_t i, bool behind, bool *never,
                        uint32_t *view)
{
    struct parts v = {0};
    int rc = 0;
    for (unsigned k = 0; k < p->n && rc == 0; k++) {
        const cJSON *prefix = schema_get(p->part[k].schema, "prefixItems");
        size_t n = prefix ? (size_t)cJSON_GetArraySize(prefix) : 0;
        const cJSON *of = !behind && i < n ? cJSON_GetArrayItem(prefix, (int)i)
                                           : schema_get(p->part[k].schema, "items");
        rc = schema_steps(w, n);
        if (of && rc == 0)
            rc = schema_add_part(w, &v, of, 0);
    }
    return rc ? rc : schema_view_or_never(w, &v, never, view);
}

struct elements {
    uint32_t *view; /* of the first n */
    uint64_t n, least, most;
    bool more; /* others behind them */
    uint32_t more_view;
};

static int collect_elements(struct work *w, const struct parts *p, struct elements *e)
{
    const cJSON *at = NULL, *to = NULL;
    const cJSON *min = schema_bound(p, "minItems", true, &at);
    const cJSON *max = schema_bound(p, "maxItems", false, &to);
    bool items = false, never = false;
    size_t n = 0;
    e->least = min ? (uint64_t)min->valuedouble : 0;
    e->most = max ? (uint64_t)max->valuedouble : UINT64_MAX;
    for (unsigned k = 0; k < p->n; k++) {
        const cJSON *prefix = schema_get(p->part[k].schema, "prefixItems");
        n = MAX(n, prefix ? (size_t)cJSON_GetArraySize(prefix) : 0);
        items |= schema_get(p->part[k].schema, "items") != NULL;
    }
    n = MIN(n, e->most);
    e->view = mem_zalloc(n, sizeof *e->view);
    if (!e->view)
        return schema_no_memory(w);
    int rc = 0;
    for (; e->n < n && rc == 0; e->n++) {
        rc = element_view(w, p, e->n, false, &never, &e->view[e->n]);
        if (never)
            break;
    }
    /* Behind prefixItems only what is asked for. */
    if (rc == 0 && !never && e->most > n && (n == 0 || items || e->least > n)) {
        rc = element_view(w, p, 0, true, &never, &e->more_view);
        e->more = !never;
    }
    if (!e->more)
        e->most = MIN(e->most, e->n);
    if (rc == 0 && e->least > e->most)
        rc = schema_refuse(w, at, "minItems", "the keyword \"minItems\": no array is that long");
    return rc;
}

static void put_elements(struct work *w, const struct elements *e, const char *base,
                         struct buf *expr)
{
    /* Rule e<i>: from element i on, each with its comma. */
    for (uint64_t i = 1; i <= e->n; i++) {
        buf_addf(w->out, "%se%" PRIu64 " ::= ", base, i);
        if (i < e->n) {
            buf_addf(w->out, "%s%s", i < e->least ? "" : "(", SCHEMA_COMMA);
            schema_name(w, e->view[i], w->out);
            buf_addf(w->out, " %se%" PRIu64 "%s", base, i + 1, i < e->least ? "" : ")?");
        } else if (e->more && e->most > e->n) {
            buf_addf(w->out, "(%s", SCHEMA_COMMA);
            schema_name(w, e->more_view, w->out);
            buf_adds(w->out, ")");
            gbnf_repeat(w->out, e->least > e->n ? e->least - e->n : 0,
                        e->most == UINT64_MAX ? e->most : e->most - e->n);
        } else {
            buf_adds(w->out, "\"\"");
        }
        buf_addc(w->out, '\n');
    }
    buf_adds(expr, "\"[\" ");
    if (e->most) {
        buf_addc(expr, '(');
        schema_name(w, e->n ? e->view[0] : e->more_view, expr);
        if (e->n) {
            buf_addf(expr, " %se1", base);
        } else if (e->most > 1) {
            buf_addf(expr, " (%s", SCHEMA_COMMA);
            schema_name(w, e->more_view, expr);
            buf_addc(expr, ')');
            gbnf_repeat(expr, e->least ? e->least - 1 : 0,
                        e->most == UINT64_MAX ? e->most : e->most - 1);
        }
        buf_adds(expr, e->least ? ") " : ")? ");
    }
    buf_adds(expr, "\"]\"");
}

int schema_write_array(struct work *w, const struct parts *p, uint32_t number, struct buf *expr)
{
    struct elements e = {0};
    struct buf base = {0};
    schema_name(w, number, &base);
    if (number == 0)
        buf_addc(&base, '-');
    int rc = base.failed ? schema_no_memory(w) : collect_elements(w, p, &e);
    if (rc == 0)
        put_elements(w, &e, base.data, expr);
    mem_free(e.view);
    buf_free(&base);
    return rc ? rc : schema_steps(w, e.n);
}
