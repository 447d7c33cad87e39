#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Does the model tell what it was asked for?  Prints one line of JSON: of the words that requests
name, the share that the stories hold; and of the stories' 4-word sequences, the share that occurred
before in the same story.

Usage: asked.py URL      a running tritd; twelve requests, seeds 1 to 3, temperature 0.7, top-p 0.95
"""

import json
import re
import sys
import urllib.request

SEEDS = (1, 2, 3)
REQUESTS = {  # a few of them are in the corpus, as its stories are about such things
    "Tell me a story about a dog who finds a ball.": "dog ball",
    "Tell me a story about a princess and a frog.": "princess frog",
    "Write a short story with the words: rain, boat, friend.": "rain boat friend",
    "Tell me a story about a boy named Omar and a cat.": "Omar cat",
    "tell me a story about a robot": "robot",
    "Tell me a story about a little girl named Priya who finds a key.": "Priya key",
    "Can you tell me a story about a turtle?": "turtle",
    "I want a story about a bear and a bird.": "bear bird",
    "Tell me a story about two friends and a kite.": "friends kite",
    "Tell me a story about a cake.": "cake",
    "Write a story about a shy lion.": "shy lion",
    "Use these words in a story: hat, wind, tree.": "hat wind tree",
}


def ask(url, content, seed):
    body = {"messages": [{"role": "user", "content": content}], "seed": seed, "max_tokens": 600,
            "temperature": 0.7, "top_p": 0.95}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    named = told = sequences = repeated = 0
    for request, words in REQUESTS.items():
        for seed in SEEDS:
            story = re.findall(r"[a-z']+", ask(sys.argv[1].rstrip("/"), request, seed).lower())
            wanted = words.lower().split()
            named += len(wanted)
            told += sum(any(w.startswith(want) for w in story) for want in wanted)
            found = list(zip(story, story[1:], story[2:], story[3:]))
            sequences += len(found)
            repeated += len(found) - len(set(found))
    print(json.dumps({"stories": len(REQUESTS) * len(SEEDS), "asked": named,
                      "told": round(told / named, 3), "repeated": round(repeated / sequences, 3)}))


if __name__ == "__main__":
    main()
