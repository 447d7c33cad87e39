// SPDX-License-Identifier: MIT
//
// d-concurrent.mjs record FILE: 32 different requests one after the other, their answers to FILE.
// d-concurrent.mjs compare FILE [N]: the same 32, or the first N, at once; every text, token and
// logprob must be equal.
//
import { readFile, writeFile } from 'node:fs/promises';
import { equal, ok, request, events, metrics, total, report } from './lib.mjs';

const words = ['river', 'lamp', 'seven', 'walks', 'under', 'green', 'tower', 'bread'];

// Prompts of 1 to some 200 words, greedy and sampled, whole and streamed, with every kind of knob.
function body(i) {
  const prompt = Array.from({ length: 1 + ((i * 37) % 199) }, (_, k) => words[(i + k * k) % 8]);
  const b = {
    prompt: `${i} ${prompt.join(' ')}`,
    max_tokens: 8 + (i % 5) * 8,
    logprobs: 2,
    return_tokens_as_token_ids: true,
    ignore_eos: true,
    stream: i % 2 === 1,
  };
  if (i % 4 === 0) b.temperature = 0;
  else Object.assign(b, { temperature: 0.9, seed: 1000 + i });
  if (i % 3 === 0) b.top_p = 0.9;
  if (i % 5 === 0) b.top_k = 20;
  if (i % 7 === 0) b.repetition_penalty = 1.2;
  if (i % 8 === 3) b.presence_penalty = 0.5;
  return b;
}

// What an answer says, without id and time, and the same for both ways of sending it.
async function answer(i) {
  const { status, text, json } = await request('/v1/completions', { body: body(i) });
  if (status !== 200) throw new Error(`request ${i}: ${status} ${text}`);
  const choices = body(i).stream ? events(text).map((e) => e.choices[0]) : json.choices;
  const said = { text: '', tokens: [], logprobs: [], top: [], reason: null };
  for (const c of choices) {
    said.text += c.text;
    said.tokens.push(...(c.logprobs?.tokens ?? []));
    said.logprobs.push(...(c.logprobs?.token_logprobs ?? []));
    said.top.push(...(c.logprobs?.top_logprobs ?? []));
    said.reason = c.finish_reason ?? said.reason;
  }
  return said;
}

const [mode, file, count = 32] = process.argv.slice(2);
const all = Array.from({ length: Number(count) }, (_, i) => i);
if (mode === 'record') {
  const alone = [];
  for (const i of all) alone.push(await answer(i));
  for (const i of all) equal(`request ${i}: tokens`, alone[i].tokens.length, body(i).max_tokens);
  ok('the answers differ', new Set(alone.map((a) => a.tokens.join())).size > 16);
  await writeFile(file, JSON.stringify(alone));
} else {
  const alone = JSON.parse(await readFile(file));
  const together = await Promise.all(all.map(answer));
  for (const i of all) equal(`request ${i} among others`, together[i], alone[i]);
  // Without this the test could pass on a server that takes one after the other.
  const m = await metrics();
  const batches = total(m, 'tritd_batch_sequences_count');
  const single = total(m, 'tritd_batch_sequences_bucket', 'le="1"');
  ok('some steps computed several sequences', batches > single, `${single} of ${batches}`);
}
report();
