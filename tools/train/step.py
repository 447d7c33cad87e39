# SPDX-License-Identifier: MIT
"""One training step, on what the machine has.

Two ways, one interface (`load`, `add_gradients`, `update`): cpu.c through ctypes where the
processor has matrix tiles, PyTorch on a GPU or on any CPU (torch_step.py).  Both hold the
parameters, their gradients and AdamW's two moments as flat float32 arrays.
"""

import ctypes
import os
import subprocess

import torch

import model
import torch_step
from optimiser import Optimiser

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Shape(ctypes.Structure):
    """struct shape of cpu.c"""
    _fields_ = [(n, ctypes.c_int32) for n in (
        "vocab", "dim", "ffn", "layers", "heads", "kv_heads", "context", "rows", "ternary",
        "learns")] + [("eps", ctypes.c_float), ("rope_base", ctypes.c_float)]


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


class TilesStep(Optimiser):
    name = "matrix tiles of the CPU"

    def __init__(self, config, flat, rows, build, teachers, listen):
        super().__init__(config, flat)
        self.c = build_library(build)
        self.c.cpu_open.restype = ctypes.c_void_p
        self.c.cpu_step.restype = ctypes.c_double
        self.c.cpu_norm.restype = ctypes.c_double
        self.handle = self.open(config, rows, True)
        self.teachers = [self.open_teacher(c, p, rows) for c, p in teachers]
        if teachers:
            handles = (ctypes.c_void_p * len(teachers))(*[h for h, _ in self.teachers])
            self.c.cpu_teach(self.handle, handles, len(teachers), ctypes.c_float(listen))

    def open(self, config, rows, learns):
        shape = Shape(config.vocab, config.dim, config.ffn, config.layers, config.heads,
                      config.kv_heads, self.config.context, rows, config.ternary, learns,
                      config.eps, config.rope_base)
        handle = ctypes.c_void_p(self.c.cpu_open(ctypes.byref(shape)))
        if not handle:
            raise OSError("the kernel does not permit the use of matrix tiles")
        return handle

    def open_teacher(self, config, p, rows):
        """Its handle, and its parameters, which the handle goes on reading."""
        if config.vocab != self.config.vocab:
            raise ValueError(f"a teacher's vocabulary: found {config.vocab} tokens, expected "
                             f"{self.config.vocab}")
        flat = torch.cat([p[name].float().flatten() for name, _ in model.shapes(config)])
        handle = self.open(config, rows, False)
        self.c.cpu_load(handle, pointer(flat))
        return handle, flat

    def load(self):
        self.c.cpu_load(self.handle, pointer(self.flat))

    def step(self, rows, grads, scale, dropout, seed):
        ints = [x.to(torch.int32).contiguous() for x in rows]
        return self.c.cpu_step(self.handle, *[pointer(x, ctypes.c_int32) for x in ints],
                               ctypes.c_float(scale), ctypes.c_float(dropout),
                               ctypes.c_uint32(seed), grads)

    def add_gradients(self, tokens, target, begin, scale, dropout=0.0, seed=0):
        return self.step((tokens, target, begin), pointer(self.grads), scale, dropout, seed)

    def loss(self, tokens, target, begin):
        return self.step((tokens, target, begin), None, 0.0, 0.0, 0)

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


def choose(config, flat, rows, build, teachers=(), listen=0.0):
    """The step for this machine.  `teachers` are pairs (config, parameters as views() gives them);
    `listen` is the share of the loss that is measured against what they say."""
    if not torch.cuda.is_available() and has_tiles():
        return TilesStep(config, flat, rows, build, teachers, listen)
    return torch_step.TorchStep(config, flat, teachers, listen)
