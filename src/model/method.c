/* SPDX-License-Identifier: MIT */
/*
 * method.c - the names of the methods.
 */
#include "config.h"
#include "model/method.h"

#include <string.h>

#include "base/base.h"

static const char *const names[METHODS] = {
    [METHOD_TERNARY] = "ternary",
    [METHOD_ONEBIT] = "onebit",
    [METHOD_B1] = "b1",
    [METHOD_BILLM] = "billm",
};

const char *method_name(enum method_id method)
{
    trit_assert(method < METHODS);
    return names[method];
}

enum method_id method_find(const char *name, size_t len)
{
    size_t i = 0;
    while (i < METHODS && (strlen(names[i]) != len || memcmp(names[i], name, len) != 0))
        i++;
    return (enum method_id)i;
}
