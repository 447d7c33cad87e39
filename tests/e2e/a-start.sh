#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Starting and stopping: what it says when it cannot, and that nothing is left behind.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl
[ -x "$tritd" ] || skip "there is no tritd in $PWD"
make_model

# refused PATTERN OPTIONS...: exits 1 with a line that matches.
refused()
{
    refuses 1 "$1" "$tritd" --shm-dir "$shm" "${@:2}"
}

# ---- questions
has "--version" "$("$tritd" --version)" "^tritd [0-9]"
has "--version" "$("$tritd" --version)" "kernels .*scalar"
has "--version" "$("$tritd" --version)" "compiler"
has "--help" "$("$tritd" --help)" "--kv-bytes SIZE"
has "-h" "$("$tritd" -h)" "Examples:"

# ---- configuration
printf 'model = x.gguf\n# comment\nprot = 80\n' >"$work/bad.conf"
refused "bad.conf:3: unknown key \"prot\", did you mean \"port\"" --config "$work/bad.conf"
printf 'model = x.gguf\nthreads = many\n' >"$work/bad.conf"
refused "bad.conf:2: threads: found \"many\", expected a whole number" --check-config \
    --config "$work/bad.conf"
refused "model: found nothing" --port 0 --model ""
built_in=$(sed -n 's/^#model = //p' conf/tritd.conf)
[ -e "$built_in" ] || refused "model: the built-in one, $built_in, is not there" --port 0
refused "kv-type: found \"q4\"" --model "$model" --kv-type q4
refused "allow-remote = yes" --model "$model" --host 0.0.0.0
refused "unknown option, did you mean --model" --modle "$model"
printf 'model = %s\nport = 1234\n' "$model" >"$work/good.conf"
effective=$("$tritd" --config "$work/good.conf" --check-config --ctx 64) || fail "--check-config"
has "--check-config" "$effective" "^port +?= 1234 +# file"
has "--check-config" "$effective" "^ctx +?= 64 +# command line"
has "--check-config" "$effective" "^max-batch +?= 32 +# default"

# ---- models that are none
refused "/nonexistent/m.gguf.*[Nn]o such file" --model /nonexistent/m.gguf --port 0
echo "this is not a model" >"$work/text.gguf"
refused "text.gguf" --model "$work/text.gguf" --port 0
: >"$work/empty.gguf"
refused "empty.gguf" --model "$work/empty.gguf" --port 0
head -c $(($(stat -c %s "$model") / 2)) "$model" >"$work/half.gguf"
refused "half.gguf" --model "$work/half.gguf" --port 0
refused "$work" --model "$work" --port 0
refused "cpu" --model "$model" --port 0 --cpu "$([ "$(uname -m)" = x86_64 ] && echo neon || echo avx2)"
is "segments left by models that were refused" \
    "$(find "$shm" -name '*.building' | wc -l)" 0

# ---- a longer context than the model has is cut, with a word about it
start --ctx 1000000
logs "the log" "ctx-cut wanted=1000000 used=[0-9]+"
stop TERM
is "exit status after SIGTERM" "$ended" 0

# ---- keys and values in eight bits: half the memory, and a step each
per_token()
{
    curl -fs "$url/v1/models" | grep -Eo '"kv_bytes_per_token": ?[0-9]+' | grep -Eo '[0-9]+'
}
start --kv-type f16
wide=$(per_token)
stop
start --kv-type q8
narrow=$(per_token)
[ "$narrow" -gt $((wide / 2)) ] && [ "$narrow" -lt $((wide * 3 / 4)) ] ||
    fail "kv_bytes_per_token: $narrow with q8, $wide with f16"
has "an answer" "$(post /v1/completions '{"prompt":"Once","max_tokens":3,"ignore_eos":true}')" \
    '"completion_tokens": ?3'
stop
is "exit status" "$ended" 0

# ---- a port in use
start
taken=${url##*:}
refused "port: $taken on 127.0.0.1 is in use" --model "$model" --port "$taken"
is "the first one still serves" "$(curl -fs -o "$work/out" -w '%{http_code}' "$url/readyz")" 200

# ---- an orderly end
logs "the log" "ready url=$url"
stop TERM
is "exit status after SIGTERM" "$ended" 0
logs "the log" "stopped exit=0"
curl -s -o "$work/out" "$url/healthz" && fail "the port is still open"
is "half-built segments" "$(find "$shm" -name '*.building' | wc -l)" 0
[ ! -e "$work/port" ] || fail "the port file was left behind"
start
stop INT
is "exit status after SIGINT" "$ended" 0

# ---- a signal while it loads, at many points of loading
for delay in 0 0.005 0.01 0.02 0.05 0.1; do
    rm -f "$shm"/*
    launch --no-shared
    sleep "$delay"
    kill -TERM "$pid"
    await_end 60
    # Before the handler stands, the kernel's own answer to SIGTERM is as good.
    [ "$ended" -eq 0 ] || [ "$ended" -eq 143 ] || fail "SIGTERM after $delay s: exit $ended"
    checks=$((checks + 1))
done

# ---- a unix socket instead of a port
"$tritd" --model "$model" --shm-dir "$shm" --host "unix:$work/s" 2>>"$work/log" &
pid=$!
unix_ready()
{
    curl -fs -o "$work/out" --unix-socket "$work/s" http://localhost/readyz
}
within 60 unix_ready || fail "no answer on the unix socket"
has "models over a unix socket" \
    "$(curl -s --unix-socket "$work/s" http://localhost/v1/models)" '"object": ?"list"'
stop
is "exit status" "$ended" 0
[ ! -e "$work/s" ] || fail "the socket file was left behind"

# ---- SIGHUP takes over what can change, and nothing of a file with an error
length()
{
    post /v1/chat/completions \
        '{"messages":[{"role":"user","content":"x"}],"ignore_eos":true,"temperature":0}' |
        grep -Eo '"completion_tokens": ?[0-9]+' | grep -Eo '[0-9]+'
}
printf 'default-max-tokens = 5\nlog-level = notice\n' >"$work/run.conf"
start --config "$work/run.conf"
is "length from the file" "$(length)" 5
printf 'default-max-tokens = 7\nlog-level = info\nctx = 32\n' >"$work/run.conf"
kill -HUP "$pid"
reloaded()
{
    grep -q 'not-reloaded key=ctx' "$work/log"
}
within 20 reloaded || fail "SIGHUP: no word about ctx, which needs a restart"
is "length after SIGHUP" "$(length)" 7
printf 'default-max-tokens = 9\nlog-level = loud\n' >"$work/run.conf"
kill -HUP "$pid"
refused_reload()
{
    grep -q 'not-reloaded error=.*run.conf:2: log-level' "$work/log"
}
within 20 refused_reload || fail "SIGHUP with a wrong file: no word about it"
is "length after a refused file" "$(length)" 7
stop
is "exit status" "$ended" 0

# ---- and looks again at how many processors there are
threads()
{
    curl -s "$url/metrics" | grep -E '^tritd_threads\{' | grep -Eo '[0-9]+$'
}
threads_are()
{
    [ "$(threads)" = "$1" ]
}
usable=$(nproc)
if command -v taskset >"$work/out" && [ "$usable" -gt 1 ]; then
    printf 'log-level = notice\n' >"$work/run.conf"
    start --config "$work/run.conf"
    before=$(threads)
    mask=$(taskset -p "$pid" | grep -Eo '[0-9a-f]+$')
    taskset -ap "$(printf '%x' $((0x$mask & -0x$mask)))" "$pid" >"$work/out"
    kill -HUP "$pid"
    within 20 threads_are 1 || fail "one processor left: $(threads) threads"
    taskset -ap "$mask" "$pid" >"$work/out"
    kill -HUP "$pid"
    within 20 threads_are "$before" || fail "all processors back: $(threads) threads, not $before"
    printf 'log-level = notice\nthreads = 1\n' >"$work/run.conf"
    kill -HUP "$pid"
    within 20 threads_are 1 || fail "threads = 1 in the file: $(threads) threads"
    stop
    is "exit status" "$ended" 0
fi
