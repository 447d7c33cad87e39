#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The official OpenAI package for Node, as a user has it from npm, against the daemon.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node npm

# Fetched once for each build directory; the version that the tests were written with.
packages=$state/node
if [ ! -d "$packages/node_modules/openai" ]; then
    mkdir -p "$packages"
    echo '{"private":true,"type":"module"}' >"$packages/package.json"
    (cd "$packages" && npm install --no-audit --no-fund --no-update-notifier \
        --fetch-retries=1 --fetch-timeout=60000 openai@6.49.0) >"$work/npm" 2>&1 ||
        skip "npm cannot fetch the openai package: $(grep -m1 -i 'err' "$work/npm")"
fi
start
# Node looks for packages beside the program.
cp "$here/lib.mjs" "$here/c-openai.mjs" "$top/clients/node/example.mjs" "$packages/" ||
    broken "cannot copy the programs"
here=$packages
run_node c-openai.mjs

said=$(TRITD_URL=$url node "$packages/example.mjs" 2>&1) || fail "clients/node/example.mjs: $said"
has "example: model" "$said" "^model: "
has "example: a whole answer" "$said" "^answer: "
has "example: usage of a stream" "$said" "^tokens: [0-9]+$"
has "example: an error" "$said" "^refused: temperature: "
