/* SPDX-License-Identifier: MIT */
/*
 * fuzz_keys.c - any bytes as a file of API keys.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "fuzz/fuzz.h"
#include "server/keys.h"

FUZZ(keys)
{
    struct keys keys;
    struct trit_error err = {0};
    const char *path = fuzz_file(bytes, len);
    if (!path)
        return 0;
    int rc = keys_load(path, &keys, &err);
    if (rc) {
        trit_assert(!keys.key && keys.n == 0 && err.code == -rc && *err.text);
        /* A key that stands in the wrong place is not repeated to the log. */
        const char *key = strstr(err.text, "trit-");
        trit_assert(!key || strspn(key + 5, "0123456789abcdef") < 64);
        return 0;
    }
    trit_assert(keys.n >= 1 && keys.n <= KEYS_MAX);
    for (size_t i = 0; i < keys.n; i++) {
        size_t n = strlen(keys.key[i].grant.name);
        trit_assert(n >= 1 && n < ADMIT_NAME);
    }
    trit_assert(!keys_find(&keys, "trit-", 5));
    keys_free(&keys);
    return 0;
}
