#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The documents say what is there: every link leads somewhere, every key stands in the README and in the
# configuration file with its default, every metric in the README and in doc/api.md.
set -u
top=$(cd "${srcdir:-.}" && pwd)
checks=0

fail()
{
    echo "FAIL: $*"
    exit 1
}

# Headings of a document as the names that links use for them.
anchors()
{
    sed -n '/^```/,/^```/!s/^#\{1,6\} //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

# ---- links, but for those to other places
documents=("$top"/*.md "$top"/doc/*.md "$top"/deploy/*.md "$top"/models/*.md "$top"/tools/train/*.md)
for document in "${documents[@]}"; do
    while read -r link; do
        case $link in *://* | mailto:*) continue ;; esac
        path=${link%%#*} target=$document
        [ -z "$path" ] || target=$(dirname "$document")/$path
        [ -e "$target" ] || fail "${document#"$top"/}: nothing at $link"
        if [[ $link == *#* ]]; then
            anchors "$target" | grep -qx -- "${link#*#}" || fail "${document#"$top"/}: no heading for $link"
        fi
        checks=$((checks + 1))
    done < <(grep -oE '\]\([^) ]+\)' "$document" | sed 's/^](//; s/)$//')
done
[ $checks -gt 40 ] || fail "only $checks links were found"

# ---- keys, as the program knows them
[ -x ./tritd ] || { echo "SKIP: there is no tritd in $PWD"; exit 77; }
file=$top/conf/tritd.conf.in
while IFS='=' read -r name default; do
    grep -qE "^\|.*\`$name\`.*\|.*\|.*\|" "$top/README.md" || fail "README.md: no row for the key $name"
    # The built-in model's path is filled in by configure.
    [ "$name" != model ] || default='@modelsdir@/@BUILTIN_MODEL@'
    grep -qxE -- "#$name =( $(sed 's/[][\.*^$+?(){}|]/\\&/g' <<<"$default"))?" "$file" &&
        { [ -z "$default" ] || grep -qxF -- "#$name = $default" "$file"; } ||
        fail "conf/tritd.conf.in: $name is not there with its default, \"$default\""
    checks=$((checks + 1))
done < <(./tritd --list-keys | awk -F'\t' '$5 != "command" { print $1 "=" $4 }')
while read -r name; do
    ./tritd --list-keys | cut -f1 | grep -qx -- "$name" || fail "conf/tritd.conf.in: there is no key $name"
done < <(sed -n 's/^#\([a-z-]*\) =.*/\1/p' "$file")

# ---- metrics, as they stand in the source
while read -r name; do
    grep -q "\`${name#tritd_}\`" "$top/README.md" || fail "README.md lacks the metric $name"
    grep -q "\`$name\`" "$top/doc/api.md" || fail "doc/api.md lacks the metric $name"
    checks=$((checks + 1))
done < <(grep -ohE '"tritd_[a-z_]+"' "$top"/src/server/metrics*.c | tr -d '"' | sort -u)
echo "$checks checks"
