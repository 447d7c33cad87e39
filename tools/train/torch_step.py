# SPDX-License-Identifier: MIT
"""One training step by PyTorch: on a GPU compiled, in bfloat16, and with attention that skips what
a token's document does not hold; on any CPU as model.py says it (slow)."""

import contextlib
import functools

import torch

import model
from optimiser import Optimiser

BETAS, EPS, CLIP = (0.9, 0.95), 1e-8, 1.0


def adamw(flat, grads, first, second, decayed, lr, decay, power):
    """In place; `power` are the betas to the power of the number of steps.  Returns the length of
    the gradient, which is cut to CLIP."""
    size = grads.norm()
    grads = grads * (CLIP / (size + 1e-6)).clamp_max(1.0)
    first.lerp_(grads, 1 - BETAS[0])
    second.lerp_(grads * grads, 1 - BETAS[1])
    root = (second / (1 - power[1])).sqrt() + EPS
    flat.mul_(1 - lr * decay * decayed)
    flat.sub_(lr * (first / (1 - power[0])) / root)
    return size


class Blocks:
    """Attention by PyTorch's flex_attention: only the blocks of keys that hold a token's document
    are read.  Computes what model.attend() does."""

    def __init__(self, device):
        from torch.nn.attention import flex_attention  # not in old versions, which have no need
        self.flex = flex_attention.flex_attention
        self.block_mask = torch.compile(flex_attention.create_block_mask)
        self.device = device
        self.begin = None  # the same memory for every batch: seen() is compiled with it
        self.seen = None

    def take(self, begin):
        if self.begin is None:
            own = self.begin = begin.clone()
            self.seen = lambda row, _head, query, key: (key <= query) & (key >= own[row, query])
        self.begin.copy_(begin)
        rows, length = begin.shape
        return self.block_mask(self.seen, rows, None, length, length, device=self.device)

    def attend(self, q, k, v, blocks):
        q, k, v = (x.to(torch.bfloat16) for x in (q, k, v))
        return self.flex(q, k, v, block_mask=blocks, enable_gqa=True)


class Plain:
    """Attention as model.py says it."""

    attend = staticmethod(model.attend)

    @staticmethod
    def take(begin):
        return begin


def speak(config, p, x):
    """Probabilities [batch, token, vocab]."""
    return model.head(config, p, x).float().softmax(-1)


def losses(config, p, x, target, soft, listen):
    """The loss against the text, and the one to follow, for which teachers said `soft`."""
    logits = model.head(config, p, x)
    hard = model.cross_entropy(logits, target)
    if soft is None:
        return hard, hard
    return hard, (1 - listen) * hard + listen * model.soft_cross_entropy(logits, target, soft)


class TorchStep(Optimiser):
    def __init__(self, config, flat, teachers, listen):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        super().__init__(config, flat.to(self.device))
        gpu = self.device == "cuda"
        self.name = f"PyTorch on {torch.cuda.get_device_name() if gpu else 'the CPU'}"
        compiled = functools.partial(torch.compile, dynamic=False) if gpu else lambda f: f
        self.way = Blocks(self.device) if gpu else Plain
        # Leaves that share memory with the flat arrays: one gradient each, summed in place.
        self.p = model.views(config, self.flat)
        for name, grad in model.views(config, self.grads).items():
            self.p[name] = self.p[name].detach().requires_grad_()
            self.p[name].grad = grad
        self.decayed = torch.cat([torch.full((end - start,), matrix, dtype=torch.bool)
                                  for start, end, matrix in self.ranges]).to(self.device)
        self.teachers = [(c, {n: t.to(self.device) for n, t in p.items()}) for c, p in teachers]
        self.listen = listen
        self.layer = compiled(model.layer)
        self.losses = compiled(losses)
        self.speak = compiled(speak)
        self.adamw = compiled(adamw)

    def load(self):
        pass

    def precision(self):
        if self.device == "cpu":
            return contextlib.nullcontext()
        return torch.autocast(self.device, torch.bfloat16)

    def stream(self, config, p, tokens, begin, drop=model.NOTHING_DROPPED):
        return model.stream(config, p, tokens, begin, drop, self.way.attend, self.layer)

    def moved(self, rows):
        tokens, target, begin = (x.to(self.device, non_blocking=True) for x in rows)
        return tokens.long(), target.long(), self.way.take(begin)

    @torch.no_grad()
    def loss(self, *rows):
        with self.precision():
            tokens, target, begin = self.moved(rows)
            x = self.stream(self.config, self.p, tokens, begin)
            return self.losses(self.config, self.p, x, target, None, 0.0)[0].item()

    @torch.no_grad()
    def heard(self, tokens, begin):
        """What the teachers say on average, [batch, token, vocab]."""
        if not self.teachers:
            return None
        return sum(self.speak(c, p, self.stream(c, p, tokens, begin))
                   for c, p in self.teachers) / len(self.teachers)

    def add_gradients(self, tokens, target, begin, scale, dropout=0.0, seed=0):
        with self.precision():
            tokens, target, begin = self.moved((tokens, target, begin))
            seed = torch.tensor(seed).to(self.device, non_blocking=True)
            x = self.stream(self.config, self.p, tokens, begin, model.Dropout(dropout, seed))
            hard, loss = self.losses(self.config, self.p, x, target, self.heard(tokens, begin),
                                     self.listen)
        (loss * scale).backward()
        return hard.detach()

    @torch.no_grad()
    def update(self, lr, decay):
        self.steps += 1
        numbers = torch.tensor([lr, decay, *(b ** self.steps for b in BETAS)], dtype=torch.float64)
        lr, decay, *power = numbers.float().to(self.device, non_blocking=True)
        size = self.adamw(self.flat, self.grads, self.first, self.second, self.decayed, lr, decay,
                          power)
        self.grads.zero_()
        return size
