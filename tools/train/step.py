# SPDX-License-Identifier: MIT
"""One training step, on what the machine has.

Three ways, one interface (`load`, `add_gradients`, `update`): cpu.c through ctypes where the
processor has matrix tiles, PyTorch's own operations on a GPU, or the same on any CPU (slow).
All hold the parameters, their gradients and AdamW's two moments as flat float32 arrays.
"""

import contextlib
import ctypes
import math
import os
import subprocess

import torch

import model

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Shape(ctypes.Structure):
    """struct shape of cpu.c"""
    _fields_ = [(n, ctypes.c_int32) for n in (
        "vocab", "dim", "ffn", "layers", "heads", "kv_heads", "context", "rows", "ternary")] + [
        ("eps", ctypes.c_float), ("rope_base", ctypes.c_float)]


def has_tiles():
    try:
        with open("/proc/cpuinfo", encoding="ascii") as info:
            return "amx_bf16" in info.read()
    except OSError:
        return False


def build_library(folder):
    """Compile cpu.c into the folder; once."""
    source = [os.path.join(FOLDER, name) for name in ("cpu.c", "attention.c", "cpu.h", "amx.h")]
    library = os.path.join(folder, "cpu.so")
    if not os.path.exists(library) or any(
            os.path.getmtime(s) > os.path.getmtime(library) for s in source):
        subprocess.run(["gcc", "-std=gnu11", "-O3", "-march=sapphirerapids",
                        "-mprefer-vector-width=512", "-ffast-math", "-fopenmp", "-fPIC", "-shared",
                        "-Wall", "-Wextra", "-o", library, *source[:2], "-lm"], check=True)
    return ctypes.CDLL(library)


def pointer(array, kind=ctypes.c_float):
    return ctypes.cast(array.data_ptr(), ctypes.POINTER(kind))


class Optimiser:
    """AdamW over a flat array; decay only for matrices, which are those with two dimensions."""

    def __init__(self, config, flat):
        self.config, self.flat = config, flat
        self.grads, self.first, self.second = (torch.zeros_like(flat) for _ in range(3))
        self.steps = 0
        self.ranges, at = [], 0
        for _, shape in model.shapes(config):
            size = math.prod(shape)
            self.ranges.append((at, at + size, len(shape) == 2))
            at += size

    def state(self):
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def restore(self, state):
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])
        self.steps = state["steps"]


class TilesStep(Optimiser):
    name = "matrix tiles of the CPU"

    def __init__(self, config, flat, rows, build):
        super().__init__(config, flat)
        self.c = build_library(build)
        self.c.cpu_open.restype = ctypes.c_void_p
        self.c.cpu_step.restype = ctypes.c_double
        self.c.cpu_norm.restype = ctypes.c_double
        shape = Shape(config.vocab, config.dim, config.ffn, config.layers, config.heads,
                      config.kv_heads, config.context, rows, config.ternary, config.eps,
                      config.rope_base)
        self.handle = ctypes.c_void_p(self.c.cpu_open(ctypes.byref(shape)))
        if not self.handle:
            raise OSError("the kernel does not permit the use of matrix tiles")

    def load(self):
        self.c.cpu_load(self.handle, pointer(self.flat))

    def add_gradients(self, tokens, target, begin, scale, dropout=0.0, seed=0):
        ints = [x.to(torch.int32).contiguous() for x in (tokens, target, begin)]
        return self.c.cpu_step(self.handle, *[pointer(x, ctypes.c_int32) for x in ints],
                               ctypes.c_float(scale), ctypes.c_float(dropout),
                               ctypes.c_uint32(seed), pointer(self.grads))

    def loss(self, tokens, target, begin):
        return self.add_gradients(tokens, target, begin, 0.0)

    def update(self, lr, decay, betas=(0.9, 0.95), eps=1e-8, clip=1.0):
        self.steps += 1
        size = self.c.cpu_norm(ctypes.c_size_t(self.flat.numel()), pointer(self.grads))
        by = min(1.0, clip / (size + 1e-6))
        for start, end, matrix in self.ranges:
            arrays = [pointer(x[start:end])
                      for x in (self.flat, self.grads, self.first, self.second)]
            self.c.cpu_adamw(ctypes.c_size_t(end - start), *arrays, *map(ctypes.c_float, (
                by, lr, *betas, eps, decay if matrix else 0.0,
                1 - betas[0] ** self.steps, 1 - betas[1] ** self.steps)))
        return size


class TorchStep(Optimiser):
    """PyTorch's autograd, on a GPU in bfloat16 where the operations allow it."""

    def __init__(self, config, flat, device):
        super().__init__(config, flat.to(device))
        self.device = device
        self.name = f"PyTorch on {device}"
        self.flat.requires_grad_(True)
        self.flat.grad = self.grads

    def load(self):
        pass

    def precision(self):
        if self.device == "cpu":
            return contextlib.nullcontext()
        return torch.autocast(self.device, torch.bfloat16)

    def loss(self, tokens, target, begin):
        return self.forward(tokens, target, begin).item()

    def forward(self, *rows, drop=model.NOTHING_DROPPED):
        rows = (x.long().to(self.device) for x in rows)
        with self.precision():
            return model.loss_sum(self.config, model.views(self.config, self.flat), *rows, drop)

    def add_gradients(self, tokens, target, begin, scale, dropout=0.0, seed=0):
        loss = self.forward(tokens, target, begin, drop=model.Dropout(dropout, seed))
        (loss * scale).backward()
        return loss.item()

    @torch.no_grad()
    def update(self, lr, decay, betas=(0.9, 0.95), eps=1e-8, clip=1.0):
        self.steps += 1
        size = self.grads.norm().item()
        self.grads.mul_(min(1.0, clip / (size + 1e-6)))
        self.first.lerp_(self.grads, 1 - betas[0])
        self.second.mul_(betas[1]).addcmul_(self.grads, self.grads, value=1 - betas[1])
        root = (self.second / (1 - betas[1] ** self.steps)).sqrt_().add_(eps)
        for start, end, matrix in self.ranges:
            if matrix:
                self.flat[start:end].mul_(1 - lr * decay)
        self.flat.addcdiv_(self.first, root, value=-lr / (1 - betas[0] ** self.steps))
        self.grads.zero_()
        return size


def choose(config, flat, rows, build):
    if torch.cuda.is_available():
        return TorchStep(config, flat, "cuda")
    if has_tiles():
        return TilesStep(config, flat, rows, build)
    return TorchStep(config, flat, "cpu")
