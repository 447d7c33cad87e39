# SPDX-License-Identifier: MIT
"""The state of AdamW over a flat array of parameters, whoever computes its steps."""

import math

import torch

import model


class Optimiser:
    """Decay is only for matrices, which are the tensors with two dimensions."""

    def __init__(self, config, flat):
        self.config, self.flat = config, flat
        self.grads, self.first, self.second = (torch.zeros_like(flat) for _ in range(3))
        self.steps = 0
        self.ranges, at = [], 0  # (start, end, is it a matrix)
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
