#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Bad requests of every kind: each gets the right status and the name of the field, none harms.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
start --max-body 64K --ctx 512
run_node f-bad-requests.mjs
stop
is "exit status" "$ended" 0
