#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hold cpu.c against model.py: the same loss and the same gradients on random rows.

The products of cpu.c are of bfloat16, so gradients are compared by direction and length, for each
tensor: cosine above 0.995, lengths within 2 %.  The losses must agree within 0.2 %: that of the
step, and that of a held-out check, which drops nothing, asks no teacher and adds no gradient.
Usage: check.py [SEED].  Prints the worst tensors and exits with 1 where one is off.
"""

import sys
import tempfile

import torch

import model
import step
import torch_step

COSINE, LENGTH, LOSS = 0.995, 0.02, 0.002


def batch(config, rows, generator):
    tokens = torch.randint(0, config.vocab, (rows, config.context), generator=generator)
    target = torch.randint(-1, config.vocab, (rows, config.context), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.3] = -1
    opens = torch.rand(tokens.shape, generator=generator) < 0.01
    at = torch.arange(config.context).expand(rows, -1)
    return tokens, target, torch.where(opens, at, torch.zeros_like(at)).cummax(1).values


def teacher(config, seed):
    """One that is sure of what it says, so that it matters who is heard and how much."""
    p = model.views(config, model.initial(config, seed))
    p["embed"] *= 5
    return config, p


def compare(config, dropout, seed, build, teachers=(), listen=0.0, rows=2):
    generator = torch.Generator().manual_seed(seed)
    flat = model.initial(config, seed)
    flat += 0.1 * torch.randn(flat.shape, generator=generator) * flat.abs().clamp_max(0.02)
    rows_of = batch(config, rows, generator)
    fast = step.TilesStep(config, flat.clone(), rows, build, teachers, listen)
    fast.load()
    plain = torch_step.TorchStep(config, flat.clone(), teachers, listen)
    scale = 1.0 / (rows * config.context)
    losses = [s.add_gradients(*rows_of, scale, dropout, seed) for s in (fast, plain)]
    held_out = [s.loss(*rows_of) for s in (fast, plain)]
    off = max(abs(x / y - 1) for x, y in (losses, held_out))
    print(f"{config.name}: loss {losses[0]:.4f} and {losses[1]:.4f}, {off:.5f} apart")
    failed = off > LOSS
    results = []
    got, want = (model.views(config, s.grads.detach()) for s in (fast, plain))
    for name, w in want.items():
        g = got[name]
        cosine = torch.nn.functional.cosine_similarity(g.flatten(), w.flatten(), dim=0).item()
        length = (g.norm() / w.norm()).item()
        results.append((cosine, length, name))
        failed |= cosine < COSINE or abs(length - 1) > LENGTH
    for cosine, length, name in sorted(results)[:4]:
        print(f"  {name}: cosine {cosine:.5f}, length {length:.4f}")
    return failed


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as build:
        shape = dict(vocab=512, dim=256, ffn=512, layers=2, heads=4, kv_heads=2, context=256)
        other = dict(shape, dim=128, ffn=256, heads=2, kv_heads=1)
        teachers = [teacher(model.Config("teacher", ternary=False, **other), seed + 1),
                    teacher(model.Config("teacher", **shape), seed + 2)]
        failed = [compare(model.Config(name, ternary=ternary, **shape), dropout, seed, build, *more)
                  for name, ternary, dropout, *more in (
                      ("full precision", False, 0.0),
                      ("ternary", True, 0.0),
                      ("ternary with dropout", True, 0.1),
                      ("ternary with teachers", True, 0.0, teachers, 0.7))]
    sys.exit(any(failed))


if __name__ == "__main__":
    main()
