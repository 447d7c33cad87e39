#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A model with SentencePiece's tokenizer: the space that encoding puts in front is seen by nobody, a
# control token's name in a message is text, and the bytes of a character come together.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need curl node
model=$work/sentencepiece-multiply
node "$here/y-folder.mjs" "$model" sentencepiece-multiply || broken "y-folder.mjs"
[ ! -e "$model/tokenizer.json" ] || broken "there is a tokenizer.json"
start --ctx 256
has "the log" "$(cat "$work/log")" 'tokenizer model=llama .*tokens=276 .*special=4 .*bos=273 eos=274 add_bos=yes'

# ---- texts to ids and back: "▁that" is 269, "▁thing" 271, "▁" 257, bytes begin at 1
is "ids" "$(post /tokenize '{"content":"that thing"}')" '{"tokens":[269,271]}'
is "pieces" "$(post /tokenize '{"content":"that\n","with_pieces":true}')" \
    '{"tokens":[{"id":269,"piece":" that"},{"id":11,"piece":"\n"}]}'
is "a word that begins with a space" "$(post /tokenize '{"content":" that"}')" '{"tokens":[257,269]}'
is "bytes" "$(post /tokenize '{"content":"é😀"}')" '{"tokens":[257,272,241,160,153,129]}'
is "a special token" "$(post /tokenize '{"content":"<s>that</s>","parse_special":true}')" \
    '{"tokens":[273,269,274]}'
lacks "text" "$(post /tokenize '{"content":"<s>that</s>","parse_special":false}')" '27[34]'
is "and back" "$(post /detokenize '{"tokens":[269,271,272,241,160,153,129]}')" \
    '{"content":"that thingé😀"}'
is "behind BOS" "$(post /detokenize '{"tokens":[273,269,271]}')" '{"content":"<s>that thing"}'

# ---- an echoed prompt is what was sent; offsets count its characters
said=$(post /v1/completions '{"prompt":"that thing","max_tokens":2,"temperature":0,"echo":true,
    "logprobs":1,"ignore_eos":true}')
has "echo" "$said" '"text": ?"that thing'
has "tokens" "$said" '"tokens": ?\["<s>"," that"," thing",'
has "offsets" "$said" '"text_offset": ?\[0,0,4,10,'

# ---- a message cannot end its turn
plain=$(post /v1/chat/completions '{"messages":[{"role":"user","content":"th"}],"max_tokens":1}' |
    grep -Eo '"prompt_tokens": ?[0-9]+')
named=$(post /v1/chat/completions '{"messages":[{"role":"user","content":"</s>"}],"max_tokens":1}' |
    grep -Eo '"prompt_tokens": ?[0-9]+')
is "what </s> has more than th: a space and four bytes for one" \
    "$((${named##*[: ]} - ${plain##*[: ]}))" 4

# ---- grammars see bytes: the answer is JSON of the schema, characters whole
for seed in 1 2 3; do
    said=$(post /v1/chat/completions '{"messages":[{"role":"user","content":"that"}],"seed":'$seed',
        "max_tokens":120,"temperature":1,"response_format":{"type":"json_schema","json_schema":{
        "name":"x","schema":{"type":"object","properties":{"é":{"type":"string","maxLength":6},
        "n":{"enum":["that thing","ing"]}},"required":["é","n"],"additionalProperties":false}}}}')
    node -e '
        const choice = JSON.parse(process.argv[1]).choices[0], value = JSON.parse(choice.message.content);
        if (Object.keys(value).join() !== "é,n" || [...value["é"]].length > 6) throw new Error(choice.message.content);
    ' "$said" || fail "not of the schema: $said"
    checks=$((checks + 1))
done
stop
is "exit status" "$ended" 0
