#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a model thinks aloud comes apart from what it says.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
model=$top/models/storyteller.gguf

# template MODE END: a conversation, then how an answer begins.
template() {
    printf '%s' "{% for m in messages %}{% if m.role == 'assistant' %}" \
        "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}{{ '\n' }}" \
        "{% endfor %}$2" >"$work/$1.jinja"
    MODE=$1
    export MODE
    start --chat-template "$work/$1.jinja"
    run_node t-thoughts.mjs
    stop
    is "exit status" "$ended" 0
}

template opens '<think>{{ "\n" }}'
template shuts '<think>{{ "\n\n" }}</think>{{ "\n\n" }}'

# A template without a word about thoughts.
printf '%s' "{% for m in messages %}{{ m.content }}{{ '\n' }}{% endfor %}" >"$work/none.jinja"
MODE=none
start --chat-template "$work/none.jinja"
run_node t-thoughts.mjs
stop
is "exit status" "$ended" 0
