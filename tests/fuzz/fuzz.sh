#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fuzz.sh build | list | run SECONDS [NAME...] | replay [NAME...] - the fuzzers with clang's libFuzzer and
# sanitizers, in the build directory.
#
# FUZZ_SAN=integer builds and runs others, in fuzz-integer: clang's checks of integers, for sums that wrap
# and conversions that lose something.  They are for `replay`, which runs every file of the corpora once.
#
# A finding is written to fuzz/crash-NAME-<hash>; fuzz/NAME FILE shows it again.  Mend it, and put the
# file, made small with -minimize_crash=1, into tests/fuzz/corpus/NAME/: from then on make check runs it.
set -u
top=$(cd "${srcdir:-.}" && pwd)
here=$top/tests/fuzz
clang=${FUZZ_CC:-clang}
all="chat conf framing gguf grammar jinja keys params regex safetensors schema sentencepiece sse text tiles tokenizer view"
# Bounds of every single input.  (Freed memory that the sanitizer keeps aside counts as ours.)
export ASAN_OPTIONS=quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1
bounds=(-timeout=5 -rss_limit_mb=512)

command -v "$clang" >/dev/null || {
    echo "SKIP: fuzz.sh: $clang is not installed"
    exit 77
}
dir=fuzz${FUZZ_SAN:+-$FUZZ_SAN}
mkdir -p "$dir/obj"
san="-fsanitize=${FUZZ_SAN:-address,undefined} -fno-sanitize-recover=all -fno-omit-frame-pointer"
san+=" -fsanitize-ignorelist=$here/integer.ignore"
read -ra flags <<<"-std=gnu11 -D_GNU_SOURCE -g -O1 $san -DBUILTIN_MODEL=\"none\" \
    -I. -I$top/tests/fuzz/without -I$top/include -I$top/src -I$top/tests -I$top/tools -I$top/clients \
    $(pkg-config --cflags libmicrohttpd gnutls libuv libcjson libpcre2-8 nettle libxxhash)"
read -ra libs <<<"$(pkg-config --libs gnutls libuv libcjson libpcre2-8 nettle libxxhash) -lunistring \
    -lm -lpthread"

# What the harnesses use of the floors.
sources()
{
    find "$top/src/base" "$top/src/model" -name '*.c'
    printf '%s\n' "$top"/src/engine/grammar*.c "$top"/src/server/{json,json-out,problem,fields,params}.c \
        "$top"/src/server/{text,keys,credential,names,framing,origin,origin-check}.c \
        "$top"/src/server/{shape,regex,regex-set,regex-out,gbnf,tools,values,responses,format}.c \
        "$top"/src/main/{conf*,handed,listen,notify}.c "$top"/tools/gguf-write.c \
        "$top"/clients/sse.c
    # Readers of fields may grow files of their own.
    find "$top/src/server" -name 'params-*.c' -o -name 'schema*.c'
}

compile()
{
    local object instructions=()
    case $1 in # as src/model/floor.mk has it
    *-avx2.c) instructions=(-mavx2) ;;
    *-avx512.c) instructions=(-mavx512f) ;;
    esac
    object=$dir/obj/$(echo "${1#"$top"/}" | tr / -).o
    [ "$object" -nt "$1" ] && [ "$object" -nt "$header" ] && return
    "$clang" "${flags[@]}" "${instructions[@]}" -fsanitize=fuzzer-no-link -c "$1" -o "$object"
}

build()
{
    local source name header # the newest
    header=$(find "$top/include" "$top/src" "$here" -name '*.h' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
    for source in $(sources | sort -u); do
        compile "$source" || exit 1
    done
    rm -f "$dir/obj/floors.a"
    ar cr "$dir/obj/floors.a" "$dir"/obj/*.o
    for name in $all; do
        "$clang" "${flags[@]}" -fsanitize=fuzzer "$here/fuzz_$name.c" "$dir/obj/floors.a" \
            "${libs[@]}" -o "$dir/$name" || exit 1
    done
}

# one NAME SECONDS: run it, and its row.
one()
{
    local name=$1 seconds=$2 dict=() status verdict=ok
    [ -f "$here/dict/$name.dict" ] && dict=("-dict=$here/dict/$name.dict")
    mkdir -p "$dir/corpus/$name"
    "$dir/$name" "${bounds[@]}" "${dict[@]}" -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="$dir/crash-$name-" "$dir/corpus/$name" "$here/corpus/$name" \
        >"$dir/$name.log" 2>&1
    status=$?
    [ $status -eq 0 ] || verdict="FOUND: $dir/$name.log"
    printf '%-14s %12s %10s %8s  %s\n' "$name" \
        "$(awk '/number_of_executed_units/ { print $2 }' "$dir/$name.log")" \
        "$(grep -o 'cov: [0-9]*' "$dir/$name.log" | tail -n 1 | cut -d' ' -f2)" \
        "$(awk '/peak_rss_mb/ { print $2 }' "$dir/$name.log")" "$verdict"
    return $status
}

# Bars of doc/reliability.md, how many runs each asks of each of its fuzzers, and those.
bars="
1 10000000 gguf safetensors view
3 1000000 params framing keys conf sse
13 10000000 jinja chat
14 1000000 grammar schema regex
16 10000000 tokenizer sentencepiece
26 100000 text
"

# Lines of the rows in "fuzz/table" for the table of make check-long (tests/long/bars.sh).
tell_bars()
{
    local number least names
    while read -r number least names; do
        [ -z "$number" ] || awk -v number="$number" -v least="$least" -v names="$names" '
            BEGIN { n = split(names, wanted, " ")
                for (i = 1; i <= n; i++) of[wanted[i]] = 1
                verdict = "ok" }
            $1 in of { text = text (text ? ", " : "") $1 " " $2
                if ($0 ~ /FOUND/) verdict = "FAILED"
                else if ($2 < least && verdict == "ok") verdict = "short" }
            END { if (text) printf "BAR\t%s\tfuzzed: %s: %s\t%s\t%s\n", number, text,
                verdict == "FAILED" ? "FOUND" : "0 findings", least " runs each, 0 findings", verdict }' "$dir/table"
    done <<<"$bars"
}

# run SECONDS [NAME...], as many at once as there are processors, or $JOBS
run()
{
    local seconds=$1 status
    shift
    # shellcheck disable=SC2086 # the names are words
    [ $# -gt 0 ] || set -- $all
    printf '%-14s %12s %10s %8s  %s\n' fuzzer runs cover rss_mb verdict
    printf '%s\n' "$@" | xargs -P"${JOBS:-$(nproc)}" -I{} bash "$0" one {} "$seconds" | tee "$dir/table"
    status=${PIPESTATUS[1]}
    tell_bars
    return "$status"
}

# replay [NAME...]: what tests/fuzz/corpus has, and nothing new.
replay()
{
    local name failed=0
    # shellcheck disable=SC2086 # the names are words
    [ $# -gt 0 ] || set -- $all
    for name; do
        "$dir/$name" "${bounds[@]}" -runs=0 "$here/corpus/$name" >"$dir/$name.log" 2>&1 || {
            echo "FOUND: $dir/$name.log: $(grep -a -m1 'runtime error' "$dir/$name.log")"
            failed=1
        }
    done
    echo "$# fuzzers over their corpora"
    [ -z "${FUZZ_SAN:-}" ] || printf 'BAR\t34\t-fsanitize=%s: %s fuzzers over their corpora\t0 reports\t%s\n' \
        "$FUZZ_SAN" $# "$([ $failed -eq 0 ] && echo ok || echo FAILED)"
    return $failed
}

case ${1:-} in
build) build ;;
list) echo "$all" ;;
one) one "$2" "$3" || exit 1 ;;
run) shift && run "$@" ;;
replay) shift && replay "$@" ;;
*) echo "usage: fuzz.sh build | list | run SECONDS [NAME...] | replay [NAME...]" && exit 2 ;;
esac
