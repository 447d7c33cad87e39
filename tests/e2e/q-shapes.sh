#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Grammars of JSON schemas: every text of theirs is valid, says ajv.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
npm_packages node-shapes ajv@8.20.0 ajv-formats@3.0.1
bring q-schemas.mjs q-shapes.mjs
said=$(node "$here/q-shapes.mjs" "$PWD/shape-texts" 2>&1) || fail "q-shapes.mjs: $said"
echo "$said"
checks=$((checks + 1))
