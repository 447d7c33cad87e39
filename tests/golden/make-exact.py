#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Choose prompts on which float32 and float64 must agree, and write exact.json.

Rounding activations to int8 makes a random model chaotic: one value that lies within float32's error
of a rounding boundary flips, and a few layers later everything differs by the noise of 8 bits.  On
most prompts that happens somewhere, so a tolerance wide enough for them would hide real errors.
This script searches, with the float64 reference, for prompts on which no value comes close to a
boundary; there an engine in float32 has to agree to a thousandth.

Usage: make-exact.py ORACLE_DIRECTORY > exact.json     (needs numpy)
"""
import json, sys
import numpy as np

sys.path.insert(0, sys.argv[1])
import reference as R

MARGIN = 1e-4   # in steps of int8: about three times the error of float32 there
nearest = 1.0
plain = R.quantise_activations

def watched(x):
    global nearest
    m = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-5)
    y = x * (127.0 / m)
    nearest = min(nearest, np.abs(np.abs(y - np.floor(y)) - 0.5).min())
    return plain(x)

R.quantise_activations = watched

def cases(model, rng, lengths, tries=400):
    global nearest
    vocab, found = model['hp']['vocab'], []
    for n in lengths:
        for _ in range(tries):
            ids = [int(x) for x in rng.integers(0, vocab, n)]
            nearest = 1.0
            row = R.logprobs(R.forward(model, ids)[-1])
            if nearest > MARGIN:
                top = np.argsort(-row)[:16]
                found.append(dict(prompt=ids, margin=round(float(nearest), 6),
                                  top_logprobs=[[int(t), round(float(row[t]), 5)] for t in top],
                                  greedy=[int(top[0])], margins=[round(float(row[top[0]] - row[top[1]]), 4)]))
                break
    return found

# The models as ORACLE_DIRECTORY/models holds them; see build() there.
d, seed, rng = 256, 7, np.random.default_rng(1)
models = dict(b158=R.random_model(seed, 4, d, 3 * d, 4, 2, 512),
              bitnet=R.random_model(seed + 1, 3, d, 2 * d, 4, 4, 512, theta=10000.0, act='silu'),
              llama=R.random_model(seed + 2, 3, d, 3 * d, 4, 1, 512, rope='norm', act='silu', sub=False, tied=False))
json.dump(dict(cases={name: cases(m, rng, (1, 2, 3, 4, 5, 6)) for name, m in models.items()}), sys.stdout)
