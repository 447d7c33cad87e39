#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""From the corpus to arrays of token ids: trains the tokenizer, encodes every part with it.

Writes OUT/tokenizer.json (see bpe.py) and for each part OUT/PART.npz with `tokens` uint16, all
documents end to end; `starts` uint32 [documents + 1], where each begins; `learn` uint8, 1 where a
token counts as something to predict.  Training and serving must see the same ids, so conversations
are written as tritd writes ChatML: what stands between two special tokens is encoded as one text.
The simple stories and the chats are told in several ways (vary.py), the first as they are; talk.jsonl
adds small talk written by hand (CC0).
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import sys

import numpy as np

import bpe
import corpus
import vary

# How often a part counts for the vocabulary.  The simple register is what the model shall speak.
# Chats are missing: their stories are those of the other parts.
WEIGHTS = {"tinystories": 3, "storybooks": 3, "classics": 1}


def document(tokenizer, text):
    """Ids and learn flags of a text: <|endoftext|> on both sides, as BOS and EOS."""
    end = tokenizer.id_of["<|endoftext|>"]
    ids = [end, *tokenizer.encode(text), end]
    return ids, [0] + [1] * (len(ids) - 1)


def chat(tokenizer, messages):
    """Ids and learn flags of a conversation: what the assistant says, and how its turns end."""
    end, start, stop = (tokenizer.id_of[s] for s in bpe.SPECIALS)
    line_end = tokenizer.encode("\n")
    ids, learn = [end], [0]
    for m in messages:
        said = m["role"] == "assistant"
        head = tokenizer.encode(m["role"] + "\n")
        turn = tokenizer.encode(m["role"] + "\n" + m["content"])
        if turn[:len(head)] != head:
            raise ValueError(f'content {m["content"][:40]!r}: found white space in front, which '
                             "melts with the line end before it; expected none")
        answer = len(turn) - len(head) + 1
        ids += [start, *turn, stop, *line_end]
        learn += [0] * (1 + len(head)) + [int(said)] * answer + [0] * len(line_end)
    ids.append(end)
    learn.append(0)
    if messages[-1]["role"] == "assistant":
        learn[-1 - len(line_end):] = [1] * (len(line_end) + 1)
    return ids, learn


# Requests of small talk that close a conversation; the others may open one.
CLOSES = re.compile("than[kx]|thx|that (was|makes)|i (did not )?like|bye|goodbye|good night|see you|no",
                    re.IGNORECASE)


def talk_of(folder):
    """The hand-written chats: the corpus's and those beside this file."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "talk.jsonl"),
              encoding="ascii") as f:
        own = [json.loads(line)["messages"] for line in f]
    return corpus.chats(folder, "talk") + own


def encoded(tokenizer, part, found, telling, talk):
    """Pairs (ids, learn) of a part's documents in one telling, the bytes of their text; telling 0
    is as they are."""
    is_text = isinstance(found[0], str)
    if telling > 0:
        rng = random.Random(f"{part} {telling}")
        found = [vary.story(rng, d) if is_text else vary.chat(rng, d, talk) for d in found]
    size = sum(len(d) if is_text else sum(len(m["content"]) for m in d) for d in found)
    return [(document if is_text else chat)(tokenizer, d) for d in found], size


def pack(pairs):
    """Arrays of many documents, each a pair (ids, learn)."""
    starts = np.cumsum([0] + [len(ids) for ids, _ in pairs]).astype(np.uint32)
    return {"tokens": np.concatenate([np.array(ids, np.uint16) for ids, _ in pairs]),
            "starts": starts,
            "learn": np.concatenate([np.array(learn, np.uint8) for _, learn in pairs])}


def main():
    parser = argparse.ArgumentParser(description="Train the tokenizer, encode the corpus.")
    parser.add_argument("corpus", help="folder with the parts as .xz files")
    parser.add_argument("out", help="folder for tokenizer.json and PART.npz")
    parser.add_argument("--vocab", type=int, default=4096, help="tokens in all (%(default)s)")
    parser.add_argument("--tellings", type=int, default=6,
                        help="of a simple story or a chat, with other names (%(default)s)")
    args = parser.parse_args()
    least, most = 256 + len(bpe.SPECIALS), 1 << 16
    if not least <= args.vocab <= most:
        parser.error(f"--vocab: found {args.vocab}, expected {least} to {most}")
    os.makedirs(args.out, exist_ok=True)
    try:
        texts = {part: corpus.documents(args.corpus, part) for part in corpus.TEXTS}
        chats = {part: corpus.chats(args.corpus, part) for part in corpus.CHATS}
        chats["talk"] = talk_of(args.corpus)
    except corpus.CorpusError as e:
        sys.exit(f"prepare.py: {e}")
    counts = {}
    for part, weight in WEIGHTS.items():
        for piece, n in bpe.count_pieces(texts[part]).items():
            counts[piece] = counts.get(piece, 0) + weight * n
    tokenizer = bpe.train(counts, args.vocab)
    tokenizer.save(os.path.join(args.out, "tokenizer.json"))
    print(f"{len(tokenizer.vocab)} tokens, {len(tokenizer.merges)} merges, "
          f"from {len(counts)} different pieces")
    print(f'{"part":<15}{"documents":>10}{"tokens":>10}{"learnt":>10}{"bytes a token":>15}')
    talk = {"before": [], "after": []}
    for exchange in chats["talk"]:
        talk["after" if CLOSES.match(exchange[0]["content"]) else "before"].append(exchange)
    with multiprocessing.Pool() as pool:
        tasks = {}
        for part, found in [*chats.items(), *texts.items()]:
            tellings = args.tellings if part in ("tinystories", "chat", "talk") else 1
            tasks[part] = [pool.apply_async(encoded, (tokenizer, part, found, i, talk))
                           for i in range(tellings)]
        for part, results in tasks.items():
            results = [r.get() for r in results]
            pairs = [pair for r, _ in results for pair in r]
            arrays = pack(pairs)
            np.savez(os.path.join(args.out, part + ".npz"), **arrays)
            n = len(arrays["tokens"])
            print(f'{part:<15}{len(pairs):>10}{n:>10}{int(arrays["learn"].sum()):>10}'
                  f"{sum(size for _, size in results) / n:>15.2f}", flush=True)


if __name__ == "__main__":
    main()
