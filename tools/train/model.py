# SPDX-License-Identifier: MIT
"""The model, as plainly as PyTorch can say it: the specification of the training.

BitNet b1.58 (arXiv 2402.17764, and 2504.12285 for the 2B model, whose layer this is): RMSNorm,
rotary positions in half-split pairs, grouped-query attention, sub-norms before the output
projections, a gated FFN with squared ReLU, tied embeddings, no biases.  Every linear layer sees
activations of 8 bits (absolute maximum of a token) and weights of -1, 0, +1 times their mean
magnitude; gradients pass both roundings straight through.

With `ternary` off it is the full-precision twin: same shape, same parameters, no rounding.
cpu.c computes the same step by hand; check.py compares the two.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

HEAD = 64  # dimensions of an attention head


@dataclass
class Config:
    name: str
    vocab: int = 4096
    dim: int = 512
    ffn: int = 1280
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    context: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5
    ternary: bool = True

    def as_dict(self):
        return asdict(self)


def shapes(config):
    """Names and shapes of the parameters, in the order in which they lie in one flat array."""
    dim, ffn, kv = config.dim, config.ffn, config.kv_heads * HEAD
    yield "embed", (config.vocab, dim)
    yield "norm", (dim,)
    for i in range(config.layers):
        layer = {
            "attn_norm": (dim,), "q": (dim, dim), "k": (kv, dim), "v": (kv, dim),
            "attn_sub_norm": (dim,), "o": (dim, dim), "ffn_norm": (dim,), "gate": (ffn, dim),
            "up": (ffn, dim), "ffn_sub_norm": (ffn,), "down": (dim, ffn),
        }
        for name, shape in layer.items():
            yield f"layers.{i}.{name}", shape


def views(config, flat):
    """The flat array as a dict of tensors that share its memory."""
    tensors, at = {}, 0
    for name, shape in shapes(config):
        size = math.prod(shape)
        tensors[name] = flat[at:at + size].view(shape)
        at += size
    assert at == flat.numel(), f"found {flat.numel()} parameters, expected {at}"
    return tensors


def initial(config, seed):
    """Gains 1, weights normal with deviation 0.02; one flat float32 array."""
    total = sum(math.prod(shape) for _, shape in shapes(config))
    flat = torch.empty(total)
    generator = torch.Generator().manual_seed(seed)
    for tensor in views(config, flat).values():
        if tensor.dim() == 1:
            tensor.fill_(1.0)
        else:
            tensor.normal_(0.0, 0.02, generator=generator)
    return flat


def straight_through(x, rounded):
    return x + (rounded - x).detach()


def quantise_weight(w):
    scale = w.abs().mean().clamp_min(1e-5)
    x = w * (1.0 / scale)
    return straight_through(w, ((x > 0.5).to(w.dtype) - (x < -0.5).to(w.dtype)) * scale)


def quantise_activations(x):
    most = x.abs().amax(-1, keepdim=True).clamp_min(1e-5)
    return straight_through(x, (x * (127.0 / most)).round().clamp(-128, 127) * (most / 127.0))


def quantise_embedding(w):
    """The table as the file holds it: 8 bits, a float16 step for every 32 values (GGUF's Q8_0)."""
    blocks = w.reshape(-1, 32)
    step = (blocks.abs().amax(-1, keepdim=True) / 127.0)
    inverse = torch.where(step > 0, 1.0 / step, torch.zeros_like(step))
    nearest = torch.sign(blocks) * torch.floor((blocks * inverse).abs() + 0.5)
    return (nearest * step.half().float()).reshape(w.shape)


def rms_norm(x, gain, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * gain


def rope_tables(config, length, device=None):
    frequency = config.rope_base ** (-torch.arange(0, HEAD, 2, dtype=torch.float64) / HEAD)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return angle.cos().float().to(device), angle.sin().float().to(device)


def rotate(x, cosine, sine):
    """x: [batch, head, token, HEAD]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


def linear(config, x, weights):
    """x is quantised once for all the weights that read it."""
    if config.ternary:
        x = quantise_activations(x)
        weights = [quantise_weight(w) for w in weights]
    return [F.linear(x, w) for w in weights]


def split_heads(x):
    batch, length, width = x.shape
    return x.view(batch, length, width // HEAD, HEAD).transpose(1, 2)


def attention(config, q, k, v, begin):
    """Causal, and within a token's own document: positions from begin [batch, token] on."""
    length = q.shape[1]
    q, k, v = (split_heads(x) for x in (q, k, v))
    cosine, sine = rope_tables(config, length, q.device)
    q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
    group = config.heads // config.kv_heads
    k, v = (x.repeat_interleave(group, 1) for x in (k, v))
    at = torch.arange(length, device=q.device)
    seen = (at[None, None, :] <= at[None, :, None]) & (at[None, None, :] >= begin[:, :, None])
    score = (q @ k.transpose(-1, -2)) / math.sqrt(HEAD)
    score = score.masked_fill(~seen[:, None], float("-inf"))
    return (score.softmax(-1) @ v).transpose(1, 2).flatten(2)


class Dropout:
    """Drops elements of what a branch (0: attention, 1: FFN) adds to the stream: those whose hash
    of seed, layer, branch and place is small.  The same ones as cpu.h's dropped()."""

    def __init__(self, share, seed):
        self.least, self.seed = int(share * 2**32), seed

    def __call__(self, x, layer, branch):
        if self.least == 0:
            return x
        mask = 0xFFFFFFFF
        key = (self.seed * 0x9E3779B1 + (2 * layer + branch) * 0x7FEB352D) & mask
        h = torch.arange(x.numel(), device=x.device) ^ key
        h = ((h ^ h >> 16) * 0x85EBCA6B) & mask
        h = ((h ^ h >> 13) * 0xC2B2AE35) & mask
        h = h ^ h >> 16
        kept = (h >= self.least).view(x.shape)
        return x * kept / (1 - self.least / 2**32)


NOTHING_DROPPED = Dropout(0.0, 0)


def forward(config, p, tokens, begin, drop=NOTHING_DROPPED):
    """Logits [batch, token, vocab] of tokens [batch, token]; p as views() gives it."""
    x = F.embedding(tokens, p["embed"])
    for i in range(config.layers):
        w = {name: p[f"layers.{i}.{name}"] for name in (
            "attn_norm", "q", "k", "v", "attn_sub_norm", "o",
            "ffn_norm", "gate", "up", "ffn_sub_norm", "down")}
        h = rms_norm(x, w["attn_norm"], config.eps)
        q, k, v = linear(config, h, [w["q"], w["k"], w["v"]])
        h = rms_norm(attention(config, q, k, v, begin), w["attn_sub_norm"], config.eps)
        x = x + drop(linear(config, h, [w["o"]])[0], i, 0)
        h = rms_norm(x, w["ffn_norm"], config.eps)
        gate, up = linear(config, h, [w["gate"], w["up"]])
        h = rms_norm(F.relu(gate).square() * up, w["ffn_sub_norm"], config.eps)
        x = x + drop(linear(config, h, [w["down"]])[0], i, 1)
    return F.linear(rms_norm(x, p["norm"], config.eps), p["embed"])


def loss_sum(config, p, tokens, target, begin, drop=NOTHING_DROPPED):
    """Sum of the cross-entropies in nats; target -1 is not counted."""
    logits = forward(config, p, tokens, begin, drop)
    return F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), ignore_index=-1,
                           reduction="sum")
