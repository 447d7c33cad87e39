#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Choose prompts on which float32 and float64 must agree, and write exact.json or exact-f16.json.

Rounding activations to int8 makes a random model chaotic: one value that lies within float32's error
of a rounding boundary flips, and a few layers later everything differs by the noise of 8 bits.  On
most prompts that happens somewhere, so a tolerance wide enough for them would hide real errors.
This script searches, with the float64 reference, for prompts on which no value comes close to a
boundary; there an engine in float32 has to agree to a thousandth.

With "f16" the reference keeps keys and values as binary16, as an engine with such a cache does, and
boundaries of that rounding are kept away from too.

The Bonsai models' reference has float activations; here it has eight bits for each group of inputs, as
an engine with --act-type q8.

Usage: make-exact.py ORACLE_DIRECTORY [f16] > exact.json     (needs numpy)
"""
import inspect, json, sys
import numpy as np

sys.path.insert(0, sys.argv[1])
import reference as R

F16 = sys.argv[2:] == ['f16']
INT8_MARGIN = 1e-4   # in steps of int8: about three times the error of float32 there
F16_MARGIN = 4e-4    # in steps of binary16: about twice
TRIES = 4000 if F16 else 400

near = False         # has a value of the prompt at hand come close to a boundary?
plain = R.quantise_activations

def distance(steps):
    return np.abs(np.abs(steps - np.floor(steps)) - 0.5).min()

def watched(x):
    global near
    m = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-5)
    near = near or distance(x * (127.0 / m)) < INT8_MARGIN
    return plain(x)

def half(x):
    global near
    step = 2.0 ** (np.maximum(np.floor(np.log2(np.maximum(np.abs(x), 1e-30))), -14) - 10)
    near = near or distance(x / step) < F16_MARGIN
    return x.astype(np.float16).astype(np.float64)

def grouped(x, t, s):
    if not np.ndim(s):
        q, step = watched(x)
        return (q @ t.T.astype(np.float64)) * s * step
    parts = x.reshape(len(x), s.shape[1], -1)
    q, step = watched(parts)
    return (q * step).reshape(x.shape) @ R.dequantise(t, s).T.astype(np.float64)

R.quantise_activations = watched
R.bitlinear = grouped
R.half = half
if F16:
    source, mark = inspect.getsource(R.forward), '        o = np.empty((n, heads, hd))'
    assert source.count(mark) == 1, 'the reference has changed: where are k and v complete?'
    exec(source.replace(mark, '        k, v = half(k), half(v)\n' + mark), R.__dict__)

def cases(model, rng, lengths):
    global near
    vocab, found = model['hp']['vocab'], []
    for n in lengths:
        for _ in range(TRIES):
            ids = [int(x) for x in rng.integers(0, vocab, n)]
            near = False
            row = R.logprobs(R.forward(model, ids)[-1])
            if not near:
                top = np.argsort(-row)[:16]
                found.append(dict(prompt=ids, top_logprobs=[[int(t), round(float(row[t]), 5)] for t in top],
                                  greedy=[int(top[0])], margins=[round(float(row[top[0]] - row[top[1]]), 4)]))
                break
    return found

# The models as ORACLE_DIRECTORY/models holds them; see build() there.
d, seed, rng = 256, 7, np.random.default_rng(1)
models = dict(b158=R.random_model(seed, 4, d, 3 * d, 4, 2, 512),
              bitnet=R.random_model(seed + 1, 3, d, 2 * d, 4, 4, 512, theta=10000.0, act='silu'),
              llama=R.random_model(seed + 2, 3, d, 3 * d, 4, 1, 512, rope='norm', act='silu', sub=False, tied=False),
              bonsai=R.random_bonsai(seed + 3, 3, d, 3 * d, 4, 2, 128, 512))
lengths = (1, 2, 3) if F16 else (1, 2, 3, 4, 5, 6)
json.dump(dict(cases={name: cases(m, rng, lengths) for name, m in models.items()}), sys.stdout)
