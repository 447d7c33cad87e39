# SPDX-License-Identifier: MIT
"""Rows of a batch from the prepared corpus.

A row holds `context` tokens of whole documents, one after another; each token attends to its own
document only, so that a row teaches what a request will ask.  What is left at the end of a row is
filled with the beginning of a long text, whose rest comes later.  The order is a function of the
seed and the mix alone: a resumed run sees the rows that it would have seen.
"""

import os

import numpy as np
import torch

POOL = 32  # documents from which the next is picked
SPLIT = 64  # tokens at the end of a row that are worth the beginning of a text


class Part:
    """The documents of one part of the corpus."""

    def __init__(self, folder, name):
        with np.load(os.path.join(folder, name + ".npz")) as f:
            self.tokens, self.learn = f["tokens"], f["learn"]
            self.starts = f["starts"].astype(np.int64)
        self.name = name
        # Never cut: an answer makes no sense without its request.
        self.whole = name in ("chat", "talk", "chat-heldout")

    def __len__(self):
        return len(self.starts) - 1

    def document(self, i):
        at = slice(self.starts[i], self.starts[i + 1])
        return self.tokens[at], self.learn[at]

    def forever(self, seed):
        """Document after document, in a new order each time round."""
        rng = np.random.default_rng(seed)
        while True:
            yield from rng.permutation(len(self))


class Rows:
    """Rows packed from a stream of (part, tokens, learn)."""

    def __init__(self, context):
        self.context = context

    def empty(self):
        at = np.arange(self.context, dtype=np.int32)
        return (np.zeros(self.context, np.int32), np.full(self.context, -1, np.int32), at)

    def place(self, row, at, tokens, learn):
        """Put a document into the row at `at`; returns what it took.  The last token is only a
        target, the first only an input."""
        size = min(len(tokens) - 1, self.context - at)
        row[0][at:at + size] = tokens[:size]
        row[1][at:at + size] = np.where(learn[1:size + 1] > 0, tokens[1:size + 1].astype(np.int32),
                                        -1)
        row[2][at:at + size] = at
        return size

    def pack(self, documents):
        pool = []
        while True:
            row, at = self.empty(), 0
            while at < self.context:
                while len(pool) < POOL:
                    document = next(documents, None)
                    if document is None:
                        break
                    pool.append(document)
                left = self.context - at
                pick = next((i for i, d in enumerate(pool) if len(d[1]) - 1 <= left), None)
                if pick is None and (left >= SPLIT or at == 0):
                    pick = next((i for i, d in enumerate(pool) if not d[0] or at == 0), None)
                if pick is None:
                    break
                whole, tokens, learn = pool.pop(pick)
                size = self.place(row, at, tokens, learn)
                if size < len(tokens) - 1 and not whole:
                    pool.insert(0, (whole, tokens[size:], learn[size:]))
                at += size
            if at == 0:
                return
            yield row


def mixed(parts, mix, total, seed):
    """Documents in the shares of tokens that `mix` gives: [[until, {part: weight}], ...], `until`
    as a fraction of `total` tokens."""
    order = {p.name: p.forever([seed, i]) for i, p in enumerate(parts.values())}
    given = 0
    for until, weights in mix:
        sent = dict.fromkeys(weights, 0)
        while given < until * total:
            name = min(weights, key=lambda n: sent[n] / weights[n])
            tokens, learn = parts[name].document(next(order[name]))
            sent[name] += len(tokens)
            given += len(tokens)
            yield parts[name].whole, tokens, learn


def batches(rows, n):
    """Groups of n rows as (tokens, target, begin), int32 [n, context]; the last one is filled up
    with empty rows."""
    packer, group = None, []
    for row in rows:
        group.append(row)
        if len(group) == n:
            yield tuple(torch.from_numpy(np.stack(x)) for x in zip(*group))
            group = []
    if group:
        packer = Rows(len(group[0][0]))
        group += [packer.empty() for _ in range(n - len(group))]
        yield tuple(torch.from_numpy(np.stack(x)) for x in zip(*group))


def held_out(part, context, n):
    """Every document once, for a loss."""
    documents = ((part.whole, *part.document(i)) for i in range(len(part)))
    return batches(Rows(context).pack(documents), n)
