#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The model that is shipped: it is sound, and it speaks as well as its card says.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "is about the model in models/"
[ -x "$tritd" ] || skip "there is no tritd in $PWD"
name=$(sed -n 's|^#model = .*/||p' conf/tritd.conf)
[ -n "$name" ] || broken "conf/tritd.conf names no model"
model=$top/models/$name
[ -f "$model" ] || broken "models/$name is missing"
need node python3

has "trit-model verify" "$("$trit_model" verify "$model" 2>&1)" ' 0 problems'
[ "$(stat -c %s "$model")" -le $((8 << 20)) ] || fail "models/$name is larger than 8 MiB"
checks=$((checks + 1))
start --log-level notice
run_node k-builtin.mjs "$top/tools/trit-perplexity" "$here/k-builtin.txt"
stop
is "exit status" "$ended" 0
