#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Train a model: CONFIG.json and prepared data to a checkpoint.

Usage: train.py [--seed N] CONFIG.json DATA OUT [TEACHER.pt ...]

Where teachers are given, checkpoints of earlier runs, the share `listen` of the loss is measured
against what they say on average; the rest, and what is reported, against the text.

OUT/last.pt is written every few minutes and when the run is interrupted (SIGINT, SIGTERM); the same
command goes on from there.  OUT/log.jsonl has a line an update, OUT/final.pt is the result, and
OUT/best.pt the checkpoint that did best on the held-out simple stories: another one than final.pt
if the run began to learn its corpus by heart.

The schedule is that of "The Era of 1-bit LLMs: Training Tips, Code and FAQ": a high learning rate
with weight decay in the first half, a lower one without decay in the second, which ends near zero.
"""

import argparse
import json
import os
import signal
import time

import torch

import data
import model
import step

SAVE_EVERY = 300.0  # seconds
CHECK_EVERY = 0.05  # of the run


class Recipe:
    """The config file's part that is not the model's shape."""

    def __init__(self, values):
        self.seed = values.pop("seed")
        self.tokens = int(values.pop("tokens"))  # of the whole run
        self.batch = values.pop("batch")  # rows of an update
        self.rows = values.pop("rows")  # of them at a time
        self.lr = values.pop("lr")  # at the start of each of the two stages
        self.decay = values.pop("decay")  # in each of them
        self.warmup = values.pop("warmup")  # updates
        self.dropout = values.pop("dropout")  # of what a layer's branches add
        self.listen = values.pop("listen", 0.0)  # share of the loss that is the teachers'
        values.pop("teachers", None)  # for the script that runs this
        self.mix = values.pop("mix")
        if values:
            raise SystemExit(f"train.py: found unknown keys {sorted(values)} in the config")
        if self.batch % self.rows:
            raise SystemExit("train.py: batch: expected a multiple of rows")

    def rate(self, update, updates):
        """Learning rate and weight decay of an update."""
        done = update / updates
        if done < 0.5:
            high, low = self.lr[0], (self.lr[0] + self.lr[1]) / 2
            return min(1.0, (update + 1) / self.warmup) * (high + (low - high) * done * 2), \
                self.decay[0]
        return self.lr[1] * max(0.02, 2 - 2 * done), self.decay[1]


def read_config(path):
    with open(path, encoding="utf-8") as f:
        values = json.load(f)
    return model.Config(**values["model"]), Recipe(values["recipe"])


def mean_loss(stepper, part, context, rows):
    """Nats a token on held-out documents; adds nothing to the gradients."""
    loss = count = 0
    for tokens, target, begin in data.held_out(part, context, rows):
        with torch.no_grad():
            loss += stepper.loss(tokens, target, begin)
        count += int((target >= 0).sum())
    return loss / count


class Run:
    def __init__(self, args):
        self.config, self.recipe = read_config(args.config)
        self.recipe.seed = args.seed or self.recipe.seed
        self.out = out = args.out
        os.makedirs(out, exist_ok=True)
        parts = {name for _, weights in self.recipe.mix for name in weights}
        self.parts = {name: data.Part(args.data, name) for name in sorted(parts)}
        self.held_out = {name: data.Part(args.data, name)
                         for name in ("heldout-simple", "heldout", "chat-heldout")}
        flat = model.initial(self.config, self.recipe.seed)
        self.stepper = step.choose(self.config, flat, self.recipe.rows, out,
                                   [teacher(path) for path in args.teachers], self.recipe.listen)
        self.updates = self.recipe.tokens // (self.recipe.batch * self.config.context)
        self.update = 0
        self.best = float("inf")  # nats on heldout-simple
        self.rows = []  # of the log, not written yet
        self.stop = False
        self.restore()

    def path(self, name):
        return os.path.join(self.out, name)

    def restore(self):
        if not os.path.exists(self.path("last.pt")):
            return
        saved = torch.load(self.path("last.pt"), map_location="cpu")
        if saved["config"] != self.config.as_dict():
            raise SystemExit(f"train.py: {self.path('last.pt')} is of another model: found "
                             f"{saved['config']}; remove it or choose another folder")
        for name, tensor in model.views(self.config, self.stepper.flat.detach()).items():
            tensor.copy_(saved["model"][name])
        self.stepper.restore(saved["optimiser"])
        self.update, self.best = saved["update"], saved["best"]
        print(f"going on from update {self.update}", flush=True)

    def save(self, name, **more):
        tensors = model.views(self.config, self.stepper.flat.detach().cpu().clone())
        torch.save({"config": self.config.as_dict(), "model": tensors, **more},
                   self.path(name + ".part"))
        os.replace(self.path(name + ".part"), self.path(name))

    def save_all(self):
        self.write_log()
        self.save("last.pt", optimiser=self.stepper.state(), update=self.update, best=self.best)

    def write_log(self):
        """Numbers are fetched from a GPU here only, so that it need not wait after every update."""
        with open(self.path("log.jsonl"), "a", encoding="utf-8") as f:
            for row in self.rows:
                f.write(json.dumps({k: round(float(v), 6) for k, v in row.items()}) + "\n")
        self.rows = []

    def check(self):
        self.stepper.load()
        losses = {name: mean_loss(self.stepper, part, self.config.context, self.recipe.rows)
                  for name, part in self.held_out.items()}
        self.rows.append({"update": self.update, **{"held-out " + n: v for n, v in losses.items()}})
        print(f"update {self.update}: held out: "
              + ", ".join(f"{n} {v:.4f}" for n, v in losses.items()), flush=True)
        if losses["heldout-simple"] < self.best:
            self.best = losses["heldout-simple"]
            self.save("best.pt")

    def one_update(self, batches):
        start = time.monotonic()
        group = [next(batches) for _ in range(self.recipe.batch // self.recipe.rows)]
        count = sum(int((target >= 0).sum()) for _, target, _ in group)
        self.stepper.load()
        loss = sum(self.stepper.add_gradients(*rows, 1 / count, self.recipe.dropout,
                                              self.update * len(group) + i)
                   for i, rows in enumerate(group)) / count
        lr, decay = self.recipe.rate(self.update, self.updates)
        size = self.stepper.update(lr, decay)
        self.update += 1
        self.rows.append({"update": self.update, "loss": loss, "lr": lr, "norm": size,
                          "learnt": count, "seconds": time.monotonic() - start})

    def go(self):
        signal.signal(signal.SIGINT, lambda *_: setattr(self, "stop", True))
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stop", True))
        size = self.recipe.batch * self.config.context
        total = self.updates * size
        print(f"{self.config.name}: {self.stepper.flat.numel():,} parameters, {self.updates} "
              f"updates of {size:,} tokens, {self.stepper.name}", flush=True)
        # A little more than is needed: rows are not filled to the last token.
        documents = data.mixed(self.parts, self.recipe.mix + [[1.1, self.recipe.mix[-1][1]]],
                               total, self.recipe.seed)
        batches = data.batches(data.Rows(self.config.context).pack(documents), self.recipe.rows)
        for _ in range(self.update * (self.recipe.batch // self.recipe.rows)):
            next(batches)
        saved = shown = time.monotonic()
        average = pace = None
        while self.update < self.updates and not self.stop:
            self.one_update(batches)
            if self.update % 10 == 0:
                losses = [float(row["loss"]) for row in self.rows if "loss" in row]
                loss = sum(losses) / len(losses)
                seconds = (time.monotonic() - shown) / 10
                shown = time.monotonic()
                average = loss if average is None else 0.6 * average + 0.4 * loss
                pace = seconds if pace is None else 0.6 * pace + 0.4 * seconds
                left = (self.updates - self.update) * pace
                print(f"update {self.update}/{self.updates}  loss {average:.4f}  "
                      f"{size / pace:,.0f} tokens/s  {left / 60:.0f} min left", flush=True)
                self.write_log()
            if self.update % max(1, int(self.updates * CHECK_EVERY)) == 0:
                self.check()
            if time.monotonic() - saved > SAVE_EVERY:
                self.save_all()
                saved = time.monotonic()
        self.save_all()
        if self.update == self.updates:
            self.check()
            self.write_log()
            self.save("final.pt")


def teacher(path):
    saved = torch.load(path, map_location="cpu")
    return model.Config(**saved["config"]), saved["model"]


def main():
    parser = argparse.ArgumentParser(description="Train a model; see the beginning of this file.")
    parser.add_argument("config")
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("teachers", nargs="*")
    parser.add_argument("--seed", type=int, help="instead of the config's")
    Run(parser.parse_args()).go()


if __name__ == "__main__":
    main()
