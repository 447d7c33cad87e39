// SPDX-License-Identifier: MIT
//
// tenants.mjs ROUNDS - times to the answer, as a curious tenant sees them.
//
// In each round a victim sends a prompt of its own.  Then, in an order of chance, the curious one
// sends that prompt and one that nobody has sent: two samples that shall not differ.  The victim
// sends its prompt again, and a new one: two that shall.  No prompt is measured twice.
//
import { bar, bearer, ok, report, request, seeded } from './lib.mjs';

const rounds = Number(process.argv[2]);
const { victim, curious } = process.env;
const random = seeded();

// Tokens, so that every prompt is equally long.
const TOKENS = 128;
const prompt = () => Array.from({ length: TOKENS }, () => random(256));

// Milliseconds until a prompt is answered with one token.
async function time(key, tokens) {
  const body = JSON.stringify({ prompt: tokens, max_tokens: 1, temperature: 0, ignore_eos: true });
  const start = performance.now();
  const { status, text } = await request('/v1/completions', { body, headers: bearer(key) });
  const ms = performance.now() - start;
  if (status !== 200) throw new Error(`status ${status}: ${text}`);
  return ms;
}

// The largest distance between the distributions of two samples, and the probability that chance
// alone makes one as large (the series of Kolmogorov, with the correction of M. A. Stephens, 1970).
export function kolmogorovSmirnov(a, b) {
  const x = [...a].sort((p, q) => p - q);
  const y = [...b].sort((p, q) => p - q);
  let d = 0;
  for (let i = 0, k = 0; i < x.length && k < y.length;) {
    const at = Math.min(x[i], y[k]);
    while (i < x.length && x[i] <= at) i++;
    while (k < y.length && y[k] <= at) k++;
    d = Math.max(d, Math.abs(i / x.length - k / y.length));
  }
  const root = Math.sqrt((x.length * y.length) / (x.length + y.length));
  const lambda = (root + 0.12 + 0.11 / root) * d;
  let p = 0;
  for (let j = 1; j <= 100; j++)
    p += (j % 2 ? 2 : -2) * Math.exp(-2 * j * j * lambda * lambda);
  return { d, p: lambda < 0.2 ? 1 : Math.min(Math.max(p, 0), 1) };
}

const median = (a) => [...a].sort((p, q) => p - q)[a.length >> 1];

// ---- the statistic itself: equal samples, samples that lie apart, and a value from a table: of two
// samples of 10, D = 0.7 has p = 0.0123 (asymptotic with correction: 0.0069), D = 0.3 about 0.68
const ramp = Array.from({ length: 10 }, (_, i) => i);
ok('equal samples', kolmogorovSmirnov(ramp, ramp).p === 1);
ok('samples apart', kolmogorovSmirnov(ramp, ramp.map((v) => v + 10)).d === 1);
const shifted = kolmogorovSmirnov(ramp, ramp.map((v) => v + 2.5));
ok('shifted samples', Math.abs(shifted.d - 0.3) < 1e-9 && Math.abs(shifted.p - 0.68) < 0.05,
  JSON.stringify(shifted));

const times = { asked: [], unknown: [], again: [], fresh: [] };
for (let i = 0; i < 20; i++) await time(i % 2 ? victim : curious, prompt());
for (let i = 0; i < rounds; i++) {
  const own = prompt();
  await time(victim, own);
  const probes = [['asked', curious, own], ['unknown', curious, prompt()]];
  const repeats = [['again', victim, own], ['fresh', victim, prompt()]];
  if (random(2)) probes.reverse();
  if (random(2)) repeats.reverse();
  for (const [name, key, tokens] of [...probes, ...repeats])
    times[name].push(await time(key, tokens));
}
for (const [name, list] of Object.entries(times))
  console.log(`${name.padEnd(8)} median ${median(list).toFixed(3)} ms`);
const others = kolmogorovSmirnov(times.asked, times.unknown);
const same = kolmogorovSmirnov(times.again, times.fresh);
const show = ({ d, p }) => `D=${d.toFixed(4)} p=${p.toExponential(2)}`;
console.log(`between tenants ${show(others)}, within a tenant ${show(same)}, n=${rounds}`);
bar(17, `n=${rounds}: between tenants ${show(others)}, within one ${show(same)}`, 'p > 0.01; within one p < 1e-6',
  others.p <= 0.01 || same.p >= 1e-6 ? 'FAILED' : rounds < 1000 ? 'short' : 'ok');
ok('the prompt of another tenant cannot be told', others.p > 0.01, show(others));
ok('one of its own can', same.p < 1e-6, show(same));
report();
