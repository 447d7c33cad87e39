// SPDX-License-Identifier: MIT
// y-folder.mjs - makes small folders of Hugging Face files: y-folder.mjs DIRECTORY KIND.
//
// "hybrid-gguf" is the file DIRECTORY.gguf, as llama.cpp's converter has it (conversion/qwen.py): value heads dealt
// out, ones added to norms, decays of their logarithms.  The others of its name are folders.
//
// "bonsai" and "bonsai35" are "qwen" and "hybrid" with matrices that are ternary by groups: a scale for each row and 128
// inputs, embedding and head among them.  As a folder they are floats (bf16, f16, f32; "signs": without zeros; "odd": but
// for one value, "plain": none of it, "fine": a scale that binary16 does not have), as a file PQ2_0 ("gguf"), Q2_0 ("narrow-gguf")
// or, of those without zeros, Q1_0 ("signs-gguf").  With "dealt" a key head has two value heads, which lie otherwise in the file.
//
// Kinds that hold the same numbers must answer alike.  Trits and norms depend on names alone.  The
// width 340 is no multiple of a block of any encoding, as those of 1bitLLM's models are not.
import { mkdirSync, writeFileSync } from "node:fs";

const [dir, kind] = process.argv.slice(2);
// "sentencepiece" is "bitnet" with a tokenizer.model, "spllama" a "llama" with one, of a width that
// has whole bytes of signs.
const [named, ...rest] = kind.split("-"), encoding = rest[rest.length - 1], sentencepiece = named === "sentencepiece" || named === "spllama";
const family = { sentencepiece: "bitnet", spllama: "llama", bonsai: "qwen", bonsai35: "hybrid" }[named] ?? named;
const grouped = named.startsWith("bonsai"), group = 128, signs = rest[0] === "signs";
const dim = grouped ? 256 : 64, ffn = grouped ? 384 : named === "spllama" ? 344 : 340, heads = 4, kvHeads = 2, headDim = grouped ? 64 : 16, layers = family === "hybrid" ? 5 : 2;
const keyHeads = 2, valueHeads = !grouped ? 6 : rest[0] === "dealt" ? 4 : 2, stateDim = grouped ? 128 : 16, kernel = 4, interval = 4; // of a hybrid
const keyDim = keyHeads * stateDim, valueDim = valueHeads * stateDim, convDim = 2 * keyDim + valueDim;
const special = sentencepiece ? ["<s>", "</s>", "<end>"] : ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"];
if (family === "qwen") special.push("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>");

// ---- values
const random = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const streamOf = (name) => random([...name].reduce((h, c) => Math.imul(h, 31) + c.charCodeAt(0), 7));
const bf16 = (x) => {
    const f = new Float32Array([x]);
    new Uint32Array(f.buffer)[0] &= 0xffff0000;
    return f[0];
};
// Master weights, and what absmean makes of them: trits, and the mean.
function master(name, n) {
    const next = streamOf(name);
    const w = Float32Array.from({ length: n }, () => bf16(next() + next() + next() - 1.5));
    const mean = Math.fround(w.reduce((a, x) => a + Math.abs(x), 0) / n);
    const inverse = Math.fround(1 / mean);
    const trits = Int8Array.from(w, (x) => {
        const y = Math.fround(x * inverse);
        return y > 0.5 ? 1 : y < -0.5 ? -1 : 0;
    });
    return { w, mean, trits };
}

const asHalf = (x) => { // of a number that binary16 has, and no smaller than 2^-14
    if (x === 0) return 0;
    const e = Math.floor(Math.log2(Math.abs(x)));
    return (x < 0 ? 0x8000 : 0) | (e + 15) << 10 | (Math.abs(x) / 2 ** e - 1) * 1024;
};
// Trits, and a scale for each row and group, seven bits of it; the first group and the last rows of a table are zeros.
function groupsOf(name, rows, cols, isTable) {
    const next = streamOf(name);
    const scales = Float32Array.from({ length: rows * cols / group }, () => (64 + Math.floor(next() * 64)) / 4096);
    const trits = Int8Array.from({ length: rows * cols }, () => (signs ? (next() < 0.5 ? -1 : 1) : Math.floor(next() * 3) - 1));
    if (!signs) trits.fill(0, 0, group);
    if (!signs && isTable) trits.fill(0, (rows - 3) * cols);
    return { trits, scales };
}

// ---- tensors as bytes
const asF32 = (x) => ["F32", Buffer.from(Float32Array.from(x).buffer)];
const asBf16 = (x) => ["BF16", Buffer.from(Uint16Array.from(x, (v) => new Uint32Array(new Float32Array([v]).buffer)[0] >>> 16).buffer)];
const asF16 = (x) => ["F16", Buffer.from(Uint16Array.from(x, asHalf).buffer)];
const asGrouped = (x) => (encoding === "f32" || encoding === "fine" ? asF32 : encoding === "f16" ? asF16 : asBf16)(x);
function packed(trits, rows, cols) {
    const bytes = Buffer.alloc((rows / 4) * cols);
    for (let p = 0; p < bytes.length; p++)
        for (let i = 0; i < 4; i++) bytes[p] |= (trits[i * bytes.length + p] + 1) << (2 * i);
    return ["U8", bytes];
}

const tensors = new Map();
const put = (name, shape, [dtype, bytes]) => tensors.set(name, { dtype, shape, bytes });
const norm = (name, n) => {
    const next = streamOf(name);
    put(name + ".weight", [n], asBf16(Array.from({ length: n }, () => bf16(0.75 + next() / 2))));
};
// A matrix of groups: one for the file, or as floats.
function putGrouped(name, rows, cols, isTable) {
    const { trits, scales } = groupsOf(name, rows, cols, isTable), of = (i) => scales[Math.floor(i / group)] * (encoding === "fine" ? 1 + 2 ** -20 : 1);
    if (encoding === "gguf") return tensors.set(name, { shape: [rows, cols], trits, scales });
    const x = Array.from(trits, (t, i) => t * of(i));
    if (encoding === "odd" && name.endsWith("0.mlp.up_proj.weight")) x[5 * cols + 200] = 3; // row 5 is not among those that are looked at first
    if (encoding === "plain" && !isTable) x.forEach((_, i) => { x[i] = bf16(x[i] * (1 + (i % 7) / 4)); });
    put(name, [rows, cols], asGrouped(x));
}
const table = (name, rows) => {
    if (grouped) return putGrouped(name, rows, dim, true);
    const next = streamOf(name);
    put(name, [rows, dim], asBf16(Array.from({ length: rows * dim }, () => bf16(2 * next() - 1))));
};
function linear(name, rows, cols) {
    if (grouped) return putGrouped(name + ".weight", rows, cols, false);
    const { w, mean, trits } = master(name, rows * cols);
    if (encoding === "gguf") return tensors.set(name + ".weight", { shape: [rows, cols], trits });
    const scale = 0.125;
    const put1 = (v) => put(name + ".weight_scale", [1], asF32([v]));
    if (encoding === "master") return put(name + ".weight", [rows, cols], asBf16(w));
    if (encoding === "f32")
        return put(name + ".weight", [rows, cols], asF32(Array.from(trits, (t) => t * scale)));
    put(name + ".weight", [rows / 4, cols], packed(trits, rows, cols));
    put1(encoding === "means" ? mean : encoding === "divide" ? 1 / scale : scale);
}

// ---- the tokenizer: the bytes, one merge, the special tokens
const alphabet = [];
for (let b = 0, more = 0; b < 256; b++) {
    const printable = (b >= 33 && b < 127) || (b >= 161 && b < 173) || b >= 174;
    alphabet.push(String.fromCharCode(printable ? b : 256 + more++));
}
const pieces = ["\u2581", "t", "h", "a", "i", "n", "g", "th", "at", "in", "ing", "that", "\u2581that", "\u2581th", "\u2581thing", "\u00e9"];
const bytes = alphabet.map((_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
const words = sentencepiece ? ["<unk>", ...bytes, ...pieces] : [...alphabet, "th"];
const vocab = words.length + special.length;

table("model.embed_tokens.weight", vocab);
norm("model.norm", dim);
if (family !== "bitnet") table("lm_head.weight", vocab);
for (let l = 0; l < layers; l++) {
    const at = `model.layers.${l}.`;
    norm(at + "input_layernorm", dim);
    norm(at + "post_attention_layernorm", dim);
    if (family === "bitnet") {
        norm(at + "self_attn.attn_sub_norm", dim);
        norm(at + "mlp.ffn_sub_norm", ffn);
    }
    const attends = family !== "hybrid" || (l + 1) % interval === 0;
    if (!attends) {
        const lin = at + "linear_attn.";
        linear(lin + "in_proj_qkv", convDim, dim);
        linear(lin + "in_proj_z", valueDim, dim);
        linear(lin + "out_proj", dim, valueDim);
        const some = (name, shape, least, most) => {
            const next = streamOf(lin + name);
            put(lin + name, shape, asBf16(Array.from({ length: shape.reduce((a, b) => a * b) }, () => bf16(least + next() * (most - least)))));
        };
        some("in_proj_a.weight", [valueHeads, dim], -0.5, 0.5);
        some("in_proj_b.weight", [valueHeads, dim], -0.5, 0.5);
        some("conv1d.weight", [convDim, 1, kernel], -1, 1);
        some("A_log", [valueHeads], -2, 1);
        some("dt_bias", [valueHeads], -4, 0);
        norm(lin + "norm", stateDim);
    }
    if (attends && (family === "qwen" || family === "hybrid")) for (const h of ["q_norm", "k_norm"]) norm(`${at}self_attn.${h}`, headDim);
    const queries = (family === "hybrid" ? 2 : 1) * dim;
    for (const [n, rows, cols] of [["self_attn.q_proj", queries, dim], ["self_attn.k_proj", kvHeads * headDim, dim], ["self_attn.v_proj", kvHeads * headDim, dim], ["self_attn.o_proj", dim, dim],
        ["mlp.gate_proj", ffn, dim], ["mlp.up_proj", ffn, dim], ["mlp.down_proj", dim, ffn]]) if (attends || n.startsWith("mlp")) linear(at + n, rows, cols);
}

// ---- what is grouped as blocks: a scale, then two bits a value, or one
function blocksOf(trits, scales, cols) {
    const values = rest[0] === "narrow" ? 64 : group, codes = values / (signs ? 8 : 4), bytes = Buffer.alloc(trits.length / values * (2 + codes));
    for (let b = 0; b < trits.length / values; b++) {
        const at = b * (2 + codes);
        bytes.writeUInt16LE(asHalf(scales[Math.floor(b * values / group)]), at);
        for (let i = 0; i < values; i++) {
            const t = trits[b * values + i];
            if (signs) bytes[at + 2 + (i >> 3)] |= (t > 0 ? 1 : 0) << (i & 7);
            else bytes[at + 2 + (i >> 2)] |= (t + 1) << (2 * (i & 3));
        }
    }
    return { type: signs ? 41 : values === 64 ? 42 : 142, bytes };
}

// ---- a Qwen as a file
function writeGguf(path) {
    const short = { input_layernorm: "attn_norm", post_attention_layernorm: "post_attention_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "linear_attn.in_proj_qkv": "attn_qkv", "linear_attn.in_proj_z": "attn_gate",
        "linear_attn.out_proj": "ssm_out", "linear_attn.in_proj_a": "ssm_alpha", "linear_attn.in_proj_b": "ssm_beta", "linear_attn.conv1d": "ssm_conv1d",
        "linear_attn.norm": "ssm_norm" };
    const hybrid = family === "hybrid", arch = hybrid ? "qwen35" : "qwen3";
    if (!hybrid) short.post_attention_layernorm = "ffn_norm";
    const top = { "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight" };
    const each = valueHeads / keyHeads;
    const order = Array.from({ length: valueHeads }, (_, i) => (i % keyHeads) * each + Math.floor(i / keyHeads)); // head i of the file
    const rowsOf = (wide) => order.flatMap((h) => Array.from({ length: wide }, (_, i) => h * wide + i));
    const behind = (n, rows) => [...Array(n).keys(), ...rows.map((r) => n + r)];
    const takeRows = (x, cols, rows) => rows.flatMap((r) => Array.from(x.subarray(r * cols, (r + 1) * cols)));
    const takeCols = (x, cols, chosen) => Array.from({ length: x.length / cols }, (_, r) => chosen.map((c) => x[r * cols + c])).flat();
    const made = [];
    for (const [origin, t] of tensors) {
        const [, l, stem] = /^model\.layers\.(\d+)\.(.*?)(?:\.weight)?$/.exec(origin) ?? [];
        const base = l === undefined ? top[origin] : `blk.${l}.` + (stem.endsWith("A_log") ? "ssm_a" : stem.endsWith("dt_bias") ? "ssm_dt.bias" : short[stem] + ".weight");
        const part = base.replace(/^blk\.\d+\./, "");
        let shape = t.shape.filter((n, i) => !(t.shape.length === 3 && i === 1)), x = t.trits;
        if (!x) { // what put() has made bytes of, all of it BF16
            x = Float32Array.from(new Uint16Array(t.bytes.buffer, t.bytes.byteOffset, t.bytes.length / 2), (h) => new Float32Array(new Uint32Array([h << 16]).buffer)[0]);
            if (hybrid && /norm\.weight$/.test(part) && part !== "ssm_norm.weight") x = x.map((v) => v + 1);
            if (part === "ssm_a") x = x.map((v) => -Math.exp(v));
        }
        const cols = shape[shape.length - 1];
        let scales = t.scales; // of rows as long as their number of groups
        if (scales && part === "attn_qkv.weight") scales = takeRows(scales, cols / group, behind(2 * keyDim, rowsOf(stateDim)));
        if (scales && part === "attn_gate.weight") scales = takeRows(scales, cols / group, rowsOf(stateDim));
        if (scales && part === "ssm_out.weight") scales = takeCols(scales, cols / group, order);
        if (part === "attn_qkv.weight" || part === "ssm_conv1d.weight") x = takeRows(x, cols, behind(2 * keyDim, rowsOf(stateDim)));
        if (part === "attn_gate.weight") x = takeRows(x, cols, rowsOf(stateDim));
        if (/^ssm_(alpha|beta)/.test(part)) x = takeRows(x, cols, order);
        if (part === "ssm_a" || part === "ssm_dt.bias") x = takeRows(x, 1, order);
        if (part === "ssm_out.weight") x = takeCols(x, cols, rowsOf(stateDim));
        let bytes = Buffer.from(Float32Array.from(x).buffer), type = t.trits ? 36 : 0;
        if (scales) ({ type, bytes } = blocksOf(x, scales, cols));
        else if (t.trits) { // I2_S: 128 values in 32 bytes, and the scale behind all of them
            bytes = Buffer.alloc(x.length / 4 + 32);
            x.forEach((v, f) => { bytes[32 * Math.floor(f / 128) + f % 32] |= (v + 1) << (6 - 2 * Math.floor(f % 128 / 32)); });
            bytes.writeFloatLE(0.125, x.length / 4);
        }
        made.push({ name: base, shape, type, bytes });
    }
    const u32 = (v) => { const b = Buffer.alloc(4); b.writeUInt32LE(v); return b; };
    const u64 = (v) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(v)); return b; };
    const f32 = (v) => { const b = Buffer.alloc(4); b.writeFloatLE(v); return b; };
    const string = (s) => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)]);
    const of = (v) => typeof v === "string" ? [u32(8), string(v)] : typeof v === "boolean" ? [u32(7), Buffer.from([v ? 1 : 0])]
        : Array.isArray(v) ? [u32(9), u32(typeof v[0] === "string" ? 8 : 5), u64(v.length), ...v.map((e) => typeof e === "string" ? string(e) : u32(e))]
        : v instanceof Float32Array ? [u32(6), f32(v[0])] : [u32(4), u32(v)];
    const real = (v) => new Float32Array([v]);
    const named = (o) => Object.fromEntries(Object.entries(o).map(([k, v]) => [`${arch}.${k}`, v]));
    const keys = { "general.architecture": arch, ...named({ block_count: layers, context_length: 512, embedding_length: dim, feed_forward_length: ffn, "attention.head_count": heads,
        "attention.head_count_kv": kvHeads, "attention.key_length": headDim, "attention.value_length": headDim, "attention.layer_norm_rms_epsilon": real(1e-5), "rope.freq_base": real(10000) }),
        ...(hybrid ? named({ "rope.dimension_count": headDim / 4, full_attention_interval: interval, "ssm.conv_kernel": kernel, "ssm.state_size": stateDim, "ssm.group_count": keyHeads,
            "ssm.time_step_rank": valueHeads, "ssm.inner_size": valueDim }) : {}), "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen35",
        "tokenizer.ggml.tokens": [...words, ...special], "tokenizer.ggml.token_type": [...words.map(() => 1), ...special.map(() => 3)], "tokenizer.ggml.merges": ["t h"],
        "tokenizer.ggml.bos_token_id": words.length, "tokenizer.ggml.eos_token_id": words.length + 1, "tokenizer.ggml.add_bos_token": true, "general.sampling.temp": real(0.6) };
    let at = 0;
    const pad = (b) => Buffer.concat([b, Buffer.alloc((32 - b.length % 32) % 32)]);
    const infos = made.map((t) => {
        const info = Buffer.concat([string(t.name), u32(t.shape.length), ...[...t.shape].reverse().map(u64), u32(t.type), u64(at)]);
        at += pad(t.bytes).length;
        return info;
    });
    const pairs = Object.entries(keys).map(([k, v]) => Buffer.concat([string(k), ...of(v)]));
    writeFileSync(path, Buffer.concat([pad(Buffer.concat([Buffer.from("GGUF"), u32(3), u64(made.length), u64(pairs.length), ...pairs, ...infos])), ...made.map((t) => pad(t.bytes))]));
}
if (encoding === "gguf") {
    writeGguf(dir + ".gguf");
    process.exit(0);
}

// ---- files
mkdirSync(dir, { recursive: true });
const json = (name, value) => writeFileSync(`${dir}/${name}`, JSON.stringify(value));
function safetensors(name, list) {
    const head = { __metadata__: { format: "pt" } };
    let at = 0;
    for (const [k, t] of list) {
        head[k] = { dtype: t.dtype, shape: t.shape, data_offsets: [at, at + t.bytes.length] };
        at += t.bytes.length;
    }
    const text = Buffer.from(JSON.stringify(head));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    writeFileSync(`${dir}/${name}`, Buffer.concat([length, text, ...list.map(([, t]) => t.bytes)]));
}
// As they are published: the text's part has a name, and what sees and what guesses ahead stand beside it.
if (encoding === "seeing") {
    for (const [k, t] of [...tensors])
        if (k.startsWith("model.")) { tensors.delete(k); tensors.set(k.replace("model.", "model.language_model."), t); }
    put("model.visual.blocks.0.norm1.weight", [4], asF32([1, 2, 3, 4]));
    put("mtp.fc.weight", [2, 2], asF32([1, 2, 3, 4]));
}
const list = [...tensors];
if (encoding === "shards") {
    const half = list.length >> 1, weight_map = {};
    [list.slice(0, half), list.slice(half)].forEach((part, i) => {
        const name = `model-0000${i + 1}-of-00002.safetensors`;
        safetensors(name, part);
        for (const [k] of part) weight_map[k] = name;
    });
    json("model.safetensors.index.json", { metadata: {}, weight_map });
} else safetensors("model.safetensors", list);

const online = encoding === "master", floats = grouped || encoding === "f32";
const config = {
    architectures: [{ bitnet: "BitNetForCausalLM", llama: "LlamaForCausalLM", qwen: "Qwen3ForCausalLM", hybrid: "Qwen3_5ForCausalLM" }[family]],
    hidden_act: family === "bitnet" ? "relu2" : "silu", hidden_size: dim, intermediate_size: ffn, num_hidden_layers: layers, num_attention_heads: heads,
    num_key_value_heads: kvHeads, head_dim: headDim, vocab_size: vocab, max_position_embeddings: 512, rms_norm_eps: 1e-5, rope_theta: 10000,
    tie_word_embeddings: family === "bitnet", eos_token_id: vocab - 2, bos_token_id: vocab - 3,
    ...(family === "llama" ? { rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 } } : {}),
    ...(family === "hybrid" ? { model_type: "qwen3_5_text", full_attention_interval: interval, linear_conv_kernel_dim: kernel, linear_key_head_dim: stateDim, linear_value_head_dim: stateDim,
        linear_num_key_heads: keyHeads, linear_num_value_heads: valueHeads, attn_output_gate: true, rope_parameters: { rope_type: "default", rope_theta: 10000, partial_rotary_factor: 0.25, mrope_section: [1, 1, 0] },
        layer_types: Array.from({ length: layers }, (_, l) => (l + 1) % interval ? "linear_attention" : "full_attention") } : {}),
    ...(floats ? {} : { quantization_config: { quant_method: "bitnet", linear_class: encoding === "divide" ? "bitlinear" : "autobitlinear", quantization_mode: online ? "online" : "offline" } }),
};
if (encoding === "seeing") {
    const { quantization_config, tie_word_embeddings, ...text_config } = config;
    json("config.json", { architectures: ["Qwen3_5ForConditionalGeneration"], model_type: "qwen3_5", quantization_config, tie_word_embeddings, text_config, vision_config: { depth: 1 } });
} else json("config.json", config);
json("generation_config.json", { eos_token_id: [vocab - 2, vocab - 1], temperature: 0.6, top_p: 0.9, do_sample: true });
json("tokenizer_config.json", { bos_token: special[0], eos_token: { content: special[1] }, ...(sentencepiece ? { added_tokens_decoder: Object.fromEntries(special.map((content, i) => [words.length + i, { content, special: true }])) } : {}), chat_template: "{% for m in messages %}{{ m['role'] | capitalize + ': ' + m['content'] | trim + '" + special[2] + "' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}" });
if (sentencepiece) {
    // A protocol buffer: pieces with scores and kinds, then how they were trained.
    const varint = (n) => Buffer.from(n < 128 ? [n] : [(n & 127) | 128, n >> 7]);
    const field = (number, b) => Buffer.concat([varint(number * 8 + 2), varint(b.length), b]);
    const float = (number, x) => { const b = Buffer.alloc(5, number * 8 + 5); b.writeFloatLE(x, 1); return b; };
    writeFileSync(`${dir}/tokenizer.model`, Buffer.concat([
        ...words.map((w, i) => field(1, Buffer.concat([field(1, Buffer.from(w)), float(2, -i), Buffer.from([24, i === 0 ? 2 : i < 257 ? 6 : 1])]))),
        field(2, Buffer.concat([Buffer.from([24, 2]), varint(35 * 8), Buffer.from([1])])),
        field(3, Buffer.from([24, 1, 32, 0])),
    ]));
} else json("tokenizer.json", {
    version: "1.0", normalizer: null,
    added_tokens: special.map((content, i) => ({ id: words.length + i, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: special[0], type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }], pair: [], special_tokens: {} },
    model: { type: "BPE", vocab: Object.fromEntries(words.map((w, i) => [w, i])), merges: encoding === "shards" ? [["t", "h"]] : ["t h"] },
});
