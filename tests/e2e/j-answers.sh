#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# trit where the server answers oddly or not at all, where its output cannot be written, and where it is told to stop.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
need node curl

node "$here/j-answers.mjs" "$work/port" 2>"$work/server-log" &
server=$!
trap 'status=$?; { kill $server && wait $server; } 2>/dev/null; (exit $status); finish' EXIT
within 20 test -s "$work/port" || broken "the server did not start: $(cat "$work/server-log")"
at=http://127.0.0.1:$(cat "$work/port")
unset TRITD_URL TRITD_API_KEY OPENAI_API_KEY

# under_way HOW N: that many requests are
under_way()
{
    [ "$(curl -fsS "$at/asked" | sed -n 's/.*"open":{[^}]*"'"$1"'":\([0-9]*\).*/\1/p')" = "$2" ]
}
# refused PATTERN HOW ARGUMENTS...: and not a byte on stdout
refused()
{
    refuses 1 "$1" "$trit" --url "$at/$2" "${@:3}"
    is "stdout of trit ${*:3}" "$(timeout $((60 * patience)) "$trit" --url "$at/$2" "${@:3}" 2>/dev/null </dev/null |
        wc -c)" 0
}
# interrupts COMMAND...: SIGINT ends it
interrupts()
{
    "$trit" --url "$at/silent" "$@" >"$work/out" 2>"$work/err" &
    local client=$! status=0
    within 20 under_way silent $((1 + held)) || fail "trit $* asked nothing"
    kill -INT $client
    within 10 gone $client || { kill -KILL $client; fail "trit $* is there after SIGINT"; }
    wait $client || status=$?
    is "exit status of trit $* after SIGINT" $status 1
    has "trit $* after SIGINT" "$(cat "$work/err")" "interrupted"
}
gone()
{
    local state
    state=$(awk '{ print $3 }' "/proc/$1/stat" 2>/dev/null)
    [ -z "$state" ] || [ "$state" = Z ]
}

# ---- a server that stays silent, for as long as the rest of this takes
held=0
for command in costs models; do
    "$trit" --url "$at/silent" $command >"$work/silent-$command" 2>&1 &
    silent[held++]=$!
done
within 20 under_way silent $held || fail "nobody asked"

# ---- SIGINT ends whatever waits
interrupts models
interrupts costs
interrupts complete x
interrupts chat x
# In a conversation that nobody types it ends all of it, not one answer.
mkfifo "$work/talk"
"$trit" --url "$at/endless" chat <"$work/talk" >"$work/out" 2>"$work/err" &
client=$!
exec 8>"$work/talk"
printf 'one\ntwo\nthree\n' >&8
within 20 under_way endless 1 || fail "the conversation did not begin"
kill -INT $client
within 10 gone $client || { kill -KILL $client; fail "a conversation from a pipe is there after SIGINT"; }
exec 8>&-
wait $client && fail "an interrupted conversation is a success"

# And at a terminal: Ctrl-C at the prompt and in an answer, then Ctrl-D.
prompts()
{
    [ "$(grep -o '> ' "$work/screen" | wc -l)" -ge "$1" ]
}
if command -v script >/dev/null; then
    mkfifo "$work/typed"
    script -qec "'$trit' --url '$at/endless' chat" /dev/null <"$work/typed" >"$work/screen" 2>&1 &
    client=$!
    exec 8>"$work/typed"
    within 20 prompts 1 || fail "no prompt at a terminal"
    printf '\003' >&8
    within 20 prompts 2 || fail "Ctrl-C at the prompt ends the conversation"
    printf 'hi\n' >&8
    within 20 grep -q 'and ' "$work/screen" || fail "no answer at a terminal"
    printf '\003' >&8
    within 20 prompts 3 || fail "Ctrl-C does not end an answer"
    printf '\004' >&8
    within 10 gone $client || { kill -KILL $client; fail "Ctrl-D after an answer that was stopped does not end it"; }
    exec 8>&-
fi

# ---- output that cannot be written is no success, and nothing is computed for it
for command in "complete x" "complete --no-stream x" "chat x" models costs --help --version; do
    how=good
    [[ $command != *no-stream* ]] || how=whole
    # shellcheck disable=SC2086 # several words
    said=$("$trit" --url "$at/$how" $command 2>&1 >/dev/full) && fail "trit $command >/dev/full is a success"
    has "trit $command >/dev/full" "$said" "stdout: not all of it could be written"
done
timeout $((60 * patience)) "$trit" --url "$at/endless" complete x 2>/dev/null | head -c 1 >/dev/null
is "trit complete | head -c 1" "${PIPESTATUS[0]}" 1
within 20 under_way endless 0 || fail "the server still talks to nobody"
yes | timeout $((60 * patience)) "$trit" --url "$at/good" chat 2>/dev/null | head -c 1 >/dev/null
is "trit chat | head -c 1" "${PIPESTATUS[1]}" 1

# ---- answers that are none
[ "$("$trit" --url "$at/garbled" complete x 2>"$work/err")" = he ] || fail "what came before is shown"
has "garbled" "$(cat "$work/err")" "an event of the stream is no JSON"
[ "$("$trit" --url "$at/torn" complete x 2>"$work/err")" = he ] || fail "what came before is shown"
has "torn" "$(cat "$work/err")" "the stream ended before"
refused "no list of models" nothing models
refused "no text" nothing complete x
refused "no text" nothing chat x
refused "the cat .*is on it" excuse complete x
refused "the cat .*is on it" excuse models
is "said once" "$("$trit" --url "$at/excuse" complete --no-stream x 2>&1 | wc -l)" 1
lacks "control characters of a server" "$("$trit" --url "$at/excuse" models 2>&1)" $'\e'
refused "more than" long models

# ---- input that is none
said=$("$trit" --url "$at/good" complete </ 2>&1) && fail "a directory is a prompt"
has "a directory" "$said" "stdin: Is a directory"
said=$("$trit" --url "$at/good" chat </ 2>&1) && fail "a directory is a conversation"
has "a directory" "$said" "stdin: Is a directory"
said=$(printf 'abc\0def' | "$trit" --url "$at/good" complete 2>&1) && fail "half a prompt was sent"
has "a NUL" "$said" "stdin: .*NUL"
said=$(printf 'abc\0def\n' | "$trit" --url "$at/good" chat 2>&1) && fail "half a message was sent"
has "a NUL" "$said" "stdin: .*NUL"

# ---- all keys
is "trit costs has every key" "$("$trit" --url "$at/good" costs | grep -c '^user')" 1024
has "and their sum" "$("$trit" --url "$at/good" costs | tail -n 1)" '^all  *1024 '

# ---- an empty key is none
TRITD_API_KEY='' "$trit" --url "$at/good" models >/dev/null || fail "an empty key"
has "nobody sent one" "$(curl -fsS "$at/asked")" '"keys":\[\]'

# ---- a key that is lost is no key that was made
"$trit" keys new alice >"$work/out" 2>/dev/full && fail "a key that nobody has seen is a success"
"$trit" keys new alice >/dev/full 2>"$work/err" && fail "a line that was not written is a success"
lacks "no key for it" "$(cat "$work/err")" "trit-"

# ---- and the server that stays silent is not waited for for ever
for client in "${silent[@]}"; do
    within 60 gone "$client" || { kill -KILL "${silent[@]}"; fail "a minute later it still waits for a word"; }
    wait "$client" && fail "no answer is a success"
done
has "it says so" "$(cat "$work/silent-costs" "$work/silent-models")" "metrics: Timeout was reached"
