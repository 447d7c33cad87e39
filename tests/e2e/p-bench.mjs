// SPDX-License-Identifier: MIT
//
// p-bench.mjs - trit-bench load against a daemon with a short queue: what it counts is what the
// daemon counted.
//
// Usage: p-bench.mjs PROGRAM
//
import { spawnSync } from 'node:child_process';
import { equal, metrics, ok, report, total, until, url } from './lib.mjs';

const [program] = process.argv.slice(2);

function load(...options) {
  const { status, stdout, stderr } =
    spawnSync(program, ['load', '--url', url, '--json', ...options], { encoding: 'utf8' });
  ok(`load ${options.join(' ')}`, stdout.startsWith('{'), `: ${stderr}`);
  return { status, ...JSON.parse(stdout) };
}

// The daemon's counters, once it is at rest: a client has its last byte before they are final.
async function counters() {
  let map;
  await until('at rest', async () => {
    map = await metrics();
    return total(map, 'tritd_requests_running') + total(map, 'tritd_requests_waiting') === 0;
  });
  return {
    prompt: total(map, 'tritd_prompt_tokens_total') +
      total(map, 'tritd_cached_prompt_tokens_total'),
    generated: total(map, 'tritd_generated_tokens_total'),
    length: total(map, 'tritd_requests_total', 'finish_reason="length"'),
    refused: total(map, 'tritd_http_requests_total', 'status="429"'),
  };
}

function sums(name, t) {
  equal(`${name}: requests`, t.completed + t.refused + t.failed, t.requests);
  equal(`${name}: refusals`, t.refusals.reduce((n, r) => n + r.n, 0), t.refused);
  equal(`${name}: failures`, Object.values(t.failures).reduce((n, f) => n + f, 0), t.failed);
  equal(`${name}: whole requests`, t.request_ms.n, t.completed);
  equal(`${name}: times of refusals`, t.refusal_ms.n, t.refused);
  ok(`${name}: percentiles`, t.request_ms.p50 <= t.request_ms.p90 &&
     t.request_ms.p90 <= t.request_ms.p99);
  equal(`${name}: events`, t.first_text_ms.n + t.between_events_ms.n, t.events);
}

// The sums, and each counter beside the daemon's.
async function measured(...options) {
  const before = await counters();
  const answer = load(...options);
  const after = await counters();
  const run = answer.runs[0], asked = answer.calibrations[0];
  sums('all', run);
  equal('generated tokens', after.generated - before.generated,
        run.generated_tokens + asked.generated_tokens);
  equal('prompt tokens', after.prompt - before.prompt, run.prompt_tokens + asked.prompt_tokens);
  equal('answers', after.length - before.length, run.completed + 1);
  equal('refusals', after.refused - before.refused, run.refused);
  equal('usage', run.completed_with_usage, run.completed);
  return answer;
}

// ---- a closed loop that fits
const lengths = ['--prompt-tokens', '16..48', '--output-tokens', 'lognormal:12:0.5'];
const first = await measured('--clients', '4', '--requests', '30', '--seed', '5', ...lengths);
equal('all completed', [first.status, first.runs[0].completed], [0, 30]);
ok('lengths', first.runs[0].generated_tokens > 30 * 4 && first.runs[0].generated_tokens < 30 * 60);
ok('prompts are about as long as asked for', first.runs[0].prompt_tokens > 30 * 20 &&
   first.runs[0].prompt_tokens < 30 * 48, first.runs[0].prompt_tokens);

// ---- the same seed is the same work, another one is not
const tokens = (run) => [run.prompt_tokens, run.generated_tokens];
const again = await measured('--clients', '3', '--requests', '30', '--seed', '5', ...lengths);
equal('same seed', tokens(again.runs[0]), tokens(first.runs[0]));
const other = await measured('--clients', '3', '--requests', '30', '--seed', '6', ...lengths);
ok('other seed', tokens(other.runs[0]).join() !== tokens(first.runs[0]).join());

// ---- more clients than the queue takes, in groups
const crowd = await measured('--key', 'few:2', '--key', 'many:38:sk-0', '--requests', '80',
                             '--output-tokens', '8');
const run = crowd.runs[0];
equal('a refusal is no failure', crowd.status, 0);
ok('some were refused', run.refused > 0 && run.completed > 0);
equal('with what', run.refusals.map((r) => [r.status, r.with_retry_after]), [[429, run.refused]]);
equal('groups', run.groups.map((g) => [g.name, g.clients]), [['few', 2], ['many', 38]]);
for (const g of run.groups) sums(g.name, g);
for (const field of ['requests', 'completed', 'refused', 'generated_tokens', 'events'])
  equal(`sum of groups: ${field}`, run.groups.reduce((n, g) => n + g[field], 0), run[field]);

// ---- an open loop: what is not sent is said
const open = await measured('--rate', '100', '--requests', '50', '--output-tokens', '4');
equal('arrivals', [open.runs[0].requests + open.runs[0].unsent, open.runs[0].unsent], [50, 0]);
const full = await measured('--rate', '100000', '--requests', '50', '--in-flight', '2',
                            '--output-tokens', '4');
equal('arrivals and room', full.runs[0].requests + full.runs[0].unsent, 50);
ok('not all were sent', full.runs[0].unsent > 0);
const times = load('--rate', '3x', '--clients', '2', '--seconds', '0.5', '--output-tokens', '4');
const capacity = times.capacities[0];
equal('capacity: requests', capacity.completed, 8);
ok('rate', Math.abs(times.runs[0].rate / (3 * capacity.completed / capacity.seconds) - 1) < 0.02);

// ---- nothing works: said, counted, status 1
const lost = load('--clients', '2', '--requests', '4', '--timeout', '0.01', '--output-tokens', '900');
ok('time-outs', lost.runs[0].failures.timeout > 0 && lost.status === 1);
sums('time-outs', lost.runs[0]);
const long = load('--requests', '3', '--prompt-tokens', '9000');
equal('too long', [long.runs[0].refused, long.runs[0].refusals[0].status,
                   long.runs[0].refusals[0].with_retry_after], [3, 400, 0]);

// ---- the same server twice: a comparison
const two = load('--url', url, '--rounds', '2', '--clients', '2', '--requests', '4');
equal('runs', two.runs.map((r) => r.title),
      ['round 1 of 2', 'round 1 of 2', 'round 2 of 2', 'round 2 of 2']);
equal('the same work', two.runs[0].prompt_tokens, two.runs[1].prompt_tokens);
const goodput = two.compare.filter((c) => c.figure === 'goodput');
equal('ratio of the first', goodput[0].ratio, 1);
ok('ratio of the second', Math.abs(goodput[1].ratio - goodput[1].median / goodput[0].median) < 1e-9);

// ---- idle and stuck connections beside the work
const held = load('--clients', '2', '--idle', '60', '--stuck', '3', '--seconds', '0.5');
equal('idle', [held.runs[0].idle.wanted, held.runs[0].idle.open, held.runs[0].idle.answered],
      [60, 60, 60]);
equal('stuck', [held.runs[0].stuck.wanted, held.runs[0].stuck.open], [3, 3]);
ok('others go on', held.runs[0].completed > 0 && held.runs[0].failed === 0);
report();
