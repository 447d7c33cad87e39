#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles alone, and no file includes a floor above its own.
cd "${srcdir:-.}" || exit 99
bad=0
flags=$(pkg-config --cflags libuv libcjson libmicrohttpd 2>/dev/null)
for h in $(find include src -name '*.h' | sort); do
    # A header of intrinsics compiles with its instruction set, on that architecture only.
    isa=
    avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512vbmi -mfma -mf16c"
    case $h in
    */x86_*) [ "$(uname -m)" = x86_64 ] || continue ;;
    */arm_*) [ "$(uname -m)" = aarch64 ] || continue ;;
    esac
    case $h in
    */x86_avx2*) isa="-mavx2 -mfma -mf16c" ;;
    */x86_avx512*) isa=$avx512 ;;
    */x86_amx*) isa="$avx512 -mamx-tile -mamx-int8" ;;
    */arm_*) isa="-march=armv8.2-a+dotprod+fp16" ;;
    esac
    # shellcheck disable=SC2086
    printf '#include "%s"\n' "$h" |
        ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -Iinclude -Isrc $flags $isa \
            -fsyntax-only -x c - || { echo "$h does not compile alone"; bad=1; }
done

rank()
{
    case $1 in
    base) echo 1 ;;
    model) echo 2 ;;
    kernels) echo 3 ;;
    engine) echo 4 ;;
    server) echo 5 ;;
    main) echo 6 ;;
    *) echo 0 ;;
    esac
}
for f in $(find include src -name '*.[ch]' | sort); do
    mine=$(rank "$(echo "$f" | cut -d/ -f2)")
    for floor in $(sed -n 's/^#include "\([a-z0-9]*\)\/.*/\1/p' "$f"); do
        [ "$(rank "$floor")" -le "$mine" ] || { echo "$f includes upward: $floor/"; bad=1; }
    done
done
exit $bad
