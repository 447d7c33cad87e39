#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fuzz.sh build | run SECONDS [NAME...] - the fuzzers with clang's libFuzzer and sanitizers, in the
# build directory.
#
# A finding is written to fuzz/crash-NAME-<hash>; fuzz/NAME FILE shows it again.  Mend it, and put the
# file, made small with -minimize_crash=1, into tests/fuzz/corpus/NAME/: from then on make check runs it.
set -u
top=$(cd "${srcdir:-.}" && pwd)
here=$top/tests/fuzz
clang=${FUZZ_CC:-clang}
all="chat conf framing gguf grammar jinja keys params regex safetensors schema sentencepiece sse text tokenizer view"
# Bounds of every single input.  (Freed memory that the sanitizer keeps aside counts as ours.)
export ASAN_OPTIONS=quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1
bounds=(-timeout=5 -rss_limit_mb=512)

command -v "$clang" >/dev/null || {
    echo "SKIP: fuzz.sh: $clang is not installed"
    exit 77
}
mkdir -p fuzz/obj
san="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
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
        "$top"/src/main/{conf,conf-read,conf-print,handed,listen,notify}.c "$top"/tools/gguf-write.c \
        "$top"/clients/sse.c
    # Readers of fields may grow files of their own.
    find "$top/src/server" -name 'params-*.c' -o -name 'schema*.c'
}

compile()
{
    local object
    object=fuzz/obj/$(echo "${1#"$top"/}" | tr / -).o
    [ "$object" -nt "$1" ] && return
    "$clang" "${flags[@]}" -fsanitize=fuzzer-no-link -c "$1" -o "$object"
}

build()
{
    local source name
    for source in $(sources | sort -u); do
        compile "$source" || exit 1
    done
    rm -f fuzz/obj/floors.a
    ar cr fuzz/obj/floors.a fuzz/obj/*.o
    for name in $all; do
        "$clang" "${flags[@]}" -fsanitize=fuzzer "$here/fuzz_$name.c" fuzz/obj/floors.a \
            "${libs[@]}" -o "fuzz/$name" || exit 1
    done
}

# run SECONDS [NAME...]
run()
{
    local seconds=$1 name dict status verdict failed=0
    shift
    # shellcheck disable=SC2086 # the names are words
    [ $# -gt 0 ] || set -- $all
    printf '%-10s %12s %10s %8s  %s\n' fuzzer runs cover rss_mb verdict
    for name; do
        dict=()
        [ -f "$here/dict/$name.dict" ] && dict=("-dict=$here/dict/$name.dict")
        mkdir -p "fuzz/corpus/$name"
        "fuzz/$name" "${bounds[@]}" "${dict[@]}" -max_total_time="$seconds" -print_final_stats=1 \
            -artifact_prefix="fuzz/crash-$name-" "fuzz/corpus/$name" "$here/corpus/$name" \
            >"fuzz/$name.log" 2>&1
        status=$?
        verdict=ok
        [ $status -eq 0 ] || verdict="FOUND: fuzz/$name.log" failed=1
        printf '%-10s %12s %10s %8s  %s\n' "$name" \
            "$(awk '/number_of_executed_units/ { print $2 }' "fuzz/$name.log")" \
            "$(grep -o 'cov: [0-9]*' "fuzz/$name.log" | tail -n 1 | cut -d' ' -f2)" \
            "$(awk '/peak_rss_mb/ { print $2 }' "fuzz/$name.log")" "$verdict"
    done
    return $failed
}

case ${1:-} in
build) build ;;
run) shift && run "$@" ;;
*) echo "usage: fuzz.sh build | run SECONDS [NAME...]" && exit 2 ;;
esac
