/* SPDX-License-Identifier: MIT */
/*
 * fuzz_schema.c - any JSON text as a schema: it is refused with a path, or becomes a grammar that
 * compiles or is refused by its size.
 */
#include "config.h"
#include "fuzz/fuzz.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "fuzz/walk.h"
#include "server/json.h"
#include "server/problem.h"
#include "server/shape.h"

FUZZ(schema)
{
    cJSON *tree;
    struct trit_error err = {0};
    if (json_parse((const char *)bytes, len, &tree, &err))
        return 0;
    struct shape s = {.kind = SHAPE_SCHEMA, .field = "s", .tree = tree};
    struct problem p = {0};
    struct grammar *g;
    int rc = shape_compile(&s, &g, &p);
    trit_assert(rc ? !g && p.text[0] && p.status >= 400 : g != NULL);
    if (rc == 0)
        fuzz_walk(g, bytes, len);
    grammar_unref(g);
    shape_fini(&s);
    return 0;
}
