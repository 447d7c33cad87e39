#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny models of OneBit, BitNet b1 and BiLLM, and their answers: a plain reference in float64.

It shares no code with tritd, and follows the papers (arXiv 2402.11295, 2310.11453, 2402.04291), for OneBit
also the layout of its published checkpoints.  Weights are made dense first and multiplied as they are; only
b1, which is defined so, rounds its activations, and for it prompts are chosen on which no value comes close
to a boundary of that rounding (see make-exact.py).  include/model/method.h describes the files.

Usage: methods.py OUTDIR > methods.json     writes the models into OUTDIR (needs numpy)
"""
import json, os, struct, sys
import numpy as np

LAYERS, DIM, FFN, HEADS, KV_HEADS, VOCAB, EPS, THETA = 2, 128, 256, 4, 2, 320, 1e-5, 10000.0
HD = DIM // HEADS
SHAPES = dict(attn_q=(DIM, DIM), attn_k=(KV_HEADS * HD, DIM), attn_v=(KV_HEADS * HD, DIM), attn_output=(DIM, DIM),
              ffn_gate=(FFN, DIM), ffn_up=(FFN, DIM), ffn_down=(DIM, FFN))
BLOCK = 128
INT8_MARGIN = 2e-4   # in steps of int8

# ---- linear layers, one function for each method: x [tokens, in] -> [tokens, out] ------------------------------------
near = False

def layernorm(x, eps):
    d = x - x.mean(axis=-1, keepdims=True)
    return d / np.sqrt((d * d).mean(axis=-1, keepdims=True) + eps)

def onebit(x, L):
    y = ((x * L['g']) @ L['sign'].T) * L['h']
    return layernorm(y, 1e-5) if L['norm'] else y

def b1(x, L):
    global near
    x = layernorm(x, EPS) * L['w'] + L['b']
    m = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-5)
    steps = x * (127.0 / m)
    near = near or np.abs(np.abs(steps - np.floor(steps)) - 0.5).min() < INT8_MARGIN
    return (np.clip(np.round(steps), -128, 127) @ L['sign'].T) * L['beta'] * m / 127.0

def billm_dense(L):
    s, t, v = L['sign'], L['second'], np.empty_like(L['sign'])
    for o in range(s.shape[0]):
        for i in range(s.shape[1]):
            m1, a1, m2, a2, m3, a3, b3 = L['levels'][o, i // BLOCK]
            if L['salient'][i]: v[o, i] = m3 + a3 * s[o, i] + b3 * t[o, i]
            else: v[o, i] = m2 + a2 * s[o, i] if t[o, i] > 0 else m1 + a1 * s[o, i]
    return v

def billm(x, L):
    if 'dense' not in L: L['dense'] = billm_dense(L)
    return x @ L['dense'].T

# ---- the graph: Llama's ----------------------------------------------------------------------------------------------
def rmsnorm(x, w): return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPS) * w

def rope(x, pos):                                    # [tokens, heads, HD], rotate halves
    h = HD // 2
    a = pos[:, None, None] * (THETA ** (-np.arange(h) / h))[None, None, :]
    lo, hi = x[..., :h], x[..., h:]
    return np.concatenate([lo * np.cos(a) - hi * np.sin(a), hi * np.cos(a) + lo * np.sin(a)], axis=-1)

def forward(m, ids):
    n, linear = len(ids), m['linear']
    norm = (lambda x, w: x) if m['method'] == 'b1' else rmsnorm
    pos, mask = np.arange(n, dtype=np.float64), np.triu(np.full((n, n), -np.inf), 1)
    x = m['token_embd'].astype(np.float64)[np.array(ids)]
    for L in m['layers']:
        a = norm(x, L.get('attn_norm'))
        q = rope(linear(a, L['attn_q']).reshape(n, HEADS, HD), pos)
        k = rope(linear(a, L['attn_k']).reshape(n, KV_HEADS, HD), pos)
        v = linear(a, L['attn_v']).reshape(n, KV_HEADS, HD)
        o = np.empty((n, HEADS, HD))
        for h in range(HEADS):
            g = h // (HEADS // KV_HEADS)
            s = q[:, h] @ k[:, g].T / np.sqrt(HD) + mask
            s = np.exp(s - s.max(axis=-1, keepdims=True))
            o[:, h] = (s / s.sum(axis=-1, keepdims=True)) @ v[:, g]
        x = x + linear(o.reshape(n, DIM), L['attn_output'])
        a = norm(x, L.get('ffn_norm'))
        g, u = linear(a, L['ffn_gate']), linear(a, L['ffn_up'])
        x = x + linear(g / (1 + np.exp(-g)) * u, L['ffn_down'])
    return rmsnorm(x, m['output_norm']) @ m.get('output', m['token_embd']).astype(np.float64).T

def logprobs(row):
    z = row - row.max()
    return z - np.log(np.exp(z).sum())

# ---- random models; every float is exact in binary16 and bfloat16 ----------------------------------------------------
def coarse(x): return np.round(x * 64) / 64

def signs(r, shape): return r.choice(np.array([-1.0, 1.0]), size=shape)

def make(method, seed, tied=True, norm=True):
    r = np.random.default_rng(seed)
    weights = lambda n: coarse(1 + 0.1 * r.standard_normal(n))
    table = lambda: coarse(np.clip(0.5 * r.standard_normal((VOCAB, DIM)), -1.9, 1.9))
    m = dict(method=method, linear=dict(onebit=onebit, b1=b1, billm=billm)[method], token_embd=table(), output_norm=weights(DIM),
             layers=[], norm=norm)
    if not tied: m['output'] = table()
    for l in range(LAYERS):
        L = {} if method == 'b1' else dict(attn_norm=weights(DIM), ffn_norm=weights(DIM))
        for k, (o, i) in SHAPES.items():
            if method == 'onebit':
                L[k] = dict(sign=signs(r, (o, i)), g=np.abs(weights(i)) / 4, h=weights(o) / (4 if norm else 8), norm=norm)
            elif method == 'b1':
                w = np.round(32 + 256 * r.standard_normal((o, i)) / 4) / 1024          # not centred
                L[k] = dict(master=w, sign=np.where(w > w.mean(), 1.0, -1.0), beta=np.abs(w).mean(), w=weights(i), b=coarse(0.1 * r.standard_normal(i)))
            else:
                half = lambda low, high, shape: r.uniform(low, high, shape).astype(np.float16).astype(np.float64)
                mean = lambda: half(-.01, .01, (o, i // BLOCK))
                scale = lambda low, high: half(low / np.sqrt(i), high / np.sqrt(i), (o, i // BLOCK))
                levels = np.stack([mean(), scale(.3, .6), mean(), scale(1, 1.6), mean(), scale(1, 2), scale(.3, .6)], axis=-1)
                L[k] = dict(sign=signs(r, (o, i)), second=signs(r, (o, i)), salient=r.random(i) < .15, levels=levels)
        if method == 'onebit' and l:                                                   # what is trained, with a zero
            w = L['attn_k']['sign'] * coarse(1 + np.abs(r.standard_normal(SHAPES['attn_k']))) / 64
            w[3, 5] = 0; L['attn_k']['sign'][3, 5] = 1; L['attn_k']['trained'] = w
        m['layers'].append(L)
    return m

# ---- a byte-level vocabulary -----------------------------------------------------------------------------------------
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

# ---- containers ------------------------------------------------------------------------------------------------------
def bits(s): return np.packbits(s < 0, axis=-1, bitorder='little').view(np.int8)

def f16(x): return np.ascontiguousarray(x, np.float16)
def f32(x): return np.ascontiguousarray(x, np.float32)
def bf16(x): return (f32(x).view(np.uint32) >> 16).astype(np.uint16)

def text(x): b = x.encode(); return struct.pack('<Q', len(b)) + b

def pair(k, v):
    head = text(k)
    if isinstance(v, bool): return head + struct.pack('<IB', 7, v)
    if isinstance(v, int): return head + struct.pack('<II', 4, v)
    if isinstance(v, float): return head + struct.pack('<If', 6, v)
    if isinstance(v, str): return head + struct.pack('<I', 8) + text(v)
    if isinstance(v[0], str): return head + struct.pack('<IIQ', 9, 8, len(v)) + b''.join(map(text, v))
    return head + struct.pack('<IIQ', 9, 5, len(v)) + struct.pack('<%di' % len(v), *v)

def tensors_of(m):
    out = {'token_embd.weight': f16(m['token_embd']), 'output_norm.weight': f32(m['output_norm'])}
    if 'output' in m: out['output.weight'] = f16(m['output'])
    for l, layer in enumerate(m['layers']):
        for k, v in layer.items():
            stem = 'blk.%d.%s' % (l, k)
            if not isinstance(v, dict):
                out[stem + '.weight'] = f32(v)
                continue
            master = v.get('trained', v['master'] if m['method'] == 'b1' and l and k.startswith('attn') else None)
            out[stem + '.weight'] = bits(v['sign']) if master is None else f16(master)
            if m['method'] == 'onebit': out.update({stem + '.scale': f16(v['h']), stem + '.input_factor': f32(v['g'])})
            if m['method'] == 'b1':
                if master is None: out[stem + '.scale'] = f32([v['beta']])
                out.update({stem + '.norm.weight': f32(v['w']), stem + '.norm.bias': f16(v['b'])})
            if m['method'] == 'billm':
                out.update({stem + '.second': bits(v['second']), stem + '.salient': bits(np.where(v['salient'], -1, 1)),
                            stem + '.levels': f16(v['levels'])})
    return out

def write_gguf(path, m, name):
    toks, kinds = vocabulary()
    keys = {'general.architecture': 'llama-neox', 'general.name': name, 'tritd.method': m['method']}
    if not m['norm']: keys['tritd.onebit.output_norm'] = False
    keys.update({'llama-neox.' + k: v for k, v in {
        'context_length': 512, 'embedding_length': DIM, 'block_count': LAYERS, 'feed_forward_length': FFN, 'attention.head_count': HEADS,
        'attention.head_count_kv': KV_HEADS, 'attention.layer_norm_rms_epsilon': EPS, 'rope.freq_base': THETA}.items()})
    keys.update({'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.tokens': toks, 'tokenizer.ggml.token_type': kinds,
                 'tokenizer.ggml.merges': ['t h'], 'tokenizer.ggml.bos_token_id': FIRST, 'tokenizer.ggml.eos_token_id': FIRST + 1,
                 'tokenizer.ggml.add_bos_token': True, 'tokenizer.chat_template': CHAT})
    kind = {'float32': 0, 'float16': 1, 'int8': 24}
    info, blobs, at = b'', [], 0
    tensors = tensors_of(m)
    for k, x in tensors.items():
        info += text(k) + struct.pack('<I', x.ndim) + b''.join(struct.pack('<Q', d) for d in reversed(x.shape)) + struct.pack('<IQ', kind[x.dtype.name], at)
        raw = x.tobytes(); raw += bytes(-len(raw) % 32); blobs.append(raw); at += len(raw)
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(keys)) + b''.join(pair(*kv) for kv in keys.items()) + info
    with open(path, 'wb') as f: f.write(head + bytes(-len(head) % 32) + b''.join(blobs))

def write_onebit_folder(path, m):
    """As the authors' convert_llama_to_infer_ckpt.py and save_pretrained leave it."""
    os.makedirs(path, exist_ok=True)
    names = dict(attn_norm='input_layernorm', ffn_norm='post_attention_layernorm', attn_q='self_attn.q_proj', attn_k='self_attn.k_proj', attn_v='self_attn.v_proj',
                 attn_output='self_attn.o_proj', ffn_gate='mlp.gate_proj', ffn_up='mlp.up_proj', ffn_down='mlp.down_proj')
    out = {'model.embed_tokens.weight': ('F16', f16(m['token_embd'])), 'model.norm.weight': ('F16', f16(m['output_norm'])), 'lm_head.weight': ('F16', f16(m['output']))}
    for l, layer in enumerate(m['layers']):
        for k, v in layer.items():
            base = 'model.layers.%d.%s' % (l, names[k])
            if not isinstance(v, dict): out[base + '.weight'] = ('BF16', bf16(v)); continue
            out.update({base + '.weight': ('I8', bits(v['sign'])), base + '.weight_scale': ('F16', f16(v['h'])), base + '.input_factor': ('F16', f16(v['g']))})
    head, at = {'__metadata__': {'format': 'pt'}}, 0
    for k, (d, x) in out.items(): head[k] = dict(dtype=d, shape=list(x.shape), data_offsets=[at, at + x.nbytes]); at += x.nbytes
    h = json.dumps(head).encode(); h += b' ' * (-len(h) % 8)
    with open(path + '/model.safetensors', 'wb') as f: f.write(struct.pack('<Q', len(h)) + h + b''.join(x.tobytes() for _, x in out.values()))
    put = lambda name, doc: open(path + '/' + name, 'w').write(json.dumps(doc, indent=1) + '\n')
    put('config.json', dict(architectures=['BitLlamaForCausalLMInf'], model_type='bitllama', hidden_act='silu', hidden_size=DIM, intermediate_size=FFN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, vocab_size=VOCAB, max_position_embeddings=512, rms_norm_eps=EPS, rope_theta=THETA, rope_scaling=None,
        attention_bias=False, pretraining_tp=1, tie_word_embeddings=False, bos_token_id=FIRST, eos_token_id=FIRST + 1, torch_dtype='float16', use_cache=True))
    toks, kinds = vocabulary()
    split = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    put('tokenizer.json', dict(version='1.0', added_tokens=[dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for i, t in enumerate(toks) if kinds[i] == 3],
        normalizer=None, pre_tokenizer=dict(type='Sequence', pretokenizers=[dict(type='Split', pattern=dict(Regex=split), behavior='Isolated', invert=False), dict(type='ByteLevel', add_prefix_space=False, trim_offsets=True, use_regex=False)]),
        post_processor=None, decoder=dict(type='ByteLevel', add_prefix_space=True, trim_offsets=True, use_regex=True),
        model=dict(type='BPE', dropout=None, unk_token=None, fuse_unk=False, byte_fallback=False, ignore_merges=True, vocab={t: i for i, t in enumerate(toks) if kinds[i] != 3}, merges=['t h'])))
    put('tokenizer_config.json', dict(bos_token=SPECIAL[0], eos_token=SPECIAL[1], chat_template=CHAT, tokenizer_class='PreTrainedTokenizerFast'))

# ---- answers ---------------------------------------------------------------------------------------------------------
def cases(m, rng, lengths, greedy):
    global near
    found = []
    for n in lengths:
        for _ in range(2000):
            near, seq = False, [int(x) for x in rng.integers(0, 257, n)]
            case = dict(prompt=list(seq), greedy=[], margins=[])
            for step in range(greedy):
                row = logprobs(forward(m, seq)[-1])
                top = np.argsort(-row)[:16]
                if step == 0: case['top_logprobs'] = [[int(t), round(float(row[t]), 5)] for t in top]
                case['greedy'].append(int(top[0])); case['margins'].append(round(float(row[top[0]] - row[top[1]]), 4))
                seq.append(int(top[0]))
            if not near: break
        else: continue
        found.append(case)
    return found

def main():
    out = sys.argv[1]
    one, plain, bits1, bell = make('onebit', 11, tied=False), make('onebit', 12, norm=False), make('b1', 13), make('billm', 14)
    write_gguf(out + '/onebit.gguf', one, 'onebit'); write_onebit_folder(out + '/onebit.hf', one)
    write_gguf(out + '/onebit-plain.gguf', plain, 'onebit-plain')
    write_gguf(out + '/b1.gguf', bits1, 'b1'); write_gguf(out + '/billm.gguf', bell, 'billm')
    rng = np.random.default_rng(1)
    json.dump(dict(cases=dict(onebit=cases(one, rng, (1, 7, 40), 12), onebit_plain=cases(plain, rng, (3, 20), 8),
                              b1=cases(bits1, rng, (1, 2, 3, 4), 1), billm=cases(bell, rng, (1, 7, 40), 12))), sys.stdout)

if len(sys.argv) != 2: sys.exit(__doc__)
main()
