// SPDX-License-Identifier: MIT
//
// w-embedders.mjs - a model that only embeds: vectors of an independent reference, and refusals.
//
import { readFileSync } from 'node:fs';
import { equal, ok, report, request, url } from './lib.mjs';

const cases = JSON.parse(readFileSync(process.env.ANSWERS, 'utf8')).cases[process.env.CASES];
const ask = async (input, more) => (await request('/v1/embeddings', { body: { input, ...more } })).json;
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

// The bounds are those of tests/golden/embed.c: keys and values are binary16 here.
const close = (name, found, want) => {
  equal(`${name}: dimensions`, found.length, want.length);
  ok(`${name}: length 1`, Math.abs(Math.sqrt(dot(found, found)) - 1) < 1e-5);
  const most = Math.max(...found.map((x, i) => Math.abs(x - want[i])));
  ok(`${name}: cosine`, dot(found, want) >= 0.9995, dot(found, want));
  ok(`${name}: numbers`, most <= 0.0125, most);
};

// ---- texts, by the file's tokenizer and with the EOS that it wants; ids as they are
for (const [i, { text, ids, embedding }] of cases.entries()) {
  const answer = await ask(text ?? ids);
  close(`case ${i}`, answer.data[0].embedding, embedding);
  equal(`case ${i}: tokens`, answer.usage.prompt_tokens, ids.length);
}
const all = await ask(cases.map((c) => c.ids));
for (const [i, c] of cases.entries()) close(`case ${i} in company`, all.data[i].embedding, c.embedding);

// ---- Matryoshka: the first numbers, with a length of 1 again
const short = (await ask(cases[0].ids, { dimensions: 16 })).data[0].embedding;
const cut = cases[0].embedding.slice(0, 16);
close('dimensions', short, cut.map((x) => x / Math.sqrt(dot(cut, cut))));

// ---- it does not write, and says so before anything else
const message = [{ role: 'user', content: 'hello' }];
for (const [path, body] of [
  ['/v1/chat/completions', { messages: message }],
  ['/v1/chat/completions', { messages: message, stream: true }],
  ['/v1/completions', { prompt: 'hello', max_tokens: 1 }],
  ['/v1/responses', { input: 'hello' }]]) {
  const { status, json } = await request(path, { body });
  equal(`${path}: status`, status, 400);
  equal(`${path}: param`, json.error.param, 'model');
  ok(`${path}: message`, /trained to embed.*\/v1\/embeddings/.test(json.error.message),
     json.error.message);
}
const [model] = (await request('/v1/models')).json.data;
equal('embeds_only', model.meta.embeds_only, true);
equal('the page', (await fetch(url + '/')).status, 200);
report();
