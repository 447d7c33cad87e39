#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The shape of many clients: overload, fairness, connections that do nothing, a long prompt.
# Each figure is printed beside its target.  A missed target fails the test only with STRICT=1: on a
# machine that is shared the same daemon holds it now and misses it then.
#
#     tests/long/load.sh            in the build directory; about ten minutes
#     BARS="overload fairness"      only these: overload fairness slow idle health logs long, or both, which
#                                   is slow and idle at a time
#     SECONDS_EACH=10 ROUNDS=2      of a round, default 25, and how many, default 3
#     DEPTH=4000                    tokens that are read before, for `long`, default 7000
#     IDLE=10000                    connections that do nothing; fewer where descriptors are
#     SETTLE=15                     seconds for those that do nothing to get there, default 25
#     MODEL=700m.gguf               instead of one with random weights in the shape of a 700M model
#
# trit-bench and the daemon share the machine's processors, as far as there are no others.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
bench=$PWD/trit-bench trit=$PWD/trit
[ -x "$bench" ] || skip "there is no trit-bench in $PWD"
need node
here=$top/tests/long
seconds=${SECONDS_EACH:-25}
target=3

# Descriptors for the connections, in the daemon as in who opens them.
ulimit -n "$(ulimit -Hn)"
idle=${IDLE:-10000} descriptors=$(ulimit -n)
[ "$descriptors" = unlimited ] || [ "$descriptors" -ge $((idle + 500)) ] || idle=$((descriptors - 500))
export IDLE=$idle

model=${MODEL:-$state/700m.gguf}
[ -f "$model" ] || {
    mkdir -p "$state"
    "$trit_model" synth --shape 700m --arch bitnet-25 --type tq1_0 --head q8_0 --ctx 16384 \
        -o "$model" || broken "trit-model synth"
}

# The keys of two tenants.
umask 077
for name in modest greedy; do
    "$trit" keys new $name >>"$work/keys" 2>"$work/key" || broken "trit keys new"
    export "$name=$(cat "$work/key")"
done

# Beside a daemon whose log is read, $pid is one whose log nobody reads.
start_both()
{
    start
    export READ_URL=$url
    with_log=$pid
    start_unread
}

for bar in ${BARS:-overload fairness slow idle health logs long}; do
    case $bar in
    overload) start --ttft-target $target ;;
    fairness) start --api-keys "$work/keys" ;;
    idle | slow | both) start --max-connections $((idle + 300)) --queue-requests 256 ;;
    health | long) start --ctx 16384 ;;
    logs) start_both ;;
    *) broken "no such bar: $bar" ;;
    esac
    run_node load.mjs $bar "$bench" "$seconds" $target
    stop
    [ "$bar" != logs ] || {
        pid=$with_log
        stop
    }
done
