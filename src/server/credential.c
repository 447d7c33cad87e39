/* SPDX-License-Identifier: MIT */
/*
 * credential.c - paths of secret files.
 */
#include "config.h"
#include "server/credential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define CREDENTIAL "credential:"

int credential_find(const char *path, char found[CREDENTIAL_PATH], struct trit_error *err)
{
    size_t skip = strlen(CREDENTIAL);
    const char *dir = "", *slash = "", *name = path;
    if (strncmp(path, CREDENTIAL, skip) == 0) {
        name = path + skip;
        dir = getenv("CREDENTIALS_DIRECTORY");
        slash = "/";
        if (!dir || strchr(name, '/') || !*name)
            return trit_fail(err, TRIT_EINVAL,
                             "%.64s: expected the name of a LoadCredential= of the service, and "
                             "to be started by systemd",
                             path);
    }
    if (snprintf(found, CREDENTIAL_PATH, "%s%s%s", dir, slash, name) >= CREDENTIAL_PATH)
        return trit_fail(err, TRIT_EINVAL, "%.64s...: the path is too long", path);
    return 0;
}
