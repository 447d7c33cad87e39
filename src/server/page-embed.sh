#!/bin/sh
# SPDX-License-Identifier: MIT
#
# page-embed.sh SRCDIR FILE... - the files of the page as C, on standard output: index.html is /, the
# others are /page/NAME.
set -eu
srcdir=$1
shift

type_of()
{
    case $1 in
    *.html) echo "text/html; charset=utf-8" ;;
    *.css) echo "text/css; charset=utf-8" ;;
    *.js) echo "text/javascript; charset=utf-8" ;;
    *.svg) echo "image/svg+xml" ;;
    *)
        echo "page-embed.sh: $1: what type is this?" >&2
        exit 1
        ;;
    esac
}

printf '/* Made by page-embed.sh. */\n#include "server/page.h"\n'
n=0
for file; do
    printf '\nstatic const unsigned char file_%d[] = {\n' $n
    od -An -v -tu1 "$srcdir/$file" | sed -e 's/  *\([0-9][0-9]*\)/\1,/g'
    printf '};\n'
    n=$((n + 1))
done
printf '\nconst struct page_file page_files[] = {\n'
n=0
for file; do
    name=${file##*/}
    type=$(type_of "$name")
    path=/page/$name
    [ "$name" != index.html ] || path=/
    printf '    {"%s", "%s", file_%d, sizeof file_%d},\n' "$path" "$type" $n $n
    n=$((n + 1))
done
printf '};\nconst size_t page_n_files = %d;\n' $n
