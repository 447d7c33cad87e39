#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Perplexity of a checkpoint on held-out documents, in floating point, by model.py.

Usage: evaluate.py CHECKPOINT DATA [PART ...]     (heldout-simple and heldout where none is named)

The weights, the activations and the embedding are rounded as in the shipped file; everything else
is float32.  Documents longer than the context are cut into windows of `context` tokens, each of
which begins anew with <|endoftext|>, and the final <|endoftext|> of a document is a target: the
same tokens are scored as by tools/trit-perplexity.
"""

import json
import math
import sys

import torch

import data
import model


def windows(part, context):
    """Lists of tokens, the first of each being <|endoftext|>."""
    for i in range(len(part)):
        tokens = part.document(i)[0].astype("int64")
        for at in range(1, len(tokens), context - 1):
            yield torch.tensor([tokens[0], *tokens[at:at + context - 1]])


@torch.no_grad()
def evaluate(config, p, part):
    """Sum of the losses in nats, and the number of targets."""
    loss = count = 0
    for tokens in windows(part, config.context):
        x, target = tokens[None, :-1], tokens[None, 1:]
        loss += model.loss_sum(config, p, x, target, torch.zeros_like(x)).item()
        count += target.numel()
    return loss, count


def load(path):
    saved = torch.load(path, map_location="cpu")
    config, p = model.Config(**saved["config"]), saved["model"]
    if config.ternary:
        p["embed"] = model.quantise_embedding(p["embed"])
    return config, p


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    config, p = load(sys.argv[1])
    for name in sys.argv[3:] or ["heldout-simple", "heldout"]:
        part = data.Part(sys.argv[2], name)
        loss, count = evaluate(config, p, part)
        print(json.dumps({"model": config.name, "part": name, "documents": len(part),
                          "tokens": count, "nats": round(loss / count, 5),
                          "perplexity": round(math.exp(loss / count), 4)}), flush=True)


if __name__ == "__main__":
    main()
