#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# trit, the command line client.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
start
export TRITD_URL=$url

# refused PATTERN ARGUMENTS...
refused()
{
    refuses 1 "$1" "$trit" "${@:2}"
}

has "help" "$("$trit" --help)" "trit bench --clients"
has "version" "$("$trit" --version)" "^trit [0-9]"
has "models" "$("$trit" models)" "context 2048"

# Streamed or not, the text is what curl gets.
expected=$(post /v1/completions '{"prompt":"abc","max_tokens":9,"seed":4}')
one=$("$trit" complete --max-tokens 9 --seed 4 abc)
two=$("$trit" complete --max-tokens 9 --seed 4 --no-stream abc)
three=$(printf abc | "$trit" complete --max-tokens 9 --seed 4)
is "not streamed" "$two" "$one"
is "from stdin" "$three" "$one"
has "curl agrees on the length" "$expected" '"finish_reason": ?"(length|stop)"'
[ -n "$one" ] || fail "an empty answer"

has "one question" "$("$trit" chat --max-tokens 5 --seed 1 "Who are you?" | wc -c)" "^[0-9]+$"
# Two turns; the second holds the first, so it is another prompt than asked alone.
talk=$(printf 'first\nsecond\n' | "$trit" chat --max-tokens 6 --temperature 0) ||
    fail "a conversation on stdin"
has "a conversation has an answer for each line" "$(wc -l <<<"$talk")" "^[2-9]"

json=$("$trit" bench --clients 4 --requests 12 --max-tokens 8 --json) || fail "bench"
has "bench: requests" "$json" '"requests":12,"completed":12,"refused":0,"failed":0'
has "bench: tokens" "$json" '"generated_tokens":96,'
has "bench: first texts" "$json" '"first_text_ms":\{"p50":[0-9.]+,"p90":[0-9.]+,"p99":[0-9.]+,"n":1[0-2]\}'
has "bench: a table" "$("$trit" bench --clients 2 --requests 2 --max-tokens 4)" "tokens/s"

refused "no command \"sing\"" sing
refused "temperature: found \"hot\"" complete --temperature hot x
refused "404: .*nobody" complete --model nobody x
refused "[Cc]ould.?n.t connect|[Ff]ailed to connect" models --url http://127.0.0.1:1
refused "the first failure: 404" bench --json --model nobody --clients 1 --requests 1
