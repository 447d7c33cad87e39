#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# trit-bench load and start: do their figures agree with the daemon's own?
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
bench=$PWD/trit-bench
[ -x "$bench" ] || skip "there is no trit-bench in $PWD"
need node
built_in=$top/models/$(sed -n 's|^#model = .*/||p' conf/tritd.conf)
[ ! -f "$built_in" ] || model=$built_in

# refused STATUS PATTERN ARGUMENTS...
refused()
{
    refuses "$1" "$2" "$bench" "${@:3}"
}

has "load --help" "$("$bench" load --help)" "Examples:"
has "start --help" "$("$bench" start --help)" "Examples:"
refused 2 "prompt-tokens: \"5..4\", expected" load --prompt-tokens 5..4
refused 2 "rate: \"fast\"" load --rate fast
refused 2 "key: \"me\", expected NAME:CLIENTS" load --key me
refused 2 "key: \"me:0\", expected NAME:CLIENTS" load --key me:0
refused 2 "clients: \"0\"" load --clients 0
refused 2 "expected options only" load now
refused 1 "[Cc]ould.?n.t connect|[Ff]ailed to connect" load --url http://127.0.0.1:1
refused 2 "expected a model file" start
refused 1 "no-such-model" start "$work/no-such-model" --shm-dir "$shm"
refused 1 "no-such-tritd" start "$model" --tritd "$work/no-such-tritd" --shm-dir "$shm"
is "left behind" "$(find "$shm" -mindepth 1 | wc -l)" 0

# A queue so short that an open door is closed now and then.
start --max-batch 4 --queue-requests 8
run_node p-bench.mjs "$bench"
stop

# What would wait too long for its first token is refused, though the queue has room; the rest is served.
start --max-batch 2 --queue-requests 500 --ttft-target 0.02
"$bench" load --url "$url" --clients 2 --requests 8 >"$work/bench" || fail "load: $(cat "$work/bench")"
"$bench" load --url "$url" --clients 64 --requests 200 --first-within 1 >"$work/bench" ||
    fail "load: $(cat "$work/bench")"
late=$(metric 'tritd_requests_rejected_total{reason="ttft_target"}')
has "requests that would wait too long" "$late" '^[1-9]'
has "all have Retry-After" "$(cat "$work/bench")" "refused with 429: $late, with Retry-After $late\$"
has "others are served" "$(cat "$work/bench")" " [1-9][0-9]* completed, "
has "goodput in time" "$(cat "$work/bench")" "completed whose first text came in 1 s"

# Who has a better priority does not wait for those of a worse one, and is not refused for them.
ask()
{
    curl -s -o "$work/answer$1" -w '%{http_code}' "$url/v1/completions" -H 'content-type: application/json' \
        -d "{\"prompt\": $2, \"priority\": $1, \"n\": $3, \"max_tokens\": $4, \"ignore_eos\": true, \"temperature\": 1}"
}
queue_is_long()
{
    [ "$(metric tritd_requests_waiting)" -ge 20 ]
}
ask 9 '["A", "B", "C", "D", "E", "F", "G", "H"]' 8 200 >"$work/many" &
many=$!
within 10 queue_is_long || fail "64 answers do not wait for 2 places: $(cat "$work/many" "$work/answer9")"
is "late, of the same priority" "$(ask 8 '"Once"' 1 4)" 429
has "why" "$(cat "$work/answer8")" "first token is expected"
is "in time, of a better one" "$(ask -9 '"Once"' 1 4)" 200
wait "$many"
is "those of the worse one" "$(cat "$work/many")" 200
stop

# Everything in the table, and nothing of it left.
figures=$("$bench" start "$model" --shm-dir "$shm" --repeat 1 --clients 3 --idle-seconds 0.3 \
    --daemons 2 --json -- --ctx 256 --max-batch 4) || fail "trit-bench start"
said=$(FIGURES=$figures node -e '
const { rows } = JSON.parse(process.env.FIGURES);
const all = (what) => rows.filter((r) => r.what.trim().startsWith(what)).map((r) => r.median);
const one = (what) => all(what)[0];
const near = (a, b) => Math.abs(a - b) < 0.01;
const sums = [0, 1].every((i) => near(all("beyond both")[i] + all("shared weights")[i] +
                                      all("KV pool")[i],
                                      [one("idle: resident"), one("after 3 clients")][i]) &&
  near(all("program")[i] + all("heap")[i] + all("other anonymous")[i], all("beyond both")[i]));
const order = one("cold: exec to readyz") < one("cold: exec to the first token") &&
  one("attached: exec to readyz") < one("attached: exec to the first token");
const kinds = ["shared weights", "KV pool", "program", "other anonymous"]
  .every((kind) => all(kind).every((mib) => mib > 0));
const many = one("2 daemons: all") > one("shared weights") &&
  one("2 daemons: all") < 2 * one("idle: resident") && one("idle processor") >= 0;
console.log(JSON.stringify({ sums, order, kinds, many }));') || fail "not JSON: $figures"
is "trit-bench start" "$said" '{"sums":true,"order":true,"kinds":true,"many":true}'
is "left behind" "$(find "$shm" -mindepth 1 -path "*trit-bench*" | wc -l)" 0
