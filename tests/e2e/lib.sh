# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# lib.sh - what the end to end tests share: a daemon of their own on a free port, and its end.
#
# Tests run in the build directory.  TRITD_URL=http://host:port runs those that need nothing but a
# server against one that runs already, in a debugger for example.  TRITD_OPTIONS="--cpu scalar" is
# given to every daemon that is started.  E2E_ORDERLY=1: a daemon that is left at a test's end is told
# to end instead of killed.  E2E_PATIENCE=10: limits of time are ten times as long, for a daemon that is slow
# because it is looked at; make check sets it as the build needs it.
#
# Exit status as automake has it: 0 passed, 77 skipped, 99 the test could not be set up, else failed.
set -u

top=$(cd "${srcdir:-.}" && pwd)
here=$top/tests/e2e
tritd=$PWD/tritd
trit_model=$PWD/trit-model
state=$PWD/tests/e2e-state # what several tests share: the model, node packages
patience=${E2E_PATIENCE:-1}
checks=0
pid=
url=
model=
export LC_ALL=C

skip()
{
    echo "SKIP: $(basename "$0"): $*"
    exit 77
}

broken()
{
    echo "ERROR: $*"
    show_log
    exit 99
}

fail()
{
    echo "FAIL: $*"
    show_log
    exit 1
}

show_log()
{
    if [ -s "$work/log" ]; then
        echo "--- the daemon's last words:"
        tail -n 40 "$work/log"
    fi
}

finish()
{
    local status=$?
    # A copy of this shell that is about to become a daemon has nothing to clean up.
    [ "$BASHPID" = "$$" ] || exit $status
    trap - EXIT
    [ -z "$pid" ] || [ -z "${E2E_ORDERLY:-}" ] || end_in_order
    [ -z "$pid" ] || slay
    rm -rf "$work" "$shm"
    [ $status -ne 0 ] || echo "$checks checks"
    exit $status
}

work=$(mktemp -d "${TMPDIR:-/tmp}/tritd-e2e.XXXXXX") || exit 99
# Segments of tests do not mix with those of the machine.
shm=$(mktemp -d /dev/shm/tritd-e2e.XXXXXX 2>/dev/null || mktemp -d "$work/shm.XXXXXX") || exit 99
trap finish EXIT
trap 'exit 99' INT TERM

need()
{
    local command
    for command; do
        command -v "$command" >/dev/null || skip "$command is not installed"
    done
}

# is WHAT FOUND EXPECTED
is()
{
    checks=$((checks + 1))
    [ "$2" = "$3" ] || fail "$1: found \"$2\", expected \"$3\""
}

# has WHAT TEXT PATTERN (extended regular expression)
has()
{
    checks=$((checks + 1))
    grep -Eq -- "$3" <<<"$2" || fail "$1: expected /$3/ in: $2"
}

# lacks WHAT TEXT PATTERN
lacks()
{
    checks=$((checks + 1))
    ! grep -Eq -- "$3" <<<"$2" || fail "$1: did not expect /$3/ in: $2"
}

# refuses STATUS PATTERN COMMAND [arguments]: it ends with this status and says why on stderr.
refuses()
{
    local expected=$1 pattern=$2 said status=0
    shift 2
    said=$(timeout $((60 * patience)) "$@" 2>&1 >/dev/null </dev/null) || status=$?
    is "exit status of $(basename "$1") ${*:2}" $status "$expected"
    has "$(basename "$1") ${*:2}" "$said" "$pattern"
}

# logs WHAT PATTERN: a line comes to the log, which is written a moment after what it tells.
logs()
{
    checks=$((checks + 1))
    within 10 grep -Eq -- "$2" "$work/log" || fail "$1: expected /$2/ in the log"
}

# within SECONDS COMMAND...: try until it succeeds; false when time is up, and some tries later still: where the
# whole machine has rested for so long, nobody else has had a moment either.
within()
{
    local end=$((SECONDS + $1 * patience)) late=0
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || [ $((++late)) -le 20 ] || return 1
        sleep 0.05
    done
}

# Whether the daemon has a sanitizer, which wants to be loaded before any library of a test's.  (gcc's are libraries,
# clang's are in the program.)
is_sanitized()
{
    grep -Eaq '__(asan|tsan|ubsan)_' "$tritd"
}

# The small model of all tests, made once for each build directory, unless $model names another.
make_model()
{
    model=${model:-$state/tiny.gguf}
    [ -e "$model" ] && return
    mkdir -p "$state"
    (
        flock 9
        [ -f "$model" ] || {
            "$trit_model" synth --shape tiny -o "$model.new" >"$work/synth" 2>&1 &&
                mv "$model.new" "$model"
        }
    ) 9>"$state/lock" || broken "trit-model synth: $(cat "$work/synth")"
}

is_ready()
{
    [ -s "$work/port" ] || {
        kill -0 "$pid" 2>/dev/null || broken "tritd ended before it was ready"
        return 1
    }
    url=${scheme:-http}://127.0.0.1:$(cat "$work/port")
    curl -fs -o "$work/readyz" "$url/readyz" || {
        kill -0 "$pid" 2>/dev/null || broken "tritd ended before it was ready"
        return 1
    }
}

has_begun()
{
    has_ended || [ "$(readlink "/proc/$pid/exe")" != "$(readlink "/proc/$$/exe")" ]
}

# launch [options]: start a daemon; sets $pid.  From then on signals are for it and not for a copy of
# this shell.
launch()
{
    [ -x "$tritd" ] || skip "there is no tritd in $PWD"
    rm -f "$work/port"
    logged_before=$(stat -c %s "$work/log" 2>/dev/null || echo 0)
    # shellcheck disable=SC2086 # several words
    "$tritd" --model "$model" --shm-dir "$shm" --port 0 --port-file "$work/port" \
        ${TRITD_OPTIONS:-} "$@" 2>>"$work/log" &
    pid=$!
    within 20 has_begun || broken "tritd did not begin"
}

# A thread of its own writes the log, a moment after what it tells: behind this line all of the start is there.
has_said_so()
{
    has_ended || tail -c "+$((logged_before + 1))" "$work/log" | grep -Eq ' ready |"event":"ready"'
}

# start [options]: launch, and wait until it serves and has said so; sets $url.  With TRITD_URL= it uses that one.
start()
{
    need curl
    if [ -n "${TRITD_URL:-}" ]; then
        [ $# -eq 0 ] || skip "needs a daemon of its own"
        url=$TRITD_URL
        return
    fi
    make_model
    launch "$@"
    within 120 is_ready || broken "tritd was not ready in 120 s"
    case " ${TRITD_OPTIONS:-} $* " in
    *' --log-level warn '* | *' --log-level error '*) ;;
    *) within 20 has_said_so || broken "tritd is ready and its log does not say so" ;;
    esac
}

# start_unread: one whose log goes into a pipe that nobody reads, unless from descriptor 8; sets $url.
start_unread()
{
    mkfifo "$work/pipe"
    exec 8<>"$work/pipe"
    rm -f "$work/port"
    "$tritd" --model "$model" --shm-dir "$shm" --port 0 --port-file "$work/port" 2>"$work/pipe" 8>&- &
    pid=$!
    within 60 is_ready || fail "it does not become ready"
}

# stop [SIGNAL]: end the daemon in order; its exit status is in $ended.
stop()
{
    kill "-${1:-TERM}" "$pid" || fail "tritd was gone already"
    await_end 60
}

# What a build for gcov has counted it writes at an orderly end.
end_in_order()
{
    kill -CONT "$pid"
    kill -TERM "$pid"
    within 20 has_ended
} 2>/dev/null

# slay: kill -9, and no word about it.
slay()
{
    { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null
    pid=
}

has_ended()
{
    local state
    state=$(awk '{ print $3 }' "/proc/$pid/stat" 2>/dev/null)
    [ -z "$state" ] || [ "$state" = Z ]
}

# await_end SECONDS
await_end()
{
    within "$1" has_ended || fail "tritd was still running after $1 s"
    wait "$pid"
    # shellcheck disable=SC2034 # for the tests
    ended=$?
    pid=
}

# metric NAME[{labels}]: its value, as printed.
metric()
{
    curl -fs "$url/metrics" | awk -v name="$1" '$1 == name { print $2 }'
}

# post PATH JSON [curl options]: the body of the answer.
post()
{
    local path=$1 body=$2
    shift 2
    curl -sS --max-time $((120 * patience)) -H 'Content-Type: application/json' -d "$body" "$@" "$url$path"
}

# npm_packages FOLDER PACKAGE@VERSION...: packages for Node in the versions that the tests were written
# with; fetched once for each build directory.  Sets $packages, beside which programs find them.
npm_packages()
{
    need node npm
    packages=$state/$1
    shift
    mkdir -p "$packages"
    (
        flock 9
        [ "$(cat "$packages/have" 2>/dev/null)" = "$*" ] || {
            echo '{"private":true,"type":"module"}' >"$packages/package.json"
            cd "$packages" && npm install --no-audit --no-fund --no-update-notifier \
                --fetch-retries=1 --fetch-timeout=60000 "$@" && echo "$*" >have
        }
    ) 9>"$packages/lock" >"$work/npm" 2>&1 ||
        skip "npm cannot fetch $*: $(grep -m1 -i 'err' "$work/npm")"
}

# bring FILE...: copy programs beside the packages, where Node finds those, and run them there.
bring()
{
    local file
    for file in lib.mjs "$@"; do
        cp "$here/$file" "$packages/" || broken "cannot copy $file"
    done
    here=$packages
}

# bar NUMBER FIGURE TARGET [VERDICT]: what was found of a bar of doc/reliability.md, for the table of
# make check-long; tests/long/bars.sh says what a verdict is.
bar()
{
    printf 'BAR\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-ok}"
}

# The official package.
openai_package()
{
    npm_packages node openai@6.49.0
}

# What reads OpenAPI documents, and JSON schemas.
openapi_packages()
{
    npm_packages node-openapi ajv@8.20.0 yaml@2.9.1 @apidevtools/swagger-parser@13.0.0
}

# run_node FILE [arguments]: a program beside this file, with the daemon in its environment.
run_node()
{
    need node
    local program=$1
    shift
    TRITD_URL=$url TRITD_PID=$pid node "$here/$program" "$@" || {
        local status=$?
        [ $status -eq 77 ] && skip "$program"
        fail "$program exited with $status"
    }
}
