#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# doc/openapi.yaml: that it is valid, that every API route is in it, and that the daemon's real
# answers are what it says.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
openapi_packages
umask 077
"$trit" keys new alice >"$work/api-keys" 2>"$work/key" || broken "trit keys new"
"$trit" keys new bob concurrency=1 >>"$work/api-keys" 2>"$work/key2" || broken "trit keys new"
"$trit" keys new carol admin=yes >>"$work/api-keys" 2>"$work/key3" || broken "trit keys new"
KEY_ADMIN=$(cat "$work/key3")
KEY=$(cat "$work/key") KEY_ONE=$(cat "$work/key2")
export KEY KEY_ONE KEY_ADMIN
sed -n 's|^    {"\(/v1/[^"]*\)".*|\1|p' "$top/src/server/routes.c" >"$work/routes"
export ROUTES=$work/routes DOCUMENT=$top/doc/openapi.yaml
start --api-keys "$work/api-keys"
export MODEL=$model
bring s-openapi.mjs
run_node s-openapi.mjs
