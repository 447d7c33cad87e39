#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fields of completions and chat that are easily got wrong: each does what OpenAI documents.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
start
run_node r-fields.mjs
