#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Restarts that nobody notices: what the service manager keeps, kill -9, the successor of SIGUSR2, reloads
# under load.  RESTARTS and RELOADS say how many; make check-restarts has many.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
[ -x "$tritd" ] || skip "there is no tritd in $PWD"
make_model

# run MODE ADDRESS|- COUNT [options of tritd]
run()
{
    local mode=$1 address=$2 count=$3
    shift 3
    # shellcheck disable=SC2086 # several words
    node "$here/x-restart.mjs" "$mode" "$count" "$work" "$PWD/manager" "$address" -- \
        "$tritd" --model "$model" --shm-dir "$shm" ${TRITD_OPTIONS:-} "$@" ||
        fail "$mode exited with $?"
    checks=$((checks + 1))
}

n=${RESTARTS:-10}
# ---- of a socket unit: half of them kill -9
run restart 127.0.0.1:0 "$n" --fd-store --drain-seconds 60
# ---- of our own socket, which the manager keeps like the rest
run restart - "$n" --fd-store --drain-seconds 60 --port 0 --port-file "$work/port"
is "named segments beside the fd store" "$(find "$shm" -type f | wc -l)" 0
# ---- a new program while the old one is busy
run upgrade - "$n" --fd-store --drain-seconds 60 --port 0 --port-file "$work/port"
run upgrade 127.0.0.1:0 2 --drain-seconds 60
# ---- the same with a second model, whose weights and pages have names of their own
run restart - 4 --fd-store --drain-seconds 60 --port 0 --port-file "$work/port" \
    --model "$model" --alias second
run upgrade - 2 --fd-store --drain-seconds 60 --port 0 --port-file "$work/port" \
    --model "$model" --alias second
# ---- what does not fit is not used
run refuse - 1 --fd-store --port 0 --port-file "$work/port"
run types - 1 --fd-store --port 0 --port-file "$work/port" --config "$work/types.conf"
# ---- the pool of a model that cannot be had any more
(umask 077; "$PWD/trit" keys new admin admin=yes >"$work/keys" 2>"$work/key") || broken "trit keys new"
"$trit_model" synth --shape tiny --seed 7 -o "$work/gone.gguf" >/dev/null || broken "synth"
printf 'api-keys = %s\n' "$work/keys" >"$work/gone.conf"
run gone - 1 --fd-store --port 0 --port-file "$work/port" --alias first --config "$work/gone.conf"
# ---- a frozen engine is not a living one
run freeze - 1 --port 0 --port-file "$work/port"
# ---- reloads
run reload - "${RELOADS:-50}" --port 0 --port-file "$work/port" --config "$work/reload.conf"
