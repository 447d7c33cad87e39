#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Grammars of JSON schemas: every text of theirs is valid, says ajv.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node npm
packages=$state/ajv
mkdir -p "$packages"
(
    flock 9
    [ -d "$packages/node_modules/ajv-formats" ] || {
        echo '{"private":true,"type":"module"}' >"$packages/package.json"
        cd "$packages" && npm install --no-audit --no-fund --no-update-notifier \
            --fetch-retries=1 --fetch-timeout=60000 ajv@8.17.1 ajv-formats@3.0.1
    }
) 9>"$packages/lock" >"$work/npm" 2>&1 ||
    skip "npm cannot fetch ajv: $(grep -m1 -i 'err' "$work/npm")"
cp "$here/q-schemas.mjs" "$here/q-shapes.mjs" "$packages/" || broken "cannot copy the programs"
said=$(node "$packages/q-shapes.mjs" "$PWD/shape-texts" 2>&1) || fail "q-shapes.mjs: $said"
echo "$said"
checks=$((checks + 1))
