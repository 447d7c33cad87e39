// SPDX-License-Identifier: MIT
// y-folder.mjs - makes small folders of Hugging Face files: y-folder.mjs DIRECTORY KIND.
//
// Kinds that hold the same numbers must answer alike.  Trits and norms depend on names alone.  The
// width 340 is no multiple of a block of any encoding, as those of 1bitLLM's models are not.
import { mkdirSync, writeFileSync } from "node:fs";

const [dir, kind] = process.argv.slice(2);
// "sentencepiece" is "bitnet" with a tokenizer.model, "spllama" a "llama" with one, of a width that
// has whole bytes of signs.
const [named, encoding] = kind.split("-"), sentencepiece = named === "sentencepiece" || named === "spllama";
const family = { sentencepiece: "bitnet", spllama: "llama" }[named] ?? named;
const dim = 64, ffn = named === "spllama" ? 344 : 340, heads = 4, kvHeads = 2, headDim = 16, layers = 2;
const special = sentencepiece ? ["<s>", "</s>", "<end>"] : ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"];
if (process.argv[3].startsWith("qwen")) special.push("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>");

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

// ---- tensors as bytes
const asF32 = (x) => ["F32", Buffer.from(Float32Array.from(x).buffer)];
const asBf16 = (x) => ["BF16", Buffer.from(Uint16Array.from(x, (v) => new Uint32Array(new Float32Array([v]).buffer)[0] >>> 16).buffer)];
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
const table = (name, rows) => {
    const next = streamOf(name);
    put(name, [rows, dim], asBf16(Array.from({ length: rows * dim }, () => bf16(2 * next() - 1))));
};
function linear(name, rows, cols) {
    const { w, mean, trits } = master(name, rows * cols);
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
    if (family === "qwen") for (const h of ["q_norm", "k_norm"]) norm(`${at}self_attn.${h}`, headDim);
    for (const [n, rows, cols] of [["self_attn.q_proj", dim, dim], ["self_attn.k_proj", kvHeads * headDim, dim], ["self_attn.v_proj", kvHeads * headDim, dim], ["self_attn.o_proj", dim, dim],
        ["mlp.gate_proj", ffn, dim], ["mlp.up_proj", ffn, dim], ["mlp.down_proj", dim, ffn]]) linear(at + n, rows, cols);
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

const online = encoding === "master", floats = encoding === "f32";
json("config.json", {
    architectures: [{ bitnet: "BitNetForCausalLM", llama: "LlamaForCausalLM", qwen: "Qwen3ForCausalLM" }[family]],
    hidden_act: family === "bitnet" ? "relu2" : "silu", hidden_size: dim, intermediate_size: ffn, num_hidden_layers: layers, num_attention_heads: heads,
    num_key_value_heads: kvHeads, head_dim: headDim, vocab_size: vocab, max_position_embeddings: 512, rms_norm_eps: 1e-5, rope_theta: 10000,
    tie_word_embeddings: family === "bitnet", eos_token_id: vocab - 2, bos_token_id: vocab - 3,
    ...(family === "llama" ? { rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 } } : {}),
    ...(floats ? {} : { quantization_config: { quant_method: "bitnet", linear_class: encoding === "divide" ? "bitlinear" : "autobitlinear", quantization_mode: online ? "online" : "offline" } }),
});
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
