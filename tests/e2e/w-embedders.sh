#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Models that only embed: their known vectors through the real daemon, and what they refuse.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
export ANSWERS=$top/tests/golden/embeddings.json CASES
for name in embed-qwen3.gguf embed-gemma3.gguf embed-plain.gguf embed-gemma3.hf; do
    model=$top/tests/golden/models/$name
    CASES=${name%.*}
    start --ctx 320 --threads 2 --step-tokens 48
    run_node w-embedders.mjs
    stop
    is "$name: exit status" "$ended" 0
done

# ---- the page of a model that cannot talk still comes, and readiness does not wait for words
start --ctx 320
is "ready" "$(curl -fs "$url/readyz")" '{"status":"ready"}'
stop
