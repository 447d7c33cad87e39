#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Functions that the model calls, through the official package and its helpers.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
npm_packages node-tools openai@6.49.0 ajv@8.20.0
model=$top/models/storyteller.gguf
start
bring x-tools.mjs
run_node x-tools.mjs
