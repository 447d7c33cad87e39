/* SPDX-License-Identifier: MIT */
/*
 * schema-run.h - the tree of a schema that stands in a test.
 */
#ifndef TRIT_TEST_SCHEMA_RUN_H
#define TRIT_TEST_SCHEMA_RUN_H

#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "server/json.h"
#include "unit/unit.h"

static inline struct cJSON *schema_tree(const char *text)
{
    struct trit_error err = {0};
    cJSON *tree;
    ck_assert_msg(json_parse(text, strlen(text), &tree, &err) == 0, "%s: %s", text, err.text);
    return tree;
}

#endif
