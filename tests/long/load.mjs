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
import http from 'node:http';
import { bar as tell, url, host, port, request, metrics, total, until, ok, report } from '../e2e/lib.mjs';

const [bar, program, seconds, target] = process.argv.slice(2);
const rounds = +(process.env.ROUNDS || 3), settle = process.env.SETTLE || 25, idle = +process.env.IDLE;
const depth = +(process.env.DEPTH || 7000);
let missed = 0;

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const percentile = (list, p) =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * p / 100))];
const show = (x) => Number.isFinite(x) ? (x < 10 ? x.toFixed(2) : x.toFixed(0)) : '-';

const numbers = { overload: 11, fairness: 35, idle: 23, slow: 8, health: 36, logs: 39 }; // in doc/reliability.md

function verdict(what, figure, most, unit = '', least = false) {
  const held = least ? figure >= most : figure <= most;
  missed += !held;
  if (numbers[bar])
    tell(numbers[bar], `${what}: ${show(figure)} ${unit}`.trim(), `${least ? 'at least' : 'at most'} ${show(most)} ${unit}`.trim(),
         held ? 'ok' : 'missed');
  console.log(`${bar.padEnd(9)} ${what.padEnd(66)} ${show(figure).padStart(7)} ${unit.padEnd(4)} ` +
              `${least ? 'at least' : 'at most '} ${show(most).padStart(6)}  ${held ? 'held' : 'MISSED'}`);
}

// Runs of trit-bench load, with prompts that no other has: those would be in the cache.
let seed = 0;
async function measure(...options) {
  const child = spawn(program, ['load', '--json', '--seed', ++seed, ...options.map(String)],
                      { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (piece) => (text += piece));
  await new Promise((resolve) => child.on('close', resolve));
  const answer = JSON.parse(text);
  for (const run of answer.runs)
    ok(`load ${options.join(' ')}: nothing failed`, run.failed === 0, JSON.stringify(run.failures));
  return answer;
}

async function load(...options) {
  const answer = await measure('--url', url, ...options);
  return { ...answer.runs[0], capacity: answer.capacities?.[0] };
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

// Others' time between events beside connections that are no use.
async function beside(most, ...useless) {
  const some = ['--clients', 8, '--seconds', seconds, '--prompt-tokens', 64, '--output-tokens', 64];
  const ratios = [];
  for (let round = 0; round < rounds; round++) {
    const before = await load(...some);
    const run = await load(...some, ...useless, '--settle', settle);
    ok('they were there', useless[0] === '--idle' ? run.idle.open === idle : run.stuck.open > 0,
       JSON.stringify([run.idle, run.stuck]));
    await rest();
    const [b, d] = [before.between_events_ms, run.between_events_ms];
    ok('there are gaps beside them: SETTLE is long enough', d.n > 0);
    ratios.push(d.p99 / b.p99);
    console.log(`  between events p50 ${show(b.p50)} p99 ${show(b.p99)}, beside them p50 ${show(d.p50)} ` +
                `p99 ${show(d.p99)} ms of ${d.n}; ${useless.join(' ')}`);
  }
  verdict(`between events, p99, times what it was, beside ${useless.join(' ').replaceAll('--', '')}`, median(ratios), most);
}

const bars = {
  // Ten times what can be done, each round beside what 32 clients get who ask when they are answered.
  async overload() {
    const options = [...work, '--first-within', target];
    await load('--clients', 32, '--seconds', 5, ...work); // what steps take is known then
    const shares = [], over = [];
    for (let round = 0; round < rounds; round++) {
      const full = await load('--clients', 32, '--seconds', seconds, ...options);
      await rest();
      const run = await load('--rate', (10 * full.completed / full.seconds).toFixed(3), '--seconds', seconds, ...options);
      await rest();
      over.push(run);
      shares.push(run.goodput_tokens_per_second / full.goodput_tokens_per_second);
      console.log(`  ${show(full.goodput_tokens_per_second)} tokens/s, at 10 times the rate ` +
                  `${show(run.goodput_tokens_per_second)}, in time ` +
                  `${show(run.in_time_tokens_per_second)}; first text p50 ` +
                  `${show(run.first_text_ms.p50)} p99 ${show(run.first_text_ms.p99)} ms of ` +
                  `${run.first_text_ms.n}; refused p50 ${show(run.refusal_ms.p50)} p99 ` +
                  `${show(run.refusal_ms.p99)} ms of ${run.refused}`);
    }
    verdict('goodput at ten times the capacity, share of it', median(shares), 0.95, '', true);
    verdict('first text, p99', median(over.map((r) => r.first_text_ms.p99)), target * 1200, 'ms');
    verdict('refusal, p99', median(over.map((r) => r.refusal_ms.p99)), 5, 'ms');
    verdict('refusals without Retry-After', over.reduce((n, r) => n + r.refusals.reduce(
      (k, x) => k + x.n - x.with_retry_after, 0), 0), 0);
  },

  // One client of one tenant, alone and beside 64 of another; twice as long there, for as many samples.
  async fairness() {
    const modest = (time) => load('--key', `modest:1:${process.env.modest}`, '--seconds', time,
                                  '--prompt-tokens', '64', '--output-tokens', '1');
    const ratios = [];
    for (let round = 0; round < rounds; round++) {
      const alone = await modest(seconds);
      const crowd = load('--key', `greedy:64:${process.env.greedy}`, '--seconds', 2 * seconds + 3, ...work);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const beside = await modest(2 * seconds);
      await crowd;
      await rest();
      const [a, b] = [alone.first_text_ms, beside.first_text_ms];
      ratios.push(b.p99 / a.p99);
      console.log(`  alone p50 ${show(a.p50)} p99 ${show(a.p99)} of ${a.n}; ` +
                  `beside 64 p50 ${show(b.p50)} p99 ${show(b.p99)} ms of ${b.n}`);
    }
    verdict("first text, p99, times what it is alone", median(ratios), 2);
    // Jain's index of the tokens of two who both want more than half, from when both have all the
    // places they get until the clients stop to ask: what is left then is of who has more of them.
    const done = async () => {
      const m = await metrics();
      return ['greedy', 'modest'].map((key) => ['prompt', 'generated'].reduce(
        (sum, kind) => sum + total(m, `tritd_key_${kind}_tokens_total`, `key="${key}"`), 0));
    };
    const both = load('--key', `greedy:64:${process.env.greedy}`, '--key', `modest:32:${process.env.modest}`,
                      '--seconds', seconds, ...work);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    const from = await done();
    await new Promise((resolve) => setTimeout(resolve, (seconds - 4) * 1000));
    const tokens = (await done()).map((n, i) => n - from[i]);
    await both;
    console.log(`  tokens of 64 and of 32 clients: ${tokens.join(', ')}`);
    verdict("Jain's index of their tokens", tokens.reduce((a, b) => a + b) ** 2 /
            (tokens.length * tokens.reduce((a, b) => a + b * b, 0)), 0.95, '', true);
  },

  // Connections that do nothing.
  async idle() {
    await beside(1.1, '--idle', idle);
  },

  // 200 that never read.  What those asked for has been computed, or they are stuck, before the others
  // begin.
  async slow() {
    await beside(1.2, '--stuck', 200);
  },

  // A log that nobody reads beside one that is read, both under the same flood of bad requests.
  async logs() {
    const urls = [process.env.READ_URL, url], flood = { going: true, sent: 0 };
    const dropped = async () => total(await metrics(), 'tritd_log_dropped_total', 'reason="blocked"');
    const bad = (base, agent) => new Promise((resolve, reject) => {
      const { hostname, port: at } = new URL(base);
      http.request({ host: hostname, port: at, path: '/v1/completions', method: 'POST', agent }, (response) => {
        ok('a bad request is refused', response.statusCode === 400);
        response.resume().on('end', () => resolve(flood.sent++));
      }).on('error', reject).end('{');
    });
    // A thousand a second each, as far as they are answered so soon.
    const floods = urls.map(async (base) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
      while (flood.going) {
        const next = new Promise((resolve) => setTimeout(resolve, 10));
        await Promise.all(Array.from({ length: 10 }, () => bad(base, agent)));
        await next;
      }
      agent.destroy();
    });
    const begun = performance.now(), ratios = [];
    // Of one cause few lines are written, so it is other lines that fill the pipe.
    await until('the pipe is full', async () => {
      for (let i = 0; i < 100; i++) await request('/v1/models');
      return await dropped() > 0;
    });
    for (let round = 0; round < rounds; round++) {
      const [read, blocked] = (await measure(...urls.flatMap((u) => ['--url', u]), '--clients', 8, '--seconds', seconds,
                                             '--prompt-tokens', 64, '--output-tokens', 64)).runs.map((r) => r.between_events_ms);
      ratios.push(blocked.p99 / read.p99);
      console.log(`  between events p50 ${show(read.p50)} p99 ${show(read.p99)}, where nobody reads the log ` +
                  `p50 ${show(blocked.p50)} p99 ${show(blocked.p99)} ms of ${blocked.n}`);
    }
    flood.going = false;
    await Promise.all(floods);
    const rate = flood.sent / (performance.now() - begun) * 1000;
    console.log(`  ${flood.sent} bad requests, ${show(rate)} a second; ${await dropped()} lines were lost`);
    verdict(`between events, p99, log blocked, ${flood.sent} bad requests, times what it is with one that is read`,
            median(ratios), 1.05);
  },

  // Both together.
  async both() {
    await beside(1.2, '--idle', idle, '--stuck', 200);
  },

  // Health and metrics while prompts are read that nobody has read before, one behind the other.
  async health() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const get = (path) => new Promise((resolve, reject) => {
      const from = performance.now();
      http.get({ host, port, path, agent }, (response) => {
        response.resume();
        response.on('end', () => resolve([performance.now() - from, response.statusCode]));
      }).on('error', reject);
    });
    const times = { '/healthz': [], '/metrics': [] };
    let going = true;
    const reading = (async () => {
      while (going) {
        const prompt = Array.from({ length: 4000 }, () => 300 + Math.floor(Math.random() * 30000));
        await stream({ prompt, max_tokens: 1 }, null, AbortSignal.timeout(1000 * seconds * rounds)).catch(() => {});
      }
    })();
    await until('a prompt is read', async () => total(await metrics(), 'tritd_requests_running') > 0);
    for (let i = 0, end = Date.now() + seconds * rounds * 1000; Date.now() < end; i++) {
      const path = i % 10 ? '/healthz' : '/metrics';
      const [ms, status] = await get(path);
      ok(`${path}: status`, status === 200);
      times[path].push(ms);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    going = false;
    const read = total(await metrics(), 'tritd_prompt_tokens_total');
    await reading;
    agent.destroy();
    ok('prompts were read meanwhile', read > 1000, `${read}`);
    for (const [path, list] of Object.entries(times))
      console.log(`  ${path} p50 ${show(percentile(list, 50))} p99 ${show(percentile(list, 99))} max ` +
                  `${show(Math.max(...list))} ms of ${list.length}; ${read} prompt tokens read`);
    verdict(`health, p99.9 of ${times['/healthz'].length} beside prompts of 4,000`, percentile(times['/healthz'], 99.9), 20, 'ms');
    verdict('metrics, the same, p99', percentile(times['/metrics'], 99), 20, 'ms');
  },

  // 8 streams and a prompt of 8,000 tokens beside them: how it begins, and, of a second one whose
  // first DEPTH have been read before, how it ends, where attention makes every token dear.
  async long() {
    const ids = (n) => Array.from({ length: n }, () => 300 + Math.floor(Math.random() * 30000));
    const known = ids(depth), from = performance.now();
    await request('/v1/completions', { body: { prompt: known, max_tokens: 1 }, signal: AbortSignal.timeout(600_000) });
    console.log(`  ${depth} tokens alone in ${show((performance.now() - from) / 1000)} s`);
    const end = new AbortController(), gaps = { none: [], before: [], begin: [], between: [], deep: [], after: [] };
    let phase = 'none';
    const runs = Array.from({ length: 8 }, () => {
      let last = 0;
      return stream({ prompt: text(20), max_tokens: 4000 }, (now) => {
        if (last) gaps[phase].push(now - last);
        last = now;
      }, end.signal);
    });
    await new Promise((resolve) => setTimeout(resolve, 4000));
    let slowest = 0;
    const read = async () => total(await metrics(), 'tritd_prompt_tokens_total');
    // The gaps while a prompt is read, for so many seconds at most; resolves with its tokens a second.
    const during = async (what, prompt) => {
      const before = await read(), began = performance.now(), cut = new AbortController();
      let done = !prompt;
      phase = what;
      const answer = prompt && request('/v1/completions', { body: { prompt, max_tokens: 1 }, signal: cut.signal })
        .then((r) => (done = true, ok('the prompt was read', r.status === 200)), () => {});
      while (performance.now() - began < seconds * 1000 && !(done && prompt)) {
        const asked = performance.now();
        await request('/metrics'); // which waits for nobody
        slowest = Math.max(slowest, performance.now() - asked);
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      const rate = (await read() - before) / (performance.now() - began) * 1000;
      phase = 'none';
      cut.abort();
      await answer;
      const g = gaps[what];
      console.log(`  ${what.padEnd(6)} between events p50 ${show(percentile(g, 50))} p99 ` +
                  `${show(percentile(g, 99))} ms of ${g.length}; ${show(rate)} prompt tokens/s`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return rate;
    };
    await during('before');
    await during('begin', ids(8000));
    await during('between');
    const rate = await during('deep', [...known, ...ids(1000)]);
    await during('after');
    end.abort();
    await Promise.all(runs);
    // The streams grow, and with them what each of their own tokens takes: so what it was is what
    // it was just before and just after.
    const p99 = (what, ...without) => percentile(gaps[what], 99) /
      percentile(without.flatMap((w) => gaps[w]), 99);
    verdict('between events, p99, times what it is without', p99('begin', 'before', 'between'), 1.5);
    verdict(`the same behind ${depth} tokens`, p99('deep', 'between', 'after'), 1.5);
    verdict('prompt tokens a second there', rate, 10, '', true);
    verdict('scraping meanwhile, slowest', slowest, 50, 'ms');
  },
};
await bars[bar]();
report();
process.exit(missed && process.env.STRICT === '1' ? 1 : 0);
