#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Let a checkpoint speak, in PyTorch, and say how fast it does.

Usage: generate.py CHECKPOINT TOKENIZER PROMPT [TOKENS]

Greedy, one token at a time with a cache of keys and values, float32.  For a look at a run that is
not finished or at the full-precision twin, and for the framework's tokens/s in the model card:
weights are rounded once before the first token, so ternary and full precision cost the same here.
"""

import math
import sys
import time

import torch
import torch.nn.functional as F

import bpe
import evaluate
import model


def trits(w):
    rounded, scale = model.quantise_weight(w)
    return rounded * scale


class Decoder:
    def __init__(self, config, p):
        self.config = config
        self.p = {n: trits(w) if config.ternary and w.dim() == 2 and n != "embed" else w
                  for n, w in p.items()}
        kv = config.kv_heads
        self.cache = torch.zeros(config.layers, 2, kv, config.context, model.HEAD)
        self.cosine, self.sine = model.rope_tables(config, config.context)

    def linear(self, x, *weights):
        if self.config.ternary:
            x, step = model.quantise_activations(x)
            x = x * step
        return [F.linear(x, w) for w in weights]

    def attend(self, layer, at, q, k, v):
        config = self.config
        here = (self.cosine[at], self.sine[at])
        q = model.rotate(q.view(-1, model.HEAD), *here)
        self.cache[layer, 0, :, at] = model.rotate(k.view(-1, model.HEAD), *here)
        self.cache[layer, 1, :, at] = v.view(-1, model.HEAD)
        keys, values = self.cache[layer, :, :, :at + 1]
        q = q.view(config.kv_heads, -1, model.HEAD)
        score = (q @ keys.transpose(1, 2)) / math.sqrt(model.HEAD)
        return (score.softmax(-1) @ values).reshape(-1)

    def logits(self, token, at):
        """Of the token that follows `token`, which stands at position `at`."""
        p, eps = self.p, self.config.eps
        x = p["embed"][token]
        for i in range(self.config.layers):
            w = f"layers.{i}."
            h = model.rms_norm(x, p[w + "attn_norm"], eps)
            heads = self.attend(i, at, *self.linear(h, p[w + "q"], p[w + "k"], p[w + "v"]))
            h = model.rms_norm(heads, p[w + "attn_sub_norm"], eps)
            x = x + self.linear(h, p[w + "o"])[0]
            h = model.rms_norm(x, p[w + "ffn_norm"], eps)
            gate, up = self.linear(h, p[w + "gate"], p[w + "up"])
            h = model.rms_norm(F.relu(gate).square() * up, p[w + "ffn_sub_norm"], eps)
            x = x + self.linear(h, p[w + "down"])[0]
        return F.linear(model.rms_norm(x, p["norm"], eps), p["embed"])


@torch.no_grad()
def main():
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    config, p = evaluate.load(sys.argv[1])
    tokenizer = bpe.Tokenizer.load(sys.argv[2])
    most = int(sys.argv[4]) if len(sys.argv) == 5 else 200
    end = tokenizer.id_of["<|endoftext|>"]
    tokens = [end, *tokenizer.encode(sys.argv[3])]
    decoder = Decoder(config, p)
    for at, token in enumerate(tokens):
        logits = decoder.logits(token, at)
    start, given = time.monotonic(), 0
    while given < most and len(tokens) < config.context:
        token = int(logits.argmax())
        if token == end:
            break
        tokens.append(token)
        given += 1
        logits = decoder.logits(token, len(tokens) - 1)
    seconds = time.monotonic() - start
    print(tokenizer.decode(tokens[1:]))
    print(f"\n{given} tokens, {given / seconds:.0f} tokens/s, {torch.get_num_threads()} threads",
          file=sys.stderr)


if __name__ == "__main__":
    main()
