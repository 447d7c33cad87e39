#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Chat templates that would run for ever: each is stopped within 100 ms of processor time, with an error,
# and others go on.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
need curl
worst=0 n=0

# Nanoseconds of all its threads.
processor()
{
    cat "/proc/$pid/task/"*/schedstat | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

# bomb NAME TEMPLATE
bomb()
{
    local before after ms said least=1000000 i
    # What goes off in a trial is refused by the start: it waits for a word.
    printf "{%% if messages[0]['content'] == 'now' %%}%s{%% endif %%}{{ messages[0]['content'] }}" "$2" >"$work/bomb.jinja"
    start --chat-template "$work/bomb.jinja" --log-level warn
    # The less of three: other programs push ours out of the caches.
    for i in 1 2 3; do
        before=$(processor)
        said=$(post /apply-template '{"messages":[{"role":"user","content":"now"}]}')
        after=$(processor)
        ms=$(((after - before) / 1000000))
        [ $ms -ge $least ] || least=$ms
    done
    has "$1" "$said" '"error"'
    is "$1: health" "$(curl -fs -o /dev/null -w '%{http_code}' "$url/healthz")" 200
    echo "$1: $least ms: $(grep -o '"message": *"[^"]*' <<<"$said" | cut -c1-120)"
    [ $least -le $worst ] || worst=$least
    n=$((n + 1))
    stop
}

nested='{% for a in range(25000) %}{% for b in range(25000) %}{% for c in range(25000) %}{% endfor %}{% endfor %}{% endfor %}'
bomb "ranges in ranges" "$nested"
bomb "a text that doubles" "{% set x = namespace(t='ab') %}{% for i in range(64) %}{% set x.t = x.t ~ x.t %}{% endfor %}{{ x.t }}"
bomb "a list that doubles" "{% set x = namespace(t=[1]) %}{% for i in range(64) %}{% set x.t = x.t + x.t %}{% endfor %}{{ x.t }}"
bomb "output without end" "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}"
bomb "a macro that calls itself" "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}"
bomb "replace in replace" "{% set x = namespace(t='a') %}{% for i in range(99999) %}{% set x.t = x.t | replace('a', 'aaaaaaaa') %}{% endfor %}{{ x.t }}"
bomb "sorting much" "{% for i in range(99999) %}{% set y = range(99999) | list | sort(reverse=true) %}{% endfor %}{{ y }}"
bomb "joins" "{% for i in range(99999) %}{% set y = range(99999) | join('xxxxxxxxxxxxxxxx') %}{% endfor %}{{ y }}"
bomb "slices" "{% set l = range(99999) | list %}{% for i in range(99999) %}{% set y = l[::-1] %}{% endfor %}{{ y }}"
bomb "JSON again and again" "{% set l = range(99999) | list %}{% for i in range(99999) %}{% set y = l | tojson %}{% endfor %}{{ y }}"
is "each within 100 ms of a processor: the worst had $worst ms" "$([ $worst -lt 100 ] && echo yes)" yes
bar 13 "$n templates without end: each stopped, the slowest after $worst ms of a processor" "stop < 100 ms"
