// SPDX-License-Identifier: MIT
//
// load.mjs - one bar of load.sh: measure, and print figure, target and verdict.
//
// Usage: load.mjs BAR TRIT-BENCH SECONDS TTFT-TARGET
//
// Rounds alternate between what is compared, so that a machine that drifts changes both; a figure
// is the median of its rounds.
//
import { spawn } from 'node:child_process';
import { url, request, metrics, total, until, ok, report } from '../e2e/lib.mjs';

const [bar, program, seconds, target] = process.argv.slice(2);
let missed = 0;

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const percentile = (list, p) =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * p / 100))];
const show = (x) => Number.isFinite(x) ? (x < 10 ? x.toFixed(2) : x.toFixed(0)) : '-';

function verdict(what, figure, most, unit = '', least = false) {
  const held = least ? figure >= most : figure <= most;
  missed += !held;
  console.log(`${bar.padEnd(9)} ${what.padEnd(52)} ${show(figure).padStart(7)} ${unit.padEnd(4)} ` +
              `${least ? 'at least' : 'at most '} ${show(most).padStart(6)}  ${held ? 'held' : 'MISSED'}`);
}

// One run of trit-bench load.
async function load(...options) {
  const child = spawn(program, ['load', '--url', url, '--json', ...options.map(String)],
                      { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (piece) => (text += piece));
  await new Promise((resolve) => child.on('close', resolve));
  const answer = JSON.parse(text), run = answer.runs[0];
  ok(`load ${options.join(' ')}: nothing failed`, run.failed === 0, JSON.stringify(run.failures));
  return { ...run, capacity: answer.capacities?.[0] };
}

async function rest() {
  await until('at rest', async () => {
    const m = await metrics();
    return total(m, 'tritd_requests_running') + total(m, 'tritd_requests_waiting') === 0;
  }, 120);
}

const text = (words) => Array.from({ length: words }, () =>
  Math.random().toString(36).slice(2, 7)).join(' ');

// A stream; on_event(now) for every event with text.  Resolves with its status and number of events.
async function stream(fields, on_event, signal) {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST', signal, headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stream: true, temperature: 0, ignore_eos: true, ...fields }) });
  let n = 0, rest = '';
  const decoder = new TextDecoder();
  try {
    for await (const piece of response.body) {
      rest += decoder.decode(piece, { stream: true });
      const parts = rest.split('\n\n');
      rest = parts.pop();
      for (const part of parts)
        if (part.startsWith('data: {')) {
          n++;
          on_event?.(performance.now());
        }
    }
  } catch (error) {
    if (error.name !== 'AbortError') throw error;
  }
  return { status: response.status, n };
}

const work = ['--prompt-tokens', '64', '--output-tokens', '16..48'];

const bars = {
  // Ten times what can be done, against the best of a ramp.
  async overload() {
    const options = [...work, '--first-within', target];
    await load('--clients', 32, '--seconds', 5, ...work); // what steps take is known then
    const first = await load('--rate', '1x', '--clients', 32, '--seconds', seconds, ...options);
    const capacity = first.rate, ramp = { 1: [first.goodput_tokens_per_second] };
    const over = [];
    for (const times of [10, 0.8, 1.3, 10, 2, 10]) {
      const run = await load('--rate', (times * capacity).toFixed(3), '--seconds', seconds, ...options);
      if (times === 10) over.push(run);
      else ramp[times] = [run.goodput_tokens_per_second];
      console.log(`  ${times}x of ${capacity.toFixed(1)}/s: ` +
                  `goodput ${show(run.goodput_tokens_per_second)}, in time ` +
                  `${show(run.in_time_tokens_per_second)} tokens/s, first text p50 ` +
                  `${show(run.first_text_ms.p50)} p99 ${show(run.first_text_ms.p99)} ms, ` +
                  `${run.completed} completed, ${run.refused} refused, p99 ${show(run.refusal_ms.p99)} ms`);
      await rest();
    }
    const peak = Math.max(...Object.values(ramp).map(median));
    verdict('goodput at ten times the capacity, share of the peak',
            median(over.map((r) => r.goodput_tokens_per_second)) / peak, 0.95, '', true);
    verdict('first text, p99', median(over.map((r) => r.first_text_ms.p99)), target * 1200, 'ms');
    verdict('refusal, p99', median(over.map((r) => r.refusal_ms.p99)), 5, 'ms');
    verdict('refusals without Retry-After', over.reduce((n, r) => n + r.refusals.reduce(
      (k, x) => k + x.n - x.with_retry_after, 0), 0), 0);
  },

  // One client of one tenant, alone and beside 64 of another.
  async fairness() {
    const modest = () => load('--key', `modest:1:${process.env.modest}`, '--seconds', seconds,
                              '--prompt-tokens', '64', '--output-tokens', '4');
    const alone = [], beside = [];
    for (let round = 0; round < 3; round++) {
      alone.push(await modest());
      const crowd = load('--key', `greedy:64:${process.env.greedy}`, '--seconds', +seconds + 3, ...work);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      beside.push(await modest());
      await crowd;
      await rest();
      const [a, b] = [alone.at(-1).first_text_ms, beside.at(-1).first_text_ms];
      console.log(`  alone p50 ${show(a.p50)} p99 ${show(a.p99)} of ${a.n}; ` +
                  `beside 64 p50 ${show(b.p50)} p99 ${show(b.p99)} ms of ${b.n}`);
    }
    const p99 = (runs) => median(runs.map((r) => r.first_text_ms.p99));
    verdict("first text, p99, times what it is alone", p99(beside) / p99(alone), 2);
  },

  // Others' time between tokens beside a thousand connections that do nothing, and 200 that never
  // read.  What those asked for has been computed, or they are stuck, before the others begin.
  async idle() {
    const some = ['--clients', 8, '--seconds', seconds, '--prompt-tokens', 64, '--output-tokens', 64];
    const before = [], beside = [];
    for (let round = 0; round < 3; round++) {
      before.push(await load(...some));
      const run = await load(...some, '--idle', 1000, '--stuck', 200, '--settle', 25);
      ok('they were there', run.idle.open === 1000 && run.stuck.open > 0,
         JSON.stringify([run.idle, run.stuck]));
      beside.push(run);
      await rest();
      console.log(`  between events p99 ${show(before.at(-1).between_events_ms.p99)}, ` +
                  `beside them ${show(run.between_events_ms.p99)} ms; stuck ones open ${run.stuck.open}`);
    }
    const p99 = (runs) => median(runs.map((r) => r.between_events_ms.p99));
    verdict('between events, p99, times what it was', p99(beside) / p99(before), 1.2);
  },

  // 8 streams, and a prompt of 8,000 tokens.
  async long() {
    const gaps = { before: [], during: [] };
    let phase = 'none';
    const end = new AbortController();
    const runs = Array.from({ length: 8 }, () => {
      let last = 0;
      return stream({ prompt: text(20), max_tokens: 8000 }, (now) => {
        if (last && gaps[phase]) gaps[phase].push(now - last);
        last = now;
      }, end.signal);
    });
    await new Promise((resolve) => setTimeout(resolve, 5000));
    phase = 'before';
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    phase = 'during';
    const began = performance.now();
    const ids = Array.from({ length: 8000 }, () => 300 + Math.floor(Math.random() * 30000));
    let slowest = 0, done = false;
    const prompt = request('/v1/completions', { body: { prompt: ids, max_tokens: 1 },
      signal: AbortSignal.timeout(600_000) }).then((r) => ((done = true), r));
    while (!done) { // Scraping waits for nobody.
      const asked = performance.now();
      await request('/metrics');
      slowest = Math.max(slowest, performance.now() - asked);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    ok('the prompt was read', (await prompt).status === 200);
    phase = 'none';
    end.abort();
    await Promise.all(runs);
    const [b, d] = [gaps.before, gaps.during];
    console.log(`  between events before p50 ${show(percentile(b, 50))} p99 ${show(percentile(b, 99))}, ` +
                `during p50 ${show(percentile(d, 50))} p99 ${show(percentile(d, 99))} ms of ${d.length}; ` +
                `8000 tokens in ${show((performance.now() - began) / 1000)} s`);
    verdict('between events, p99, times what it was', percentile(d, 99) / percentile(b, 99), 1.5);
    verdict('scraping meanwhile, slowest', slowest, 50, 'ms');
  },
};
await bars[bar]();
report();
process.exit(missed && process.env.STRICT === '1' ? 1 : 0);
