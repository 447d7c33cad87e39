#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The story corpus: its files, checked by sha256, as lists of documents and conversations.

Text parts are PART.txt.xz, every document closed by a line "<|endoftext|>"; chat parts are
PART.jsonl.xz, a JSON object {"messages": [{"role", "content"}, ...]} a line.  All of it is ASCII.
Run as a program with the folder, it checks every part and prints its size.
"""

import hashlib
import json
import lzma
import os
import sys

END = "<|endoftext|>"  # a line of its own after each document

TEXTS = {
    "tinystories": "48d467718ef6a4527a0eadb6c539d4838b7344ffec1bd217c21cc49f4e6cbd44",
    "storybooks": "aabcdcbad668f8996390731fe90bc874b7553e1aedba7ee46a56446bea554589",
    "classics": "530a41fe80761453b0ab0c1675c126d29111e6a6a91e1ae496c9da6a0cada8cf",
    "heldout": "82dc237d36acbb904882e8e1ab4816febe839621b9b3bb61e143673640383f0f",
    "heldout-simple": "68a26b8ef4d4bc1e8c8d52694e1d1e80795d28353617ace78eabdd019e22f804",
}
CHATS = {
    "chat": "c8bf1e9ce4bca4b3f0843ba02c820b50e02960ed7bddf2bd5d9f01106a087385",
    "chat-heldout": "de418e8c53cd68bff8746d355913762b5e1e14c4600241f0f30a9890be27091b",
}


class CorpusError(Exception):
    """The corpus is not what this recipe was written for; the text says what to do."""


def _read(path, want):
    """The unpacked text of a file whose compressed bytes have the sum `want`."""
    try:
        with open(path, "rb") as f:
            packed = f.read()
    except OSError as e:
        raise CorpusError(f"{path}: {e.strerror}; expected a file of the corpus, "
                          "give the folder that holds its README.md") from e
    found = hashlib.sha256(packed).hexdigest()
    if found != want:
        raise CorpusError(f"{path}: found sha256 {found}, expected {want}; copy the file again, "
                          "or for another corpus put its sums into corpus.py")
    return lzma.decompress(packed).decode("ascii")


def _look_up(table, part):
    if part not in table:
        raise CorpusError(f'part "{part}": expected one of {", ".join(table)}')
    return table[part]


def documents(folder, part):
    """The documents of a text part, without the line feed that ends their last line."""
    text = _read(os.path.join(folder, part + ".txt.xz"), _look_up(TEXTS, part))
    found = text.split(f"\n{END}\n")
    if found.pop() != "":
        raise CorpusError(f"{part}: found text after the last line {END}, expected none")
    return found


def chats(folder, part):
    """The conversations of a chat part: lists of messages {"role", "content"}.  "talk" is the small
    talk of the file chat, written by hand; "chat" is the rest of it, made of stories."""
    file = "chat" if part == "talk" else part
    text = _read(os.path.join(folder, file + ".jsonl.xz"), _look_up(CHATS, file))
    found = [json.loads(line) for line in text.splitlines()]
    if file == "chat":
        found = [c for c in found if (c["source"] == "handwritten") == (part == "talk")]
    return [c["messages"] for c in found]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: corpus.py FOLDER")
    try:
        for part in TEXTS:
            found = documents(sys.argv[1], part)
            print(f"{part:<15}{len(found):>8} documents {sum(map(len, found)):>11} bytes")
        for part in CHATS:
            found = chats(sys.argv[1], part)
            size = sum(len(m["content"]) for c in found for m in c)
            print(f"{part:<15}{len(found):>8} chats     {size:>11} bytes of content")
    except CorpusError as e:
        sys.exit(f"corpus.py: {e}")


if __name__ == "__main__":
    main()
