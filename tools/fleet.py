#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many replicas behind balancers, simulated step by step: how routing and queueing behave before one
buys the machines. doc/scale.md says what is assumed, and what came out.

A replica is what doc/performance-log.md has of one: a step computes a token for each running sequence,
and a chunk of one prompt; how long it takes depends on how many. It has a prefix cache that forgets what
was used least lately, and a queue with a limit (more get a refusal, which is counted and not retried).

A balancer knows only of the requests that it sent itself and that are not over."""
import argparse
import bisect
import heapq
import random

# A step with so many sequences, in seconds: BitNet 2B-4T's shape on two cores, doc/performance-log.md
# (tokens a second of 1, 4, 8, 16 and 32 streams: 31, 90, 146, 254, 248).
DECODE = [(0, 0.0), (1, 1 / 31), (4, 4 / 90), (8, 8 / 146), (16, 16 / 254), (32, 32 / 248)]
PREFILL = 325.0  # prompt tokens a second
CHUNK = 128  # tokens of a prompt in one step
BATCH = 32  # sequences together
QUEUE = 32  # that may wait


def decode_seconds(n):
    for (n0, t0), (n1, t1) in zip(DECODE, DECODE[1:]):
        if n <= n1:
            return t0 + (t1 - t0) * (n - n0) / (n1 - n0)
    return DECODE[-1][1]


class Request:
    __slots__ = ("at", "group", "left", "output", "first", "balancer")


class Replica:
    def __init__(self, cache_groups):
        self.cache, self.cache_groups = {}, cache_groups  # group -> last use
        self.waiting, self.reading, self.running = [], None, []
        self.busy = 0.0
        self.stepping = False

    def load(self):
        return len(self.waiting) + len(self.running) + (self.reading is not None)

    def remember(self, group, now):
        self.cache[group] = now
        if len(self.cache) > self.cache_groups:
            del self.cache[min(self.cache, key=self.cache.get)]

    def step(self, now, args, tally):
        """One step from now on; when it is over, and who has ended then."""
        if self.reading is None and self.waiting and len(self.running) < BATCH:
            r = self.waiting.pop(0)
            hit = r.group in self.cache
            tally["prompt"] += args.prefix + args.prompt
            tally["cached"] += args.prefix if hit else 0
            r.left = args.prompt + (0 if hit else args.prefix)
            self.reading = r
            self.remember(r.group, now)
        took = decode_seconds(len(self.running))
        if self.reading:
            n = min(CHUNK, self.reading.left)
            took += n / PREFILL
            self.reading.left -= n
        end = now + took
        self.busy += took
        over = []
        for r in self.running:
            r.output -= 1
            if r.output <= 0:
                over.append(r)
        self.running = [r for r in self.running if r.output > 0]
        if self.reading and self.reading.left == 0:
            r, self.reading = self.reading, None
            tally["first"].append(end - r.at)
            r.output -= 1
            (self.running if r.output > 0 else over).append(r)
        return end, over


class Balancer:
    """Chooses by its own view: sent[i] requests of its own are with replica i."""

    def __init__(self, n, way, rng):
        self.n, self.way, self.rng = n, way, rng
        self.sent, self.total = [0] * n, 0
        # A ring of 64 points for each replica, the same for every balancer.
        ring = random.Random(1)
        points = sorted((ring.random(), i) for i in range(n) for _ in range(64))
        self.points, self.owner = [p for p, _ in points], [i for _, i in points]

    def choose(self, group):
        if self.way == "random":
            return self.rng.randrange(self.n)
        if self.way == "two":  # the better of two at random
            a, b = self.rng.randrange(self.n), self.rng.randrange(self.n)
            return a if self.sent[a] <= self.sent[b] else b
        if self.way == "least":
            least = min(self.sent)
            return self.rng.choice([i for i, s in enumerate(self.sent) if s == least])
        # The group's place on the ring, and on from there past those that have 1.5 times the mean.
        limit = 1.5 * (self.total + 1) / self.n
        at = bisect.bisect(self.points, random.Random(group).random()) % len(self.points)
        for k in range(len(self.points)):
            i = self.owner[(at + k) % len(self.points)]
            if self.sent[i] + 1 <= max(limit, 1):
                return i
        return self.owner[at]


def percentile(values, p):
    values = sorted(values)
    return values[min(int(p * len(values)), len(values) - 1)] if values else float("nan")


def simulate(n, way, args):
    rng = random.Random(args.seed)
    replicas = [Replica(args.cache) for _ in range(n)]
    balancers = [Balancer(n, way, rng) for _ in range(args.balancers)]
    groups = args.groups * n
    tally = {"prompt": 0, "cached": 0, "first": [], "refused": 0, "sent": 0}
    events, number = [(0.0, 0, None, None)], 0  # an arrival, or the end of a replica's step
    rate, last = args.rate * n, 0.0
    while events:
        now, _, replica, over = heapq.heappop(events)
        if replica is None:
            if now > args.seconds:
                continue
            number += 1
            heapq.heappush(events, (now + rng.expovariate(rate), number, None, None))
            r = Request()
            r.at, r.output = now, max(1, int(rng.expovariate(1 / args.output)))
            # Some beginnings are far more common than others: Zipf's law, by its inverse.
            r.group = int(groups ** rng.random())
            r.balancer = rng.choice(balancers)
            i = r.balancer.choose(r.group)
            tally["sent"] += 1
            if len(replicas[i].waiting) >= QUEUE:
                tally["refused"] += 1
                continue
            r.first = i
            r.balancer.sent[i] += 1
            r.balancer.total += 1
            replicas[i].waiting.append(r)
            replica = replicas[i]
            if replica.stepping:
                continue
        else:
            for r in over:
                r.balancer.sent[r.first] -= 1
                r.balancer.total -= 1
            if replica.load() == 0:
                replica.stepping = False
                continue
        replica.stepping = True
        end, over = replica.step(now, args, tally)
        number += 1
        last = max(last, end)
        heapq.heappush(events, (end, number, replica, over))
    print("%8d  %-7s %8.1f %% %9.2f s %9.2f s %8.1f %% %8.2f %%" % (
        n, way, 100 * tally["cached"] / max(tally["prompt"], 1),
        percentile(tally["first"], 0.5), percentile(tally["first"], 0.99),
        100 * sum(r.busy for r in replicas) / (n * max(last, args.seconds)),
        100 * tally["refused"] / max(tally["sent"], 1)), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--replicas", default="1,3,10,100", help="list (default %(default)s)")
    p.add_argument("--ways", default="random,two,least,prefix", help="list (default %(default)s)")
    p.add_argument("--balancers", type=int, default=1, help="(default %(default)s)")
    p.add_argument("--rate", type=float, default=0.4, help="requests a second for each replica (default %(default)s)")
    p.add_argument("--seconds", type=float, default=300, help="(default %(default)s)")
    p.add_argument("--prompt", type=int, default=64, help="own tokens of a prompt (default %(default)s)")
    p.add_argument("--prefix", type=int, default=512, help="tokens of its beginning (default %(default)s)")
    p.add_argument("--output", type=float, default=128, help="mean tokens of an answer (default %(default)s)")
    p.add_argument("--groups", type=int, default=8, help="beginnings there are, for each replica (default %(default)s)")
    p.add_argument("--cache", type=int, default=12, help="beginnings that a replica keeps (default %(default)s)")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    print("replicas  way     from cache  first p50   first p99      busy   refused")
    for n in map(int, args.replicas.split(",")):
        for way in args.ways.split(","):
            simulate(n, way, args)


if __name__ == "__main__":
    main()
