/* SPDX-License-Identifier: MIT */
/*
 * credential.h - where a secret file is: as it is named, or among systemd's credentials.
 */
#ifndef TRIT_CREDENTIAL_H
#define TRIT_CREDENTIAL_H

struct trit_error;

enum { CREDENTIAL_PATH = 4096 }; /* bytes of a path with its NUL */

/*
 * "credential:NAME" is the file NAME in $CREDENTIALS_DIRECTORY, where systemd puts what
 * LoadCredential= names; all else is a path.  -TRIT_EINVAL with *err: there is no such directory,
 * or the path is too long.
 */
int credential_find(const char *path, char found[CREDENTIAL_PATH], struct trit_error *err);

#endif
