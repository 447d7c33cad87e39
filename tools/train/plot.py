#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Draw the loss curves of runs as an SVG.

Usage: plot.py OUT.svg LOG.jsonl=LABEL [...]

Thin lines are the running mean of the training loss, dots the losses on held-out documents of
simple stories; both in nats a token, over the tokens seen.
"""

import json
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860, 460, 60, 48, 24, 16
COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df"]


def read(path):
    """([(tokens, loss)], [(tokens, held-out loss)])"""
    train, held, seen, average, updates = [], [], 0, None, {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            if "loss" in row:
                seen += row["learnt"]
                average = row["loss"] if average is None else 0.97 * average + 0.03 * row["loss"]
                train.append((seen, average))
                updates[row["update"]] = seen
            else:
                held.append((updates[row["update"]], row["held-out heldout-simple"]))
    return train, held


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    runs = [(label, *read(path)) for path, label in (a.rsplit("=", 1) for a in sys.argv[2:])]
    most = max(train[-1][0] for _, train, _ in runs)
    low, high = 1.0, 5.0

    def x(tokens):
        return LEFT + (WIDTH - LEFT - RIGHT) * tokens / most

    def y(loss):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(loss, low), high)) / (high - low)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for i in range(9):
        loss = low + i * 0.5
        out.append(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">'
                   f'{loss:.1f}</text>')
    for i in range(7):
        tokens = most * i / 6
        out.append(f'<text x="{x(tokens):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                   f'{tokens / 1e6:.0f} M</text>')
    out.append(f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
               'tokens learnt</text><text x="14" y="16">nats a token</text>')
    for i, (label, train, held) in enumerate(runs):
        colour = COLOURS[i % len(COLOURS)]
        every = max(1, len(train) // 400)
        line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in train[::every] + train[-1:])
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        out += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5" fill="{colour}"/>'
                for a, b in held]
        out.append(f'<text x="{WIDTH - RIGHT - 6}" y="{TOP + 20 + 20 * i}" text-anchor="end" '
                   f'fill="{colour}">{label}</text>')
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main()
