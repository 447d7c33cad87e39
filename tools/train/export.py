#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Write a checkpoint and its tokenizer as a GGUF file (version 3, little-endian, all tensors F32).

Architecture `bitnet-b1.58`.  The linear layers are written as the master weights that they are;
`trit-model quantize` rounds them to trits as training did.  Rotary embedding pairs the halves of a
head (NEOX), so no row is permuted.  The checkpoint is torch's, a dict with `config` and `model`.
"""

import argparse
import struct
import sys

import numpy as np
import torch

import bpe

ARCH = "bitnet-b1.58"
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # types of metadata values
TENSOR_F32 = 0
NORMAL, CONTROL = 1, 3                                 # tokenizer.ggml.token_type
ALIGNMENT = 32

DESCRIPTION = ("A small ternary model that tells stories in simple English. Trained on a sample of "
               "TinyStories (CDLA-Sharing-1.0), storybooks of African Storybook and Pratham Books "
               'StoryWeaver (CC BY; credits in the model card) and old children\'s books from '
               "Project Gutenberg (public domain in the USA).")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

# A layer's tensors: name here, name in the file, rows (None: a vector), columns: keys of sizes().
LAYER = (
    ("attn_norm", "attn_norm", None, "dim"),
    ("q", "attn_q", "dim", "dim"),
    ("k", "attn_k", "kv", "dim"),
    ("v", "attn_v", "kv", "dim"),
    ("attn_sub_norm", "attn_sub_norm", None, "dim"),
    ("o", "attn_output", "dim", "dim"),
    ("ffn_norm", "ffn_norm", None, "dim"),
    ("gate", "ffn_gate", "ffn", "dim"),
    ("up", "ffn_up", "ffn", "dim"),
    ("ffn_sub_norm", "ffn_sub_norm", None, "ffn"),
    ("down", "ffn_down", "dim", "ffn"),
)


class ExportError(Exception):
    """The checkpoint or the tokenizer does not fit; the text says what was expected."""


def head_dim(config):
    return config["dim"] // config["heads"]


def sizes(config):
    return {"dim": config["dim"], "ffn": config["ffn"],
            "kv": config["kv_heads"] * head_dim(config)}


def tensors(config, model):
    """(name in the file, float32 array) of every tensor, in the order of the file."""
    size, left, found = sizes(config), dict(model), []

    def take(name, written, shape):
        t = left.pop(name, None)
        if t is None:
            raise ExportError(f"tensor {name}: missing in the checkpoint")
        if tuple(t.shape) != shape:
            raise ExportError(f"tensor {name}: found shape {tuple(t.shape)}, expected {shape}")
        a = t.detach().to(torch.float32).numpy()
        if not np.isfinite(a).all():
            raise ExportError(f"tensor {name}: found a value that is not finite; take an earlier "
                              "checkpoint")
        found.append((written, a))

    take("embed", "token_embd.weight", (config["vocab"], config["dim"]))
    take("norm", "output_norm.weight", (config["dim"],))
    for i in range(config["layers"]):
        for name, written, rows, cols in LAYER:
            shape = (size[cols],) if rows is None else (size[rows], size[cols])
            take(f"layers.{i}.{name}", f"blk.{i}.{written}.weight", shape)
    if left:
        raise ExportError(f"tensor {min(left)}: has no place in {ARCH}, expected none left of "
                          f"{len(model)}")
    return found


def text(s):
    s = s.encode("utf-8")
    return struct.pack("<Q", len(s)) + s


def value(kind, v):
    """A metadata value: its type and its bytes; a pair (ARRAY, type of elements) for a list."""
    if isinstance(kind, tuple):
        return struct.pack("<IIQ", kind[0], kind[1], len(v)) + b"".join(
            value(kind[1], e)[4:] for e in v)
    body = text(v) if kind == STRING else struct.pack(
        {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)
    return struct.pack("<I", kind) + body


def metadata(config, tokenizer):
    end, stop = tokenizer.id_of["<|endoftext|>"], tokenizer.id_of["<|im_end|>"]
    n_special = len(tokenizer.specials)
    types = [NORMAL] * (len(tokenizer.vocab) - n_special) + [CONTROL] * n_special
    return [
        ("general.architecture", STRING, ARCH),
        ("general.type", STRING, "model"),
        ("general.name", STRING, config["name"]),
        ("general.description", STRING, DESCRIPTION),
        ("general.license", STRING, "mit"),
        ("general.languages", (ARRAY, STRING), ["en"]),
        ("general.file_type", U32, 0),
        ("general.quantization_version", U32, 2),
        ("general.sampling.temp", F32, 0.7),  # at 1 it makes up words
        ("general.sampling.top_p", F32, 0.95),
        ("general.alignment", U32, ALIGNMENT),
        (f"{ARCH}.vocab_size", U32, config["vocab"]),
        (f"{ARCH}.context_length", U32, config["context"]),
        (f"{ARCH}.embedding_length", U32, config["dim"]),
        (f"{ARCH}.block_count", U32, config["layers"]),
        (f"{ARCH}.feed_forward_length", U32, config["ffn"]),
        (f"{ARCH}.rope.dimension_count", U32, head_dim(config)),
        (f"{ARCH}.rope.freq_base", F32, config["rope_base"]),
        (f"{ARCH}.attention.head_count", U32, config["heads"]),
        (f"{ARCH}.attention.head_count_kv", U32, config["kv_heads"]),
        (f"{ARCH}.attention.layer_norm_rms_epsilon", F32, config["eps"]),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, tokenizer.pre),
        ("tokenizer.ggml.tokens", (ARRAY, STRING), tokenizer.vocab),
        ("tokenizer.ggml.token_type", (ARRAY, I32), types),
        ("tokenizer.ggml.merges", (ARRAY, STRING), [f"{a} {b}" for a, b in tokenizer.merges]),
        ("tokenizer.ggml.bos_token_id", U32, end),
        ("tokenizer.ggml.eos_token_id", U32, end),
        ("tokenizer.ggml.eot_token_id", U32, stop),
        ("tokenizer.ggml.padding_token_id", U32, end),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
    ]


def write(path, pairs, found):
    def pad(n):
        return -n % ALIGNMENT

    head = b"GGUF" + struct.pack("<IQQ", 3, len(found), len(pairs))
    head += b"".join(text(key) + value(kind, v) for key, kind, v in pairs)
    at = 0
    for name, a in found:
        # Dimensions in GGUF begin with the one whose elements lie side by side.
        head += text(name) + struct.pack(f"<I{a.ndim}QIQ", a.ndim, *a.shape[::-1], TENSOR_F32, at)
        at += a.nbytes + pad(a.nbytes)
    with open(path, "wb") as f:
        f.write(head + bytes(pad(len(head))))
        for _, a in found:
            f.write(a.astype("<f4").tobytes() + bytes(pad(a.nbytes)))


def main():
    parser = argparse.ArgumentParser(description="Write a checkpoint as a GGUF file.")
    parser.add_argument("checkpoint")
    parser.add_argument("tokenizer", help="tokenizer.json that it was trained with")
    parser.add_argument("out", help="the file to write; then: trit-model quantize")
    args = parser.parse_args()
    try:
        checkpoint = torch.load(args.checkpoint, map_location="cpu")
        tokenizer = bpe.Tokenizer.load(args.tokenizer)
        config = checkpoint["config"]
        if len(tokenizer.vocab) != config["vocab"]:
            raise ExportError(f"{args.tokenizer}: found {len(tokenizer.vocab)} tokens, expected "
                              f'{config["vocab"]} as in the checkpoint; give the tokenizer that '
                              "it was trained with")
        found = tensors(config, checkpoint["model"])
        write(args.out, metadata(config, tokenizer), found)
    except KeyError as e:
        sys.exit(f"export.py: found no key {e} in the checkpoint or the tokenizer; expected config "
                 "and model of a training run, and the JSON that prepare.py writes")
    except (ExportError, OSError, ValueError) as e:
        sys.exit(f"export.py: {e}")
    print(f"{args.out}: {len(found)} tensors, {sum(a.size for _, a in found)} parameters")


if __name__ == "__main__":
    main()
