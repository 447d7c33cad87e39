#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Ask a running tritd for the samples of the model card, and print them unedited as Markdown.

Usage: sample.py URL [SEED]      the seed of sample i is SEED + i; sampled as the model recommends
"""

import json
import sys
import urllib.request

OPENINGS = [
    "Once upon a time",
    "One day, a little girl named Mia found a key.",
    "The old fisherman looked at the sea.",
    "There was a small robot who wanted to be a baker.",
    "Tom was afraid of the dark.",
]
REQUESTS = [
    "Tell me a story about a dog who finds a ball.",
    "Tell me a story about a princess and a frog.",
    "Write a short story with the words: rain, boat, friend.",
    "Hello! Who are you?",
    "Tell me a story.",
]


def ask(url, path, **body):
    body.update(max_tokens=600)
    request = urllib.request.Request(url + path, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]


def show(title, text, reason):
    print(f"**{title}** ({'ended by itself' if reason == 'stop' else 'cut at the limit'})\n")
    print("\n".join("> " + line if line else ">" for line in text.strip().split("\n")) + "\n")


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    url, seed = sys.argv[1].rstrip("/"), int(sys.argv[2]) if len(sys.argv) == 3 else 1
    for i, prompt in enumerate(OPENINGS):
        choice = ask(url, "/v1/completions", prompt=prompt, seed=seed + i)
        show(prompt, prompt + choice["text"], choice["finish_reason"])
    for i, prompt in enumerate(REQUESTS):
        choice = ask(url, "/v1/chat/completions", seed=seed + len(OPENINGS) + i,
                     messages=[{"role": "user", "content": prompt}])
        show(prompt, choice["message"]["content"], choice["finish_reason"])


if __name__ == "__main__":
    main()
