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

FUZZ(schema)
{
    cJSON *tree;
    struct trit_error err = {0};
    if (json_parse((const char *)bytes, len, &tree, &err))
        return 0;
    struct shape s = {.kind = SHAPE_SCHEMA, .field = "s", .tree = tree};
    fuzz_shape(&s, bytes, len);
    return 0;
}
