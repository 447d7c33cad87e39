# SPDX-License-Identifier: MIT
"""Byte-level BPE: training a vocabulary and encoding with it, the same ids as tritd gives.

Text is cut into pieces by the pattern that GGUF files call "qwen2": unlike GPT-2's it takes every
digit for itself and a paragraph break as one piece.  Ids are, in order: the 256 bytes by value, the
merged pieces from most to least frequent, the special tokens.  A saved tokenizer is JSON: "pre",
"vocab" and "merges" in GPT-2's byte alphabet as in a GGUF file, and "specials", the last of vocab.

The corpus is ASCII and so are the classes of the pattern here; other text is refused by encode().
"""

import heapq
import json
import re
from collections import Counter, defaultdict

PRE = "qwen2"
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

# In order: contractions, words, digits, punctuation, line ends, white space.  [\t-\r ] is Unicode's
# white space within ASCII; Python's own \s takes 0x1C to 0x1F as well.
PIECES = re.compile(
    r"'(?:[sStTmMdD]|[rRvV][eE]|[lL][lL])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]"
    r"| ?[^\t-\r A-Za-z0-9]+[\r\n]*|[\t-\r ]*[\r\n]+|[\t-\r ]+(?![^\t-\r ])|[\t-\r ]+")


def _byte_alphabet():
    """GPT-2's printable character for each byte: itself, or the next free one from U+0100."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return [chr(b) if b in kept else chr(256 + others.index(b)) for b in range(256)]


ALPHABET = _byte_alphabet()
BYTE_OF = {c: b for b, c in enumerate(ALPHABET)}


def written(piece):
    """Bytes as a vocabulary writes them."""
    return "".join(ALPHABET[b] for b in piece)


def count_pieces(texts):
    """How often each piece occurs in the texts; for train()."""
    counts = Counter()
    for text in texts:
        counts.update(PIECES.findall(text))
    return counts


def _join(word, pair, whole):
    """The word with every occurrence of the pair, from the left, made one symbol."""
    joined, i = [], 0
    while i < len(word):
        if word[i:i + 2] == pair:
            joined.append(whole)
            i += 2
        else:
            joined.append(word[i])
            i += 1
    return tuple(joined)


def train(counts, size):
    """A tokenizer of `size` tokens from the counts of pieces.

    The most frequent pair is merged first; of equals the one with the lower ids.  A merge may spell
    a piece that exists, by another way: it is kept and adds no token.
    """
    words = sorted(counts)
    weight = [counts[w] for w in words]
    symbols = [tuple(w.encode("ascii")) for w in words]
    tally, places = Counter(), defaultdict(set)
    for i, word in enumerate(symbols):
        for pair in zip(word, word[1:]):
            tally[pair] += weight[i]
            places[pair].add(i)
    vocab = [bytes([b]) for b in range(256)]
    id_of = {piece: i for i, piece in enumerate(vocab)}
    merges = []
    # An entry whose count has changed since is put back with the present one when it comes up.
    heap = [(-n, pair) for pair, n in tally.items()]
    heapq.heapify(heap)
    while len(vocab) + len(SPECIALS) < size:
        if not heap:
            raise ValueError(f"found text for {len(vocab)} pieces only, expected "
                             f"{size - len(SPECIALS)}; ask for a smaller vocabulary")
        n, pair = heapq.heappop(heap)
        if tally[pair] != -n:
            if tally[pair] > 0:
                heapq.heappush(heap, (-tally[pair], pair))
            continue
        piece = vocab[pair[0]] + vocab[pair[1]]
        whole = id_of.setdefault(piece, len(vocab))
        if whole == len(vocab):
            vocab.append(piece)
        merges.append(pair)
        changed = Counter()
        for i in places.pop(pair):
            old = symbols[i]
            symbols[i] = new = _join(old, pair, whole)
            for p in zip(old, old[1:]):
                changed[p] -= weight[i]
            for p in zip(new, new[1:]):
                changed[p] += weight[i]
                places[p].add(i)
        for p, by in changed.items():
            tally[p] += by
            if by > 0:
                heapq.heappush(heap, (-tally[p], p))
    return Tokenizer(PRE, [written(p) for p in vocab] + list(SPECIALS),
                     [(written(vocab[a]), written(vocab[b])) for a, b in merges], list(SPECIALS))


class Tokenizer:
    """A vocabulary: encode() gives ids of plain text, in which names of specials are only text."""

    def __init__(self, pre, vocab, merges, specials):
        if pre != PRE:
            raise ValueError(f'pre-tokenizer: found "{pre}", expected "{PRE}"')
        if vocab[len(vocab) - len(specials):] != specials:
            raise ValueError("specials: expected the last tokens of the vocabulary")
        self.pre, self.vocab, self.merges, self.specials = pre, vocab, merges, specials
        self.id_of = {piece: i for i, piece in enumerate(vocab)}
        self.bytes_of = [bytes(BYTE_OF[c] for c in piece)
                         for piece in vocab[:len(vocab) - len(specials)]]
        self.bytes_of += [name.encode("ascii") for name in specials]
        self._join_of = {(self.id_of[a], self.id_of[b]): (rank, self.id_of[a + b])
                         for rank, (a, b) in enumerate(merges)}
        self._known = {}  # ids by piece

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            t = json.load(f)
        return cls(t["pre"], t["vocab"], [tuple(m.split(" ")) for m in t["merges"]], t["specials"])

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"pre": self.pre, "vocab": self.vocab,
                       "merges": [f"{a} {b}" for a, b in self.merges],
                       "specials": self.specials}, f, ensure_ascii=False, indent=0)
            f.write("\n")

    def _piece(self, piece):
        """The ids of a piece: the merge of lowest rank first, of equals the leftmost."""
        ids = list(piece.encode("ascii"))
        while len(ids) > 1:
            found = [(self._join_of[pair], i) for i, pair in enumerate(zip(ids, ids[1:]))
                     if pair in self._join_of]
            if not found:
                break
            (_, whole), i = min(found)
            ids[i:i + 2] = [whole]
        return ids

    def encode(self, text):
        if not text.isascii():
            odd = next(c for c in text if ord(c) > 127)
            raise ValueError(f"found U+{ord(odd):04X}, expected ASCII only; fold the text first")
        known, ids = self._known, []
        for piece in PIECES.findall(text):
            if piece not in known:
                known[piece] = self._piece(piece)
            ids += known[piece]
        return ids

    def decode(self, ids):
        return b"".join(self.bytes_of[i] for i in ids).decode("utf-8", "replace")
