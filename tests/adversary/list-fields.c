/* SPDX-License-Identifier: MIT */
/*
 * list-fields.c - every field of every endpoint, one a line: path, name, type, least and greatest
 * value; so that a test from outside forgets none.
 */
#include "config.h"

#include <stdio.h>

#include "base/base.h"
#include "server/params.h"

int main(void)
{
    static const struct {
        unsigned on;
        const char *path;
    } endpoint[] = {
        {FOR_COMPLETIONS, "/v1/completions"}, {FOR_CHAT, "/v1/chat/completions"},
        {FOR_TOKENIZE, "/tokenize"},          {FOR_DETOKENIZE, "/detokenize"},
        {FOR_TEMPLATE, "/apply-template"},    {FOR_EMBEDDINGS, "/v1/embeddings"},
    };
    static const char *const type[] = {
        [FIELD_BOOL] = "bool",     [FIELD_INT] = "int",       [FIELD_NUMBER] = "number",
        [FIELD_SEED] = "seed",     [FIELD_STRING] = "string", [FIELD_LIST] = "list",
        [FIELD_OBJECT] = "object", [FIELD_MIXED] = "mixed",   [FIELD_REFUSE] = "refused",
    };
    const struct field_table *t = params_table();
    for (size_t e = 0; e < ARRAY_LEN(endpoint); e++)
        for (size_t i = 0; i < t->n; i++)
            if (t->row[i].on & endpoint[e].on)
                printf("%s %s %s %.17g %.17g\n", endpoint[e].path, t->row[i].name,
                       type[t->row[i].type], t->row[i].min, t->row[i].max);
    return 0;
}
