#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny embedding models of both graphs that BitNet-embedding has, and their vectors: plain Python, float64.

It shares no code with tritd.  Names of tensors, keys and encodings are those that BitNet's converter writes
(utils/convert-bitnet-embedding-to-gguf.py): I2_S linears, binary16 for all else, every linear with a norm of
its own before it.  The graphs are those of Qwen 3 and Gemma 3 as transformers has them.

embed-qwen3.gguf   last token, EOS appended by the file's word
embed-gemma3.gguf  last token, EOS appended because the file pools by it; layers 0, 1 and 3 see 24 positions and
                   turn by a base of their own, as files by llama.cpp's converter say it
embed-plain.gguf   gemma3 by BitNet's converter: no window, the mean of all positions
embed-gemma3.hf    the second as a Hugging Face folder: master weights, norms less one, names as modules have them

A case has texts or ids, and the normed vector.  "exact" ones are prompts on which no activation comes close to a
boundary of its rounding, so that float32 has to agree closely; on others that noise may part the two.  This script
fails if a mistake in the graph (no window, one base, silu, no norm ...) would not show on the longest prompts.

Usage: embeddings.py OUTDIR > embeddings.json     writes the models into OUTDIR; needs nothing but Python, and minutes
"""
import json, math, os, random, re, struct, sys
from operator import mul

INT8_MARGIN = 2e-4   # in steps of int8
SHOWS = 0.035        # least change of the vector, in its length, by any mistake; embed.c allows 0.0316
near = False

def f16(x): return struct.unpack('<e', struct.pack('<e', x))[0]
def f32(x): return struct.unpack('<f', struct.pack('<f', x))[0]
def dot(a, b): return sum(map(mul, a, b))

# ---- the graph -------------------------------------------------------------------------------------------------------
def rmsnorm(x, w, eps):
    r = 1 / math.sqrt(dot(x, x) / len(x) + eps)
    return [v * r * g for v, g in zip(x, w)]

def bitlinear(x, L, m):
    """Norm, activations to int8, trits, scale."""
    global near
    if 'norm_in' not in m['wrong']: x = rmsnorm(x, L['norm_in'], m['eps'])
    top = max(max(map(abs, x)), 1e-5)
    steps = [v * 127 / top for v in x]
    near = near or any(abs(abs(s - math.floor(s)) - 0.5) < INT8_MARGIN for s in steps)
    q = [max(-128, min(127, round(s))) for s in steps]
    return [(sum(q[i] for i in plus) - sum(q[i] for i in minus)) * L['scale'] * top / 127 for plus, minus in L['rows']]

def rope(x, pos, base, hd):
    out = []
    for h in range(0, len(x), hd):
        half = hd // 2
        cs = [(math.cos(a), math.sin(a)) for a in (pos * base ** (-i / half) for i in range(half))]
        lo, hi = x[h:h + half], x[h + half:h + hd]
        out += [a * c - b * s for a, b, (c, s) in zip(lo, hi, cs)] + [b * c + a * s for a, b, (c, s) in zip(lo, hi, cs)]
    return out

def attend(m, L, q, keys, values, local):
    """One position's heads; keys and values of all positions up to its own."""
    hd, group, out = m['hd'], m['heads'] // m['kv_heads'], []
    first = max(0, len(keys) - m['window']) if local else 0
    for h in range(m['heads']):
        g = h // group * hd
        qh = q[h * hd:(h + 1) * hd]
        s = [dot(qh, k[g:g + hd]) / math.sqrt(hd) for k in keys[first:]]
        top = max(s)
        e = [math.exp(v - top) for v in s]
        total = sum(e)
        out += [sum(w * v[g + d] for w, v in zip(e, values[first:])) / total for d in range(hd)]
    return out

def gelu(x): return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
def silu(x): return x / (1 + math.exp(-x))

def heads_norm(x, w, m):
    return [v for h in range(0, len(x), m['hd']) for v in rmsnorm(x[h:h + m['hd']], w, m['eps'])]

def forward(m, ids):
    """Final hidden states of all positions."""
    gemma, wrong, eps = m['arch'] == 'gemma3', m['wrong'], m['eps']
    factor = f32(math.sqrt(m['dim'])) if gemma and 'embedding' not in wrong else 1
    rows = [[v * factor for v in m['embd'][t]] for t in ids]
    for l, L in enumerate(m['layers']):
        local = l in m['local'] and 'window' not in wrong
        base = m['base_local'] if l in m['local'] and 'base' not in wrong else m['base']
        keys, values = [], []
        for pos, x in enumerate(rows):
            a = rmsnorm(x, L['attn_norm'], eps)
            q = rope(heads_norm(bitlinear(a, L['attn_q'], m), L['attn_q_norm'], m), pos, base, m['hd'])
            keys.append(rope(heads_norm(bitlinear(a, L['attn_k'], m), L['attn_k_norm'], m), pos, base, m['hd']))
            values.append(bitlinear(a, L['attn_v'], m))
            o = bitlinear(attend(m, L, q, keys, values, local), L['attn_output'], m)
            if gemma and 'post_norm' not in wrong: o = rmsnorm(o, L['post_attention_norm'], eps)
            x = [u + v for u, v in zip(x, o)]
            a = rmsnorm(x, L['ffn_norm'], eps)
            act = gelu if gemma and 'act' not in wrong else silu
            u = [act(g) * v for g, v in zip(bitlinear(a, L['ffn_gate'], m), bitlinear(a, L['ffn_up'], m))]
            o = bitlinear(u, L['ffn_down'], m)
            if gemma and 'post_norm' not in wrong: o = rmsnorm(o, L['post_ffw_norm'], eps)
            rows[pos] = [u + v for u, v in zip(x, o)]
    return [rmsnorm(x, m['output_norm'], eps) for x in rows]

def embed(m, ids):
    rows = forward(m, ids)
    v = rows[-1] if m['pool'] == 3 else [sum(c) / len(rows) for c in zip(*rows)]
    length = math.sqrt(dot(v, v))
    return [x / length for x in v]

# ---- random models, whose floats are exact in binary16 and bfloat16 ---------------------------------------------------
def shapes(m):
    d, q, kv, f = m['dim'], m['heads'] * m['hd'], m['kv_heads'] * m['hd'], m['ffn']
    return dict(attn_q=(q, d), attn_k=(kv, d), attn_v=(kv, d), attn_output=(d, q), ffn_gate=(f, d), ffn_up=(f, d), ffn_down=(d, f))

def coarse(x): return round(x * 64) / 64

def make(r, arch, layers, local, pool, **sizes):
    m = dict(arch=arch, eps=1e-6, local=local, pool=pool, wrong=(), **sizes)
    weights = lambda n: [coarse(1 + 0.25 * r.gauss(0, 1)) for _ in range(n)]
    m['tokens'], m['scores'], m['kinds'] = vocabulary(arch)
    m['embd'] = [[max(-1.875, min(1.875, coarse(0.5 * r.gauss(0, 1)))) for _ in range(m['dim'])] for _ in m['tokens']]
    m['output_norm'], m['layers'] = weights(m['dim']), []
    for _ in range(layers):
        L = dict(attn_norm=weights(m['dim']), ffn_norm=weights(m['dim']), attn_q_norm=weights(m['hd']), attn_k_norm=weights(m['hd']))
        if arch == 'gemma3': L.update(post_attention_norm=weights(m['dim']), post_ffw_norm=weights(m['dim']))
        for k, (o, i) in shapes(m).items():
            # What is trained: its absolute mean is the scale, and magnitudes below half of that are zero.
            master = [[r.choice((-1, 1)) * r.choice((.25, .25, 1 / 32, 0)) for _ in range(i)] for _ in range(o)]
            scale = f32(sum(abs(w) for row in master for w in row) / (o * i))
            trits = [[max(-1, min(1, round(w / scale))) for w in row] for row in master]
            L[k] = dict(master=master, trits=trits, scale=scale, norm_in=weights(i),
                        rows=[([c for c in range(i) if t[c] > 0], [c for c in range(i) if t[c] < 0]) for t in trits])
        m['layers'].append(L)
    return m

# ---- vocabularies, and texts to ids ------------------------------------------------------------------------------------
GEMMA = ['<pad>', '<eos>', '<bos>', '<unk>']
WORDS = 'the of to in is king day sea bread butter night'.split()
MERGES = [('t', 'h'), ('th', 'e'), ('Ġ', 'the'), ('i', 'n'), ('in', 'g'), ('Ġ', 'k'), ('Ġk', 'ing'), ('e', 'a'), ('Ġ', 's'), ('Ġs', 'ea')]

def alphabet():
    keep, out, n = set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256)), [], 0
    for b in range(256):
        out.append(chr(b) if b in keep else chr(256 + n)); n += b not in keep
    return out

def vocabulary(arch):
    """Pieces, scores (of SentencePiece), kinds."""
    if arch == 'qwen3':
        t = alphabet() + [a + b for a, b in MERGES]
        return t + ['<|endoftext|>', '<|im_end|>', '[PAD268]'], None, [1] * len(t) + [3, 3, 5]
    t, kinds = list(GEMMA), [3] * 4
    t += ['<0x%02X>' % b for b in range(256)]; kinds += [6] * 256
    singles = ['▁'] + [chr(c) for c in range(33, 127)]
    merged = []
    for w in WORDS:
        for part in (w, '▁' + w):
            merged += [part[:i] for i in range(2, len(part) + 1) if part[:i] not in merged]
    scores = [-1000.0] * 4 + [0.0] * (256 + len(singles)) + [-float(i) for i in range(len(merged))]
    return t + singles + merged, scores, kinds + [1] * (len(singles) + len(merged))

def ids_of(m, text):
    index = {t: i for i, t in enumerate(m['tokens'])}
    if m['arch'] == 'qwen3':                 # words of ASCII letters with the space before them, and single other characters
        bytes_of, rank = alphabet(), {p: i for i, p in enumerate(MERGES)}
        ids = []
        for word in re.findall(r' ?[A-Za-z]+|.', text):
            s = [bytes_of[b] for b in word.encode()]
            while True:
                pairs = [(rank[p], i) for i, p in enumerate(zip(s, s[1:])) if p in rank]
                if not pairs: break
                i = min(pairs)[1]; s[i:i + 2] = [s[i] + s[i + 1]]
            ids += [index[p] for p in s]
        return ids + [index['<|endoftext|>']]
    s = list(text.replace(' ', '▁'))
    while True:
        pairs = [(-m['scores'][index[a + b]], i) for i, (a, b) in enumerate(zip(s, s[1:])) if a + b in index]
        if not pairs: break
        i = min(pairs)[1]; s[i:i + 2] = [s[i] + s[i + 1]]
    ids = [2]
    for p in s: ids += [index[p]] if p in index else [index['<0x%02X>' % b] for b in p.encode()]
    return ids + [1] * (m['pool'] == 3)

# ---- GGUF --------------------------------------------------------------------------------------------------------------
def text(x): b = x.encode(); return struct.pack('<Q', len(b)) + b

def pair(k, v):
    head = text(k)
    if isinstance(v, bool): return head + struct.pack('<IB', 7, v)
    if isinstance(v, int): return head + struct.pack('<II', 4, v)
    if isinstance(v, float): return head + struct.pack('<If', 6, v)
    if isinstance(v, str): return head + struct.pack('<I', 8) + text(v)
    if isinstance(v[0], str): return head + struct.pack('<IIQ', 9, 8, len(v)) + b''.join(map(text, v))
    kind, form = (6, 'f') if isinstance(v[0], float) else (5, 'i')
    return head + struct.pack('<IIQ', 9, kind, len(v)) + struct.pack('<%d%s' % (len(v), form), *v)

def keys_of(m, name):
    a = m['arch'] + '.'
    kv = {'general.architecture': m['arch'], 'general.name': name, 'general.file_type': 40,
          a + 'block_count': len(m['layers']), a + 'context_length': 1024, a + 'embedding_length': m['dim'],
          a + 'feed_forward_length': m['ffn'], a + 'attention.head_count': m['heads'], a + 'attention.head_count_kv': m['kv_heads'],
          a + 'vocab_size': len(m['tokens']), a + 'rope.dimension_count': m['hd'], a + 'attention.key_length': m['hd'],
          a + 'attention.value_length': m['hd'], a + 'rope.freq_base': m['base'], a + 'attention.layer_norm_rms_epsilon': m['eps'],
          a + 'pooling_type': m['pool'], 'tokenizer.ggml.tokens': m['tokens'], 'tokenizer.ggml.token_type': m['kinds']}
    if m['local']: kv.update({a + 'attention.sliding_window': m['window'], a + 'attention.sliding_window_pattern': 3,
                              a + 'rope.freq_base_swa': m['base_local']})
    if m['arch'] == 'qwen3':
        kv.update({'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'qwen2', 'tokenizer.ggml.merges': ['%s %s' % p for p in MERGES],
                   'tokenizer.ggml.eos_token_id': m['tokens'].index('<|endoftext|>'), 'tokenizer.ggml.padding_token_id': m['tokens'].index('<|endoftext|>'),
                   'tokenizer.ggml.add_eos_token': True, 'tokenizer.ggml.add_bos_token': False})
    else:
        kv.update({'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.pre': 'default', 'tokenizer.ggml.scores': m['scores'],
                   'tokenizer.ggml.add_space_prefix': False, 'tokenizer.ggml.bos_token_id': 2, 'tokenizer.ggml.eos_token_id': 1,
                   'tokenizer.ggml.unknown_token_id': 3, 'tokenizer.ggml.padding_token_id': 0})
    return kv

def i2_s(L):
    flat = [t + 1 for row in L['trits'] for t in row]
    flat += [1] * (-len(flat) % 128)
    out = bytearray(len(flat) // 4)
    for i, code in enumerate(flat):
        out[32 * (i // 128) + i % 32] |= code << (6 - 2 * (i % 128 // 32))
    n = len(L['trits']) * len(L['trits'][0])
    return bytes(out[:n // 4]) + struct.pack('<f', L['scale']) + bytes(28)

def halves(x): return struct.pack('<%de' % len(x), *x)

def tensors_of(m):
    flat = [v for row in m['embd'] for v in row]
    yield 'token_embd.weight', 1, (m['dim'], len(m['embd'])), halves(flat)
    yield 'output_norm.weight', 1, (m['dim'],), halves(m['output_norm'])
    for l, L in enumerate(m['layers']):
        for k, v in L.items():
            stem = 'blk.%d.%s' % (l, k)
            if isinstance(v, dict):
                yield stem + '.weight', 36, (len(v['trits'][0]), len(v['trits'])), i2_s(v)
                yield stem + '_norm_in.weight', 1, (len(v['norm_in']),), halves(v['norm_in'])
            else:
                yield stem + '.weight', 1, (len(v),), halves(v)

def write_gguf(path, m):
    kv, infos, data, n = keys_of(m, os.path.basename(path)[:-5]), b'', b'', 0
    for name, kind, ne, body in tensors_of(m):
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack('<I', len(ne)) + struct.pack('<%dQ' % len(ne), *ne) + struct.pack('<IQ', kind, len(data))
        data += body; n += 1
    head = b'GGUF' + struct.pack('<IQQ', 3, n, len(kv)) + b''.join(pair(k, v) for k, v in kv.items()) + infos
    with open(path, 'wb') as f: f.write(head + bytes(-len(head) % 32) + data + bytes(-len(data) % 32))

# ---- a folder ----------------------------------------------------------------------------------------------------------
HF = dict(attn_norm='input_layernorm', ffn_norm='pre_feedforward_layernorm', post_attention_norm='post_attention_layernorm',
          post_ffw_norm='post_feedforward_layernorm', attn_q_norm='self_attn.q_norm', attn_k_norm='self_attn.k_norm',
          attn_q='self_attn.q_proj', attn_k='self_attn.k_proj', attn_v='self_attn.v_proj', attn_output='self_attn.o_proj',
          ffn_gate='mlp.gate_proj', ffn_up='mlp.up_proj', ffn_down='mlp.down_proj')

def bf16(x): return b''.join(struct.pack('<f', v)[2:] for v in x)

def write_folder(path, m):
    os.makedirs(path + '/1_Pooling', exist_ok=True)
    put = lambda name, v: json.dump(v, open(path + '/' + name, 'w'), ensure_ascii=False)
    header, body = {}, b''
    def add(name, shape, floats):
        nonlocal body
        data = bf16(floats)
        header[name] = dict(dtype='BF16', shape=shape, data_offsets=[len(body), len(body) + len(data)])
        body += data
    add('embed_tokens.weight', [len(m['embd']), m['dim']], [v for row in m['embd'] for v in row])
    add('norm.weight', [m['dim']], [v - 1 for v in m['output_norm']])
    for l, L in enumerate(m['layers']):
        for k, v in L.items():
            name = 'layers.%d.%s' % (l, HF[k])
            if isinstance(v, dict):
                add(name + '.weight', [len(v['trits']), len(v['trits'][0])], [x for row in v['master'] for x in row])
                add(name + '.norm.weight', [len(v['norm_in'])], v['norm_in'])
            else:
                add(name + '.weight', [len(v)], [x - 1 for x in v])
    head = json.dumps(header).encode(); head += b' ' * (-len(head) % 8)
    with open(path + '/model.safetensors', 'wb') as f: f.write(struct.pack('<Q', len(head)) + head + body)
    put('config.json', dict(architectures=['Gemma3TextModel'], model_type='gemma3_text', hidden_activation='gelu_pytorch_tanh', hidden_size=m['dim'],
        intermediate_size=m['ffn'], num_hidden_layers=len(m['layers']), num_attention_heads=m['heads'], num_key_value_heads=m['kv_heads'],
        head_dim=m['hd'], query_pre_attn_scalar=m['hd'], max_position_embeddings=1024, vocab_size=len(m['tokens']), rms_norm_eps=m['eps'],
        rope_theta=m['base'], rope_local_base_freq=m['base_local'], rope_scaling=None, sliding_window=m['window'], attention_bias=False,
        layer_types=['sliding_attention' if l in m['local'] else 'full_attention' for l in range(len(m['layers']))],
        attn_logit_softcapping=None, final_logit_softcapping=None, use_bidirectional_attention=False, tie_word_embeddings=True,
        bos_token_id=2, eos_token_id=1, pad_token_id=0))
    put('modules.json', [dict(idx=0, name='0', path='', type='sentence_transformers.models.Transformer'),
                         dict(idx=1, name='1', path='1_Pooling', type='sentence_transformers.models.Pooling')])
    put('1_Pooling/config.json', dict(word_embedding_dimension=m['dim'], pooling_mode_cls_token=False, pooling_mode_mean_tokens=False, pooling_mode_lasttoken=True))
    index = {t: i for i, t in enumerate(m['tokens'])}
    merges = []
    for t in sorted((t for t, s, k in zip(m['tokens'], m['scores'], m['kinds']) if k == 1 and len(t) > 1), key=lambda t: -m['scores'][index[t]]):
        merges += [[t[:i], t[i:]] for i in range(1, len(t)) if t[:i] in index and t[i:] in index]
    special = lambda i: dict(id=i, content=m['tokens'][i], single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    put('tokenizer.json', dict(version='1.0', truncation=None, padding=None, added_tokens=[special(i) for i in range(4)],
        normalizer=dict(type='Replace', pattern=dict(String=' '), content='▁'), pre_tokenizer=dict(type='Split', pattern=dict(String=' '), behavior='MergedWithPrevious', invert=False),
        post_processor=dict(type='TemplateProcessing', single=[dict(SpecialToken=dict(id='<bos>', type_id=0)), dict(Sequence=dict(id='A', type_id=0)), dict(SpecialToken=dict(id='<eos>', type_id=0))],
            pair=[dict(Sequence=dict(id='A', type_id=0)), dict(Sequence=dict(id='B', type_id=1))], special_tokens={'<bos>': dict(id='<bos>', ids=[2], tokens=['<bos>']), '<eos>': dict(id='<eos>', ids=[1], tokens=['<eos>'])}),
        decoder=dict(type='Sequence', decoders=[dict(type='Replace', pattern=dict(String='▁'), content=' '), dict(type='ByteFallback'), dict(type='Fuse')]),
        model=dict(type='BPE', dropout=None, unk_token='<unk>', continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True, byte_fallback=True, ignore_merges=False, vocab=index, merges=merges)))
    put('tokenizer_config.json', dict(bos_token='<bos>', eos_token='<eos>', unk_token='<unk>', pad_token='<pad>', add_bos_token=True, add_eos_token=True, tokenizer_class='GemmaTokenizer'))

# ---- answers -----------------------------------------------------------------------------------------------------------
def case(m, ids, **more): return dict(ids=ids, embedding=[round(x, 6) for x in embed(m, ids)], **more)

def exact(m, r, n):
    global near
    for _ in range(3000):
        near, ids = False, [r.randrange(4, len(m['tokens']) - 3) for _ in range(n)]
        found = case(m, ids, exact=True)
        if not near: return found
    sys.exit('no prompt of %d tokens is away from all boundaries' % n)

def cases(m, r, lengths):
    texts = ['the king of the sea', 'bread and butter is in the sea today', 'A', 'night, day: 42!']
    found = [exact(m, r, n) for n in (1, 2)]
    found += [case(m, ids_of(m, t), text=t) for t in texts]
    # Long ones share their beginnings, for the cache.
    all_ids = [r.randrange(4, len(m['tokens']) - 3) for _ in range(max(lengths))]
    found += [case(m, all_ids[:n]) for n in lengths]
    wrongs = ['norm_in'] + (['act', 'post_norm', 'embedding'] if m['arch'] == 'gemma3' else []) + (['window', 'base'] if m['local'] else [])
    for w in wrongs:
        m['wrong'] = (w,)
        off = math.dist(embed(m, all_ids[:lengths[0]]), found[-len(lengths)]['embedding'])
        print('%s without %s: %.3f' % (m['arch'], w, off), file=sys.stderr)
        if off < SHOWS: sys.exit('that would not show')
    m['wrong'] = ()
    return found

def main():
    out, r = sys.argv[1], random.Random(7)
    qwen = make(r, 'qwen3', 2, (), 3, dim=64, ffn=160, heads=4, kv_heads=2, hd=32, base=1e6, window=0)
    gemma = make(r, 'gemma3', 4, (0, 1, 3), 3, dim=96, ffn=144, heads=4, kv_heads=1, hd=32, base=1e6, base_local=1e4, window=24)
    plain = make(r, 'gemma3', 1, (), 1, dim=64, ffn=80, heads=2, kv_heads=1, hd=48, base=1e4, window=0)
    for m, name in ((qwen, 'embed-qwen3'), (gemma, 'embed-gemma3'), (plain, 'embed-plain')): write_gguf('%s/%s.gguf' % (out, name), m)
    write_folder(out + '/embed-gemma3.hf', gemma)
    json.dump(dict(cases={'embed-qwen3': cases(qwen, r, (60, 290)), 'embed-gemma3': cases(gemma, r, (60, 290)),
                          'embed-plain': cases(plain, r, (40,))}), sys.stdout)

if len(sys.argv) != 2: sys.exit(__doc__)
main()
