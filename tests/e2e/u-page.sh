#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The page for people as HTTP has it: its files, what it may do, asking again, keys, switched off.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"

# ask PATH [curl options]: the header in $header, the body in $work/body
ask()
{
    local path=$1
    shift
    rm -f "$work/body"
    header=$(curl -sS -D - -o "$work/body" "$@" "$url$path" | tr -d '\r')
}

printf 'page = yes\n' >"$work/conf"
start --config "$work/conf"
sources=$top/src/server/page
for file in "$sources"/*; do
    name=$(basename "$file")
    path=/page/$name
    [ "$name" != index.html ] || path=/
    case $name in
    *.html) type="text/html; charset=utf-8" ;;
    *.css) type="text/css; charset=utf-8" ;;
    *.js) type="text/javascript; charset=utf-8" ;;
    *.svg) type=image/svg\\+xml ;;
    esac
    ask "$path"
    has "$path: status" "$header" '^HTTP/1.1 200 '
    has "$path: type" "$header" "^Content-Type: $type\$"
    has "$path: policy" "$header" "^Content-Security-Policy: default-src 'none'; script-src 'self'; .*frame-ancestors 'none'"
    lacks "$path: policy" "$header" "unsafe-|https?:|\*"
    has "$path: nosniff" "$header" '^X-Content-Type-Options: nosniff$'
    has "$path: referrer" "$header" '^Referrer-Policy: no-referrer$'
    has "$path: kept, and asked about" "$header" '^Cache-Control: no-cache$'
    has "$path: length" "$header" "^Content-Length: $(stat -c %s "$file")\$"
    cmp -s "$file" "$work/body" || fail "$path: not the bytes of $name"
    etag=$(sed -n 's/^ETag: //p' <<<"$header")
    has "$path: tag" "$etag" '^"[0-9a-f]{16}"$'

    ask "$path" --head
    has "$path: HEAD: status" "$header" '^HTTP/1.1 200 '
    has "$path: HEAD: length" "$header" "^Content-Length: $(stat -c %s "$file")\$"
    is "$path: HEAD: tag" "$(sed -n 's/^ETag: //p' <<<"$header")" "$etag"
    for known in "$etag" "W/$etag" "\"other\", $etag" '*'; do
        ask "$path" -H "If-None-Match: $known"
        has "$path: $known" "$header" '^HTTP/1.1 304 '
        is "$path: $known: tag" "$(sed -n 's/^ETag: //p' <<<"$header")" "$etag"
        is "$path: $known: bytes" "$(stat -c %s "$work/body" 2>/dev/null || echo 0)" 0
    done
    ask "$path" -H 'If-None-Match: "0000000000000000"'
    has "$path: another tag" "$header" '^HTTP/1.1 200 '
done
# A connection goes on behind a 304.
said=$(curl -sS -H "If-None-Match: *" "$url/page/page.css" -: -sS "$url/healthz")
is "behind a 304" "$said" '{"status":"ok"}'

ask /page/nothing.js
has "no such file: status" "$header" '^HTTP/1.1 404 '
has "no such file: code" "$(cat "$work/body")" '"code":"not_found"'
lacks "no such file: an answer of the API" "$header" '^Content-Security-Policy'
for path in /page /page/ /page/../etc/passwd /page/%2e%2e/conf /index.html; do
    ask "$path" --path-as-is
    has "$path" "$header" '^HTTP/1.1 404 '
done
ask / -X POST -d x
has "POST: status" "$header" '^HTTP/1.1 405 '
has "POST: allowed" "$header" '^Allow: GET, HEAD$'
lacks "other answers have no policy" "$(curl -sI "$url/healthz")" 'Content-Security-Policy'
has "counted" "$(curl -fs "$url/metrics")" '^tritd_http_requests_total\{route="/page/\{file\}",status="304"\} [1-9]'
lacks "nothing of another place" "$(cat "$sources"/*)" "(src|href)=[\"']?(https?:)?//|@import|url\("

# ---- switched off, while it runs
reloaded()
{
    ask /
    grep -q '^HTTP/1.1 404 ' <<<"$header"
}
printf 'page = no\n' >"$work/conf"
kill -HUP "$pid"
within 20 reloaded || fail "page = no: still there"
has "page = no: as if there were none" "$(cat "$work/body")" '"there is no such route"'
ask /page/page.css
has "page = no: its files" "$header" '^HTTP/1.1 404 '
stop
is "exit status" "$ended" 0

# ---- with keys the page is for everybody, and nothing else is
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
umask 077
"$trit" keys new alice >"$work/keys" 2>/dev/null || broken "trit keys new"
start --api-keys "$work/keys"
for path in / /page/main.js; do
    ask "$path"
    has "$path with keys" "$header" '^HTTP/1.1 200 '
done
for path in /v1/models /index.html /v1/tritd/requests; do
    ask "$path"
    has "$path with keys" "$header" '^HTTP/1.1 401 '
done
stop
start --api-keys "$work/keys" --page no
for path in / /page/main.js; do
    ask "$path"
    has "$path with keys, page = no" "$header" '^HTTP/1.1 401 '
done
stop
