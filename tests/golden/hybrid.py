#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A tiny hybrid model (arch `qwen35`: three layers with a gated delta rule to one that attends) and its
answers: a plain reference in float64.

It shares no code with tritd.  The model is made and computed as Hugging Face has it (transformers,
modeling_qwen3_5.py): value heads lie grouped by the key head that they read, norms are what they add to
one, decay is A_log.  The file is what llama.cpp's converter would make of it (conversion/qwen.py): value
heads tiled, ones added, ssm_a = -exp(A_log).  doc/hybrid.md has both.

Weights are ternary with one scale for each row and group of 128 inputs, activations are floats.

A second model is rotated, as Bonsai 2 is (keys `prism.hadamard.*`).

Usage: hybrid.py OUTDIR > hybrid.json     writes both into OUTDIR (needs numpy)
"""
import json, struct, sys
import numpy as np

LAYERS, INTERVAL, DIM, FFN, VOCAB, EPS, THETA = 5, 4, 128, 256, 320, 1e-6, 10000000.0
HEADS, KV_HEADS, HD, ROPE = 4, 2, 64, 16                  # of the layers that attend
K_HEADS, V_HEADS, SD, CONV = 2, 6, 64, 4                  # of the others
K_DIM, V_DIM = K_HEADS * SD, V_HEADS * SD
CONV_DIM, GROUP, BLOCK = 2 * K_DIM + V_DIM, 128, 128      # BLOCK: of a rotation

attends = lambda l: (l + 1) % INTERVAL == 0

# ---- the graph -------------------------------------------------------------------------------------------------------
def hadamard(n):                                          # Sylvester's, normalised
    h = np.ones((1, 1))
    while len(h) < n: h = np.block([[h, h], [h, -h]])
    return h / np.sqrt(n)

def dense(w):
    """Of a rotated matrix (Bonsai 2) the file has W H diag(signs), H in blocks; both are their own inverse."""
    if not isinstance(w, tuple): return w
    d = w[0] * np.repeat(w[1], GROUP, axis=1)
    if len(w) == 2: return d
    return (d.reshape(len(d), -1, BLOCK) @ hadamard(BLOCK)).reshape(d.shape) * w[2]

def linear(x, w): return x @ dense(w).T

def norm(x, w): return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPS) * (1 + w)
def l2norm(x): return x / np.sqrt((x * x).sum(axis=-1, keepdims=True) + 1e-6)
def sigmoid(x): return 1 / (1 + np.exp(-x))
def silu(x): return x * sigmoid(x)

def rope(x, pos):                                         # [tokens, heads, HD]: the first ROPE numbers, halves
    h = ROPE // 2
    a = pos[:, None, None] * (THETA ** (-np.arange(h) * 2 / ROPE))[None, None, :]
    lo, hi, rest = x[..., :h], x[..., h:ROPE], x[..., ROPE:]
    return np.concatenate([lo * np.cos(a) - hi * np.sin(a), hi * np.cos(a) + lo * np.sin(a), rest], axis=-1)

def attention(a, L):
    n = len(a)
    pos, mask = np.arange(n, dtype=np.float64), np.triu(np.full((n, n), -np.inf), 1)
    qg = linear(a, L['q_proj']).reshape(n, HEADS, 2 * HD)
    q, gate = qg[..., :HD], qg[..., HD:]
    q = rope(norm(q, L['q_norm']), pos)
    k = rope(norm(linear(a, L['k_proj']).reshape(n, KV_HEADS, HD), L['k_norm']), pos)
    v = linear(a, L['v_proj']).reshape(n, KV_HEADS, HD)
    o = np.empty((n, HEADS, HD))
    for h in range(HEADS):
        g = h // (HEADS // KV_HEADS)
        s = q[:, h] @ k[:, g].T / np.sqrt(HD) + mask
        s = np.exp(s - s.max(axis=-1, keepdims=True))
        o[:, h] = (s / s.sum(axis=-1, keepdims=True)) @ v[:, g]
    return linear((o * sigmoid(gate)).reshape(n, HEADS * HD), L['o_proj'])

def delta(a, L):
    n = len(a)
    mixed, z = linear(a, L['in_proj_qkv']), linear(a, L['in_proj_z']).reshape(n, V_HEADS, SD)
    beta, alpha = sigmoid(linear(a, L['in_proj_b'])), linear(a, L['in_proj_a'])
    padded = np.concatenate([np.zeros((CONV - 1, CONV_DIM)), mixed])
    mixed = silu(sum(padded[t:t + n] * L['conv1d'][:, t] for t in range(CONV)))
    q = l2norm(mixed[:, :K_DIM].reshape(n, K_HEADS, SD)) / np.sqrt(SD)
    k = l2norm(mixed[:, K_DIM:2 * K_DIM].reshape(n, K_HEADS, SD))
    v = mixed[:, 2 * K_DIM:].reshape(n, V_HEADS, SD)
    decay = np.exp(-np.exp(L['A_log']) * np.log1p(np.exp(alpha + L['dt_bias'])))
    out = np.empty((n, V_HEADS, SD))
    for h in range(V_HEADS):
        g, S = h // (V_HEADS // K_HEADS), np.zeros((SD, SD))          # S[key][value]
        for t in range(n):
            S = S * decay[t, h]
            S = S + np.outer(k[t, g], (v[t, h] - k[t, g] @ S) * beta[t, h])
            out[t, h] = q[t, g] @ S
    out = out / np.sqrt((out * out).mean(axis=-1, keepdims=True) + EPS) * L['norm'] * silu(z)
    return linear(out.reshape(n, V_DIM), L['out_proj'])

def forward(m, ids):
    x = dense(m['embed_tokens'])[np.array(ids)]
    for L in m['layers']:
        a = norm(x, L['input_layernorm'])
        x = x + (attention if 'q_proj' in L else delta)(a, L)
        a = norm(x, L['post_attention_layernorm'])
        x = x + linear(silu(linear(a, L['gate_proj'])) * linear(a, L['up_proj']), L['down_proj'])
    return linear(norm(x, m['norm']), m['lm_head'])

def logprobs(row):
    z = row - row.max()
    return z - np.log(np.exp(z).sum())

# ---- a random model; every float is exact in binary16 and bfloat16 ---------------------------------------------------
def coarse(x, by=64): return np.round(x * by) / by

def make(seed, rotated=False):
    r = np.random.default_rng(seed)
    signs = {i: r.choice(np.array([-1.0, 1.0]), size=i) for i in (DIM, FFN, V_DIM)} if rotated else {}
    def plain(o, i):
        t = r.choice(np.array([-1.0, 0.0, 1.0]), size=(o, i), p=[.3, .4, .3])
        return t, (r.uniform(.5, 1.5, (o, i // GROUP)) / np.sqrt(i * .6)).astype(np.float16).astype(np.float64)
    def ternary(o, i): return plain(o, i) + ((signs[i],) if rotated else ())
    weights = lambda n: coarse(0.1 * r.standard_normal(n))
    e, h = ternary(VOCAB, DIM), ternary(VOCAB, DIM)
    larger = lambda w: (w[0], (w[1] * 3).astype(np.float16).astype(np.float64)) + w[2:]
    m = dict(embed_tokens=larger(e), lm_head=larger(h), norm=weights(DIM), layers=[], signs=signs)
    for l in range(LAYERS):
        L = dict(input_layernorm=weights(DIM), post_attention_layernorm=weights(DIM),
                 gate_proj=ternary(FFN, DIM), up_proj=ternary(FFN, DIM), down_proj=ternary(DIM, FFN))
        if attends(l):
            L.update(q_proj=ternary(2 * HEADS * HD, DIM), k_proj=ternary(KV_HEADS * HD, DIM), v_proj=ternary(KV_HEADS * HD, DIM),
                     o_proj=ternary(DIM, HEADS * HD), q_norm=weights(HD), k_norm=weights(HD))
        else:
            small = lambda: plain(V_HEADS, DIM) if l == 4 else coarse(r.standard_normal((V_HEADS, DIM)) / np.sqrt(DIM), 256)
            L.update(in_proj_qkv=ternary(CONV_DIM, DIM), in_proj_z=ternary(V_DIM, DIM), out_proj=ternary(DIM, V_DIM),
                     in_proj_a=small(), in_proj_b=small(), conv1d=coarse(r.standard_normal((CONV_DIM, CONV)) / 2),
                     A_log=np.log(coarse(r.uniform(.05, 4, V_HEADS))), dt_bias=coarse(r.uniform(-4, 0, V_HEADS)), norm=1 + weights(SD))
        m['layers'].append(L)
    return m

# ---- as the converter writes it --------------------------------------------------------------------------------------
ORDER = np.arange(V_HEADS).reshape(K_HEADS, -1).T.reshape(-1)   # grouped to tiled: head i of the file is ORDER[i]
ROWS = (ORDER[:, None] * SD + np.arange(SD)).reshape(-1)

def take(w, rows): return (w[0][rows], w[1][rows]) + w[2:] if isinstance(w, tuple) else w[rows]

def take_columns(w, cols):
    """A scale is one of 128 columns, of two heads, which the new order parts: as whole blocks of 64."""
    if len(w) == 3: return w                              # the rotation is of the order that it was made in
    t, s = w[0][:, cols], np.repeat(w[1], GROUP, axis=1)[:, cols][:, ::SD]
    return t, s

def tensors_of(m):
    out = {'token_embd.weight': m['embed_tokens'], 'output.weight': m['lm_head'], 'output_norm.weight': m['norm'] + 1}
    for l, L in enumerate(m['layers']):
        b = 'blk.%d.' % l
        out.update({b + 'attn_norm.weight': L['input_layernorm'] + 1, b + 'post_attention_norm.weight': L['post_attention_layernorm'] + 1,
                    b + 'ffn_gate.weight': L['gate_proj'], b + 'ffn_up.weight': L['up_proj'], b + 'ffn_down.weight': L['down_proj']})
        if 'q_proj' in L:
            out.update({b + 'attn_q.weight': L['q_proj'], b + 'attn_k.weight': L['k_proj'], b + 'attn_v.weight': L['v_proj'],
                        b + 'attn_output.weight': L['o_proj'], b + 'attn_q_norm.weight': L['q_norm'] + 1, b + 'attn_k_norm.weight': L['k_norm'] + 1})
            continue
        qk = np.arange(2 * K_DIM)
        out.update({b + 'attn_qkv.weight': take(L['in_proj_qkv'], np.concatenate([qk, 2 * K_DIM + ROWS])), b + 'attn_gate.weight': take(L['in_proj_z'], ROWS),
                    b + 'ssm_conv1d.weight': take(L['conv1d'], np.concatenate([qk, 2 * K_DIM + ROWS])), b + 'ssm_dt.bias': L['dt_bias'][ORDER],
                    b + 'ssm_a': -np.exp(L['A_log'][ORDER]), b + 'ssm_beta.weight': take(L['in_proj_b'], ORDER), b + 'ssm_alpha.weight': take(L['in_proj_a'], ORDER),
                    b + 'ssm_norm.weight': L['norm'], b + 'ssm_out.weight': take_columns(L['out_proj'], ROWS)})
    return out

def q2_0(t, s):                                           # 18 bytes for 64 values, mainline's
    o, i = t.shape
    b = (t.reshape(o, i // 64, 16, 4) + 1).astype(np.uint8)
    q = b[..., 0] | b[..., 1] << 2 | b[..., 2] << 4 | b[..., 3] << 6
    d = np.repeat(s, i // 64 // s.shape[1], axis=1).astype(np.float16).reshape(o, i // 64, 1).view(np.uint8)
    return np.concatenate([d, q], axis=2).tobytes()

SPECIAL = ['<|begin_of_text|>', '<|end_of_text|>', '<|eot_id|>', '<|start_header_id|>', '<|end_header_id|>']
FIRST = VOCAB - len(SPECIAL)
CHAT = "{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"

def vocabulary():
    keep = set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256))
    toks, n = [], 0
    for b in range(256):
        toks.append(chr(b) if b in keep else chr(256 + n)); n += b not in keep
    toks.append('th'); kinds = [1] * len(toks)
    while len(toks) < FIRST: kinds.append(5); toks.append('[unused%d]' % len(toks))
    return toks + SPECIAL, kinds + [3] * len(SPECIAL)

def text(x): b = x.encode(); return struct.pack('<Q', len(b)) + b

def pair(k, v):
    head = text(k)
    if isinstance(v, bool): return head + struct.pack('<IB', 7, v)
    if isinstance(v, int): return head + struct.pack('<II', 4, v)
    if isinstance(v, float): return head + struct.pack('<If', 6, v)
    if isinstance(v, str): return head + struct.pack('<I', 8) + text(v)
    if isinstance(v, list) and isinstance(v[0], str): return head + struct.pack('<IIQ', 9, 8, len(v)) + b''.join(map(text, v))
    return head + struct.pack('<IIQ', 9, 5, len(v)) + struct.pack('<%di' % len(v), *v)

def write_gguf(path, m):
    toks, kinds = vocabulary()
    keys = {'general.architecture': 'qwen35', 'general.name': 'hybrid-rotated' if m['signs'] else 'hybrid'}
    keys.update({'qwen35.' + k: v for k, v in {
        'block_count': LAYERS, 'context_length': 1024, 'embedding_length': DIM, 'feed_forward_length': FFN, 'attention.head_count': HEADS,
        'attention.head_count_kv': KV_HEADS, 'attention.key_length': HD, 'attention.value_length': HD, 'attention.layer_norm_rms_epsilon': EPS,
        'rope.freq_base': THETA, 'rope.dimension_count': ROPE, 'rope.dimension_sections': [3, 3, 2, 0], 'full_attention_interval': INTERVAL,
        'ssm.conv_kernel': CONV, 'ssm.state_size': SD, 'ssm.group_count': K_HEADS, 'ssm.time_step_rank': V_HEADS, 'ssm.inner_size': V_DIM}.items()})
    keys.update({'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'qwen35', 'tokenizer.ggml.tokens': toks, 'tokenizer.ggml.token_type': kinds,
                 'tokenizer.ggml.merges': ['t h'], 'tokenizer.ggml.bos_token_id': FIRST, 'tokenizer.ggml.eos_token_id': FIRST + 1,
                 'tokenizer.ggml.add_bos_token': False, 'tokenizer.chat_template': CHAT})
    if m['signs']:
        names = [k for k, x in tensors_of(m).items() if isinstance(x, tuple) and len(x) == 3]
        keys.update({'prism.hadamard.' + k: v for k, v in {
            'version': 1, 'block_size': BLOCK, 'transform': 'normalized-sylvester-walsh-hadamard', 'axis': 'input-last-dimension', 'sign_mode': 'explicit',
            'sign_widths': list(m['signs']), 'sign_values': [int(x) for v in m['signs'].values() for x in v],
            'weight_names': [k for k in names if k != 'token_embd.weight'], 'inverse_weight_names': ['token_embd.weight'], 'gdn_v_grouped': True}.items()})
    info, blobs, at = b'', [], 0
    for k, x in tensors_of(m).items():
        half = k.startswith('blk.1.ssm_alpha') or k.startswith('blk.1.ssm_beta')
        shape = x[0].shape if isinstance(x, tuple) else x.shape
        kind, raw = (42, q2_0(*x[:2])) if isinstance(x, tuple) else (1, x.astype(np.float16).tobytes()) if half else (0, x.astype(np.float32).tobytes())
        info += text(k) + struct.pack('<I', len(shape)) + b''.join(struct.pack('<Q', d) for d in reversed(shape)) + struct.pack('<IQ', kind, at)
        raw += bytes(-len(raw) % 32); blobs.append(raw); at += len(raw)
    head = b'GGUF' + struct.pack('<IQQ', 3, len(blobs), len(keys)) + b''.join(pair(*kv) for kv in keys.items()) + info
    with open(path, 'wb') as f: f.write(head + bytes(-len(head) % 32) + b''.join(blobs))

# ---- answers ---------------------------------------------------------------------------------------------------------
def cases(m, rng, lengths, greedy):
    found = []
    for n in lengths:
        seq = [int(x) for x in rng.integers(0, 257, n)]
        case = dict(prompt=list(seq), greedy=[], margins=[])
        for step in range(greedy):
            row = logprobs(forward(m, seq)[-1])
            top = np.argsort(-row)[:16]
            if step == 0: case['top_logprobs'] = [[int(t), round(float(row[t]), 5)] for t in top]
            case['greedy'].append(int(top[0])); case['margins'].append(round(float(row[top[0]] - row[top[1]]), 4))
            seq.append(int(top[0]))
        found.append(case)
    return found

def main():
    m, rotated = make(21), make(22, True)
    write_gguf(sys.argv[1] + '/hybrid.q2_0.gguf', m)
    write_gguf(sys.argv[1] + '/hybrid-rotated.q2_0.gguf', rotated)
    json.dump(dict(cases=dict(hybrid=cases(m, np.random.default_rng(1), (1, 2, 7, 40, 90), 16),
                              hybrid_rotated=cases(rotated, np.random.default_rng(2), (1, 7, 40), 12))), sys.stdout)

if len(sys.argv) != 2: sys.exit(__doc__)
main()
