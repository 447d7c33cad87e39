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
    """Trits and their scale, which takes no gradient."""
    scale = w.abs().mean().clamp_min(1e-5).detach()
    x = w * (1.0 / scale)
    return straight_through(x, (x > 0.5).to(w.dtype) - (x < -0.5).to(w.dtype)), scale


def quantise_activations(x):
    """Integers of 8 bits and the step of each token, which takes no gradient."""
    most = x.abs().amax(-1, keepdim=True).clamp_min(1e-5).detach()
    x = x * (127.0 / most)
    return straight_through(x, x.round().clamp(-128, 127)), most / 127.0


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
    """x is quantised once for all the weights that read it.  The products are of small integers, so
    they are exact also where they are of bfloat16."""
    if not config.ternary:
        return [F.linear(x, w) for w in weights]
    x, step = quantise_activations(x)
    return [F.linear(x, w) * (step * scale) for w, scale in map(quantise_weight, weights)]


def split_heads(x):
    batch, length, width = x.shape
    return x.view(batch, length, width // HEAD, HEAD).transpose(1, 2)


def attend(q, k, v, begin):
    """Causal, and within a token's own document: positions from begin [batch, token] on.
    q [batch, head, token, HEAD]; k, v [batch, kv_head, token, HEAD]."""
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    at = torch.arange(q.shape[2], device=q.device)
    seen = (at[None, None, :] <= at[None, :, None]) & (at[None, None, :] >= begin[:, :, None])
    score = (q @ k.transpose(-1, -2)) / math.sqrt(HEAD)
    return score.masked_fill(~seen[:, None], float("-inf")).softmax(-1) @ v


def attention(config, q, k, v, begin, way):
    q, k, v = (split_heads(x) for x in (q, k, v))
    cosine, sine = rope_tables(config, q.shape[2], q.device)
    q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
    return way(q, k, v, begin).transpose(1, 2).flatten(2)


class Dropout:
    """Drops elements of what a branch (0: attention, 1: FFN) adds to the stream: those whose hash
    of seed, layer, branch and place is small.  The same ones as cpu.h's dropped()."""

    def __init__(self, share, seed):
        self.least, self.seed = int(share * 2**32), seed

    def key(self, layer, branch):
        return (self.seed * 0x9E3779B1 + (2 * layer + branch) * 0x7FEB352D) & 0xFFFFFFFF

    def __call__(self, x, key):
        if self.least == 0:
            return x
        h = torch.arange(x.numel(), device=x.device) ^ key
        h = ((h ^ h >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
        h = ((h ^ h >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
        h = h ^ h >> 16
        kept = (h >= self.least).view(x.shape)
        return x * kept / (1 - self.least / 2**32)


NOTHING_DROPPED = Dropout(0.0, 0)
LAYER = ("attn_norm", "q", "k", "v", "attn_sub_norm", "o",
         "ffn_norm", "gate", "up", "ffn_sub_norm", "down")


def layer(config, w, x, begin, drop, keys, way):
    """x [batch, token, dim] and what the layer of weights w adds to it; keys for drop, a branch
    each."""
    h = rms_norm(x, w["attn_norm"], config.eps)
    q, k, v = linear(config, h, [w["q"], w["k"], w["v"]])
    h = rms_norm(attention(config, q, k, v, begin, way), w["attn_sub_norm"], config.eps)
    x = x + drop(linear(config, h, [w["o"]])[0], keys[0])
    h = rms_norm(x, w["ffn_norm"], config.eps)
    gate, up = linear(config, h, [w["gate"], w["up"]])
    h = rms_norm(F.relu(gate).square() * up, w["ffn_sub_norm"], config.eps)
    return x + drop(linear(config, h, [w["down"]])[0], keys[1])


def stream(config, p, tokens, begin, drop=NOTHING_DROPPED, way=attend, layer=layer):
    """[batch, token, dim] after the last layer.  p as views() gives it; `way` is attend() or what
    computes the same, `begin` what it takes; `layer` is layer(), perhaps compiled."""
    x = F.embedding(tokens, p["embed"])
    for i in range(config.layers):
        w = {name: p[f"layers.{i}.{name}"] for name in LAYER}
        x = layer(config, w, x, begin, drop, (drop.key(i, 0), drop.key(i, 1)), way)
    return x


def head(config, p, x):
    """Logits [batch, token, vocab] of the stream."""
    return F.linear(rms_norm(x, p["norm"], config.eps), p["embed"])


def loss_sum(config, p, tokens, target, begin):
    """Sum of the cross-entropies in nats; target -1 is not counted."""
    return cross_entropy(head(config, p, stream(config, p, tokens, begin)), target)


def cross_entropy(logits, target):
    return F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), ignore_index=-1,
                           reduction="sum")


def soft_cross_entropy(logits, target, soft):
    """The same against the probabilities that teachers give, [batch, token, vocab]."""
    each = -(soft * logits.float().log_softmax(-1)).sum(-1)
    return (each * (target >= 0)).sum()
