#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Structured output with the model that is shipped: what it says at temperature 1 is valid, says ajv;
# the official package's helpers; grammars; and what happens where nothing can follow.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
npm_packages node-structured openai@6.49.0 zod@4.6.7 ajv@8.20.0 ajv-formats@3.0.1
name=$(sed -n 's|^#model = .*/||p' conf/tritd.conf)
[ -n "$name" ] || broken "conf/tritd.conf names no model"
bring q-schemas.mjs x-structured.mjs x-stuck.mjs

model=$top/models/$name
start --log-level notice --max-batch 16
run_node x-structured.mjs
stop
is "exit status" "$ended" 0

# Where nothing can follow: with random weights, which obey.
model=
make_model
start --log-level notice
run_node x-stuck.mjs
stop
is "exit status" "$ended" 0
