#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The official OpenAI package for Node, as a user has it from npm, against the daemon.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
openai_package
start
bring c-openai.mjs
cp "$top/clients/node/example.mjs" "$packages/" || broken "cannot copy example.mjs"
run_node c-openai.mjs

said=$(TRITD_URL=$url node "$packages/example.mjs" 2>&1) || fail "clients/node/example.mjs: $said"
has "example: model" "$said" "^model: "
has "example: a whole answer" "$said" "^answer: "
has "example: usage of a stream" "$said" "^tokens: [0-9]+$"
has "example: an error" "$said" "^refused: temperature: "
