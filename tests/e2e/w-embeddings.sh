#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# /v1/embeddings: with the official OpenAI package, with limits, and with clients that leave.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
openai_package
start --ctx 256 --max-batch 4 --queue-requests 8 --queue-tokens 1000 --threads 1
bring w-embeddings.mjs
first=$work/first.json
FIRST=$first run_node w-embeddings.mjs
stop
is "exit status" "$ended" 0

# ---- the same bytes with other threads, chunks and places; other ones with another pooling
start --ctx 256 --max-batch 16 --step-tokens 16 --threads 2 --no-prefix-cache
FIRST=$first run_node w-embeddings.mjs same
stop
start --ctx 256 --pooling last
FIRST=$first run_node w-embeddings.mjs other
stop
is "exit status" "$ended" 0
