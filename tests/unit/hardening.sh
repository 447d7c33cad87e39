#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every program that is installed: position independent, read-only after relocation, no executable
# stack, marked for CET where the compiler does it, stack protector and fortified calls.
set -u
command -v readelf >/dev/null || {
    echo "SKIP: readelf is not installed"
    exit 77
}
flags=$(grep -E '^HARDEN_CFLAGS =' Makefile)
case $flags in
*fPIE*) ;;
*) echo "SKIP: configured without hardening" && exit 77 ;;
esac
failed=0
checks=0
# expect PROGRAM WHAT TEXT PATTERN
expect()
{
    checks=$((checks + 1))
    grep -Eq "$4" <<<"$3" || {
        echo "FAIL: $1: no $2"
        failed=1
    }
}
for program in tritd trit trit-model trit-bench; do
    [ -x "$program" ] || continue
    header=$(readelf -hW "$program")
    segments=$(readelf -lW "$program")
    dynamic=$(readelf -dW "$program")
    symbols=$(readelf -sW --dyn-syms "$program")
    expect "$program" "position independence" "$header" 'Type: +DYN'
    expect "$program" "relocation read-only" "$segments" 'GNU_RELRO'
    expect "$program" "immediate binding" "$dynamic" 'BIND_NOW|Flags:.* NOW'
    expect "$program" "stack without execution" "$segments" 'GNU_STACK.* RW +0'
    expect "$program" "segment only for code" "$segments" 'LOAD.* R E '
    case $flags in
    *stack-protector*) expect "$program" "stack protector" "$symbols" '__stack_chk_fail' ;;
    esac
    case $flags in
    *FORTIFY_SOURCE*) expect "$program" "fortified calls" "$symbols" '__(snprintf|vsnprintf|memcpy|fprintf|printf|read|realpath)_chk' ;;
    esac
    checks=$((checks + 1))
    if grep -Eq 'LOAD.* RWE ' <<<"$segments"; then
        echo "FAIL: $program: memory that is writable and executable"
        failed=1
    fi
    # Of libmicrohttpd and cJSON, parts that have had holes and that we do not use.
    checks=$((checks + 1))
    if grep -Eq 'MHD_create_post_processor|cJSONUtils' <<<"$symbols"; then
        echo "FAIL: $program: links MHD_PostProcessor or cJSON_Utils"
        failed=1
    fi
done
# The linker marks a program for CET only if the C library's start files are, which Debian 12's are
# not; that our own objects are is what we can do.
case $flags in
*fcf-protection*)
    for library in lib*.a; do
        checks=$((checks + 1))
        [ "$(readelf -nW "$library" | grep -c 'IBT.*SHSTK')" = "$(ar t "$library" | wc -l)" ] || {
            echo "FAIL: $library: an object without IBT and SHSTK"
            failed=1
        }
    done
    ;;
esac
echo "$checks checks"
exit $failed
