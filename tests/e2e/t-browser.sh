#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What pages of other origins may do: nothing by default, what is listed with CORS, and never by a
# name that was rebound to this machine; every route asks for a key where there are any.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
body='{"prompt":"a","max_tokens":2,"ignore_eos":true}'

# ask PATH [curl options]: the status; the header is in $work/head.
ask()
{
    local path=$1
    shift
    curl -s --max-time $((60 * patience)) -D "$work/head" -o "$work/out" -w '%{http_code}' "$@" "$url$path"
}
head_has()
{
    has "$1" "$(tr -d '\r' <"$work/head")" "$2"
}
head_lacks()
{
    lacks "$1" "$(tr '[:upper:]' '[:lower:]' <"$work/head")" "$2"
}
preflight()
{
    ask "$1" -X OPTIONS -H "Origin: $2" -H 'Access-Control-Request-Method: POST' \
        -H 'Access-Control-Request-Headers: authorization,content-type, x-stainless-os, cookie'
}

# ---- nothing is listed
start
port=${url##*:}
is "curl" "$(ask /v1/completions -d "$body")" 200
is "a page of the server" "$(ask /v1/completions -d "$body" -H "Origin: $url" -H 'Sec-Fetch-Site: same-origin')" 200
is "the same by another name" "$(ask /v1/completions -d "$body" -H "Host: localhost:$port" -H "Origin: http://localhost:$port")" 200
for origin in http://evil.example "http://127.0.0.1:1" null "http://127.0.0.1:$port.evil.example"; do
    is "a page of $origin" "$(ask /v1/completions -d "$body" -H "Origin: $origin")" 403
    has "$origin: code" "$(cat "$work/out")" '"origin_not_allowed"'
done
is "a form without Origin" "$(ask /v1/completions -d "$body" -H 'Sec-Fetch-Site: cross-site')" 403
is "a sibling's" "$(ask /v1/completions -d "$body" -H 'Sec-Fetch-Site: same-site')" 403
is "a link" "$(ask /v1/models -H 'Sec-Fetch-Site: cross-site')" 200
is "DELETE" "$(ask /v1/tritd/requests/x -X DELETE -H 'Origin: http://evil.example')" 403
head_lacks "no CORS" 'access-control|vary'
for host in evil.example "evil.example:$port" 10.0.0.1 localhost.evil.example; do
    is "rebound: $host" "$(ask /v1/models -H "Host: $host")" 403
    has "$host: code" "$(cat "$work/out")" '"host_not_allowed"'
    is "rebound: $host, /metrics" "$(ask /metrics -H "Host: $host")" 403
    is "rebound: $host, POST" "$(ask /v1/completions -d "$body" -H "Host: $host" -H "Origin: http://$host")" 403
done
is "health by any name" "$(ask /healthz -H 'Host: evil.example')" 200
is "OPTIONS without CORS" "$(preflight /v1/completions http://a.example)" 405
is "OPTIONS of no page" "$(ask /v1/completions -X OPTIONS)" 405
stop

# ---- some are listed
start --cors-origins 'https://a.example, http://localhost:3000' --allowed-hosts gpu.lan
is "a listed name" "$(ask /v1/models -H 'Host: gpu.lan:80')" 200
head_has "every answer varies" '^Vary: Origin$'
head_lacks "no page, no permission" 'access-control'
is "a listed page" "$(ask /v1/completions -d "$body" -H 'Origin: https://a.example' -H 'Sec-Fetch-Site: cross-site')" 200
head_has "a listed page may read" '^Access-Control-Allow-Origin: https://a.example$'
head_has "and sees" '^Access-Control-Expose-Headers: x-request-id, .*Retry-After.*x-ratelimit-'
is "an error" "$(ask /v1/completions -d '{}' -H 'Origin: http://localhost:3000')" 400
head_has "an error can be read" '^Access-Control-Allow-Origin: http://localhost:3000$'
is "another page" "$(ask /v1/models -H 'Origin: https://b.example')" 200
head_lacks "may not read" 'access-control'
is "another page posts" "$(ask /v1/completions -d "$body" -H 'Origin: https://b.example')" 403
is "preflight" "$(preflight /v1/chat/completions https://a.example)" 204
head_has "preflight: origin" '^Access-Control-Allow-Origin: https://a.example$'
head_has "preflight: methods" '^Access-Control-Allow-Methods: .*POST'
head_has "preflight: headers" '^Access-Control-Allow-Headers: authorization, content-type, x-stainless-os$'
head_has "preflight: age" '^Access-Control-Max-Age: [1-9]'
head_has "preflight: varies" '^Vary: Origin$'
head_lacks "never credentials" 'allow-credentials'
is "preflight of another" "$(preflight /v1/chat/completions https://b.example)" 403
head_lacks "preflight of another" 'access-control'
is "a plain OPTIONS" "$(ask /v1/models -X OPTIONS)" 405
stop

# ---- all, with keys: a preflight has none, the rest of every route needs one
umask 077
[ -x "$PWD/trit" ] || skip "there is no trit in $PWD"
"$PWD/trit" keys new alice >"$work/keys" 2>"$work/key" || broken "trit keys"
start --cors-origins '*' --api-keys "$work/keys"
is "preflight without a key" "$(preflight /v1/completions https://any.example)" 204
head_has "any" '^Access-Control-Allow-Origin: \*$'
head_lacks "any: never credentials" 'allow-credentials|vary'
is "a page without a key" "$(ask /v1/completions -d "$body" -H 'Origin: https://any.example')" 401
head_has "the refusal can be read" '^Access-Control-Allow-Origin: \*$'
is "a page with a key" "$(ask /v1/completions -d "$body" -H 'Origin: https://any.example' \
    -H "Authorization: Bearer $(cat "$work/key")")" 200
is "keys: by any name" "$(ask /v1/models -H 'Host: gpu.example' -H "Authorization: Bearer $(cat "$work/key")")" 200
# The routes are those of the source itself, so that none is forgotten here.
routes=$(sed -n '/^static const struct route routes/,/^};/s/^    {"\([^"]*\)".*/\1/p' "$top/src/server/routes.c")
is "routes were found" "$(grep -c '^/v1/' <<<"$routes" | sed 's/[0-9]\{1,\}/many/')" many
for route in $routes /nothing; do
    expected=401
    # The page is open: it holds no secret, and what it asks for needs the key that is typed into it.
    case $route in
        /page/) route=/page/main.js expected=200 ;;
        / | /healthz | /readyz | /metrics) expected=200 ;;
        */) route=${route}x ;;
    esac
    for method in GET POST DELETE PUT; do
        found=$(ask "$route" -X "$method")
        [ "$expected" = 200 ] && [ "$method" != GET ] && expected=405
        is "$method $route without a key" "$found" "$expected"
    done
done
stop
is "exit status" "$ended" 0

# ---- other machines: only with keys, or when told
refused()
{
    refuses 1 "$1" "$tritd" --check-config "${@:2}"
}
for host in 0.0.0.0 :: 192.0.2.1; do
    refused "there are no API keys" --host "$host"
    is "$host, told" "$("$tritd" --check-config --host "$host" --allow-remote >"$work/out" 2>&1; echo $?)" 0
    is "$host, keys" "$("$tritd" --check-config --host "$host" --api-keys "$work/keys" >"$work/out" 2>&1; echo $?)" 0
done
refused 'cors-origins: found "a.example"' --cors-origins a.example
refused 'cors-origins: found "https://a.example/"' --cors-origins https://a.example/
