// SPDX-License-Identifier: MIT
//
// stats.js - the live view of the server: /metrics once a second while somebody looks, and the list of
// requests while there are any.
//
import { $, bytes, count, el, percent, rate, say, seconds } from './dom.js';
import { json, text } from './api.js';
import { difference, histogram, parse, total } from './metrics.js';
import { histogramChart, memoryBar, sparkline } from './charts.js';
import { errorBox } from './answer.js';

const PERIOD = 1000;
const KEPT = 60; // readings

const tiles = [
  { id: 'running', name: 'Running', of: (m) => total(m, 'tritd_requests_running'), show: count },
  { id: 'queued', name: 'Queued', of: (m) => total(m, 'tritd_requests_waiting'), show: count },
  { id: 'batch', name: 'Batch', unit: 'sequences in a step', show: rate,
    of: (m, d) => d('tritd_batch_sequences_sum') / d('tritd_batch_sequences_count') || 0 },
  { id: 'kv', name: 'KV cache', unit: 'of its pages', of: (m) => total(m, 'tritd_kv_usage_ratio'),
    show: (p) => (p === 0 ? '0 %' : percent(p)) },
  { id: 'generated', name: 'Generated', unit: 'tokens/s', show: rate,
    of: (m, d, dt) => d('tritd_generated_tokens_total') / dt },
  { id: 'prompt', name: 'Prompts', unit: 'tokens/s', show: rate,
    of: (m, d, dt) => d('tritd_prompt_tokens_total') / dt },
];

const latencies = [
  { name: 'Time to first token', metric: 'tritd_time_to_first_token_seconds' },
  { name: 'Between tokens', metric: 'tritd_inter_token_latency_seconds' },
  { name: 'In the queue', metric: 'tritd_queue_seconds' },
];

let timer = null;
let looking = false; // the tab is open
let now = null; // { at, all }: the last reading
let first = null; // the first one of this page
let sinceHere = false; // histograms since the page was opened, not since the server was started
const history = new Map(tiles.map(({ id }) => [id, []]));
const rows = new Map(); // id of a request -> its row

// ------------------------------------------------------------------ the frame, made once

function frame() {
  const since = el('select', { id: 'since', 'aria-label': 'Latencies since' },
                   el('option', { value: 'start' }, 'since the start'),
                   el('option', { value: 'here' }, 'since this page was opened'));
  since.addEventListener('change', () => {
    sinceHere = since.value === 'here';
    drawLatencies();
  });
  $('stats').append(
    el('div', { id: 'stats-error' }),
    el('dl', { class: 'tiles' }, ...tiles.map((tile) => el('div', { class: 'card tile', id: `tile-${tile.id}` },
      el('dt', {}, tile.name), el('dd', {}, el('span', { class: 'value' }, '–'), ' ',
                                  el('span', { class: 'unit' }, tile.unit ?? 'requests')),
      el('dd', { class: 'spark-box' })))),
    el('div', { class: 'bar' }, el('h3', {}, 'Latency'), since),
    el('div', { class: 'cards' }, ...latencies.map(({ name, metric }) =>
      el('section', { class: 'card', 'aria-label': name }, el('h4', {}, name), el('div', { id: metric })))),
    el('div', { class: 'bar' }, el('h3', {}, 'Requests')),
    el('div', { class: 'card' },
       el('p', { id: 'no-requests', class: 'empty' }, 'Nobody is being served now.'),
       el('table', { id: 'requests', hidden: true },
          el('caption', { class: 'unseen' }, 'Requests in progress'),
          el('thead', {}, el('tr', {}, ...['Request', 'State', 'Prompt', 'Generated', 'Age', 'Key', '']
            .map((name) => el('th', { scope: 'col' }, name || el('span', { class: 'unseen' }, 'Cancel'))))),
          el('tbody', { id: 'request-rows' }))),
    el('div', { class: 'cards two' },
       el('section', { class: 'card', 'aria-label': 'Memory' }, el('h4', {}, 'Memory'), el('div', { id: 'memory' })),
       el('section', { class: 'card', 'aria-label': 'Facts' }, el('h4', {}, 'Facts'), el('dl', { id: 'facts', class: 'legend' }))));
}

// ------------------------------------------------------------------ drawing what was read

function drawTiles(then) {
  const dt = then ? (now.at - then.at) / 1000 : NaN;
  const d = (name) => (then ? Math.max(0, total(now.all, name) - total(then.all, name)) : NaN);
  for (const tile of tiles) {
    const value = tile.of(now.all, d, dt);
    const box = $(`tile-${tile.id}`);
    box.querySelector('.value').textContent = Number.isFinite(value) ? tile.show(value) : '–';
    if (!Number.isFinite(value)) continue;
    const values = history.get(tile.id);
    values.push(value);
    if (values.length > KEPT) values.shift();
    box.querySelector('.spark-box').replaceChildren(sparkline(values, KEPT));
  }
}

function drawLatencies() {
  for (const { name, metric } of now ? latencies : []) {
    let h = histogram(now.all, metric);
    if (h && sinceHere) h = difference(h, histogram(first.all, metric));
    $(metric).replaceChildren(h ? histogramChart(h, name) : el('p', { class: 'empty' }, 'Nothing yet.'));
  }
}

function drawFacts() {
  const { all } = now;
  const labels = (name) => all.get(name)?.[0].labels ?? {};
  const ended = (reason) => (all.get('tritd_requests_total') ?? [])
    .filter((s) => s.labels.finish_reason === reason).reduce((sum, s) => sum + s.value, 0);
  const facts = [
    ['Model', labels('tritd_model_info').model], ['Weights', labels('tritd_model_info').quant],
    ['Context', labels('tritd_model_info').n_ctx && `${labels('tritd_model_info').n_ctx} tokens`],
    ['tritd', labels('tritd_build_info').version], ['Kernels', labels('tritd_build_info').kernel],
    ['Threads', total(all, 'tritd_threads')],
    ['Up for', seconds(Date.now() / 1000 - total(all, 'process_start_time_seconds'))],
    ['Answers', count(ended('stop') + ended('length'))],
    ['Cancelled', count(ended('cancelled') + ended('deadline'))],
    ['Refused', count(ended('rejected'))],
    ['Resident', bytes(total(all, 'process_resident_memory_bytes'))],
    ['Energy', all.has('tritd_energy_joules_total') && `${count(total(all, 'tritd_energy_joules_total'))} J`],
  ];
  $('facts').replaceChildren(...facts.filter(([, value]) => value || value === 0).map(([name, value]) =>
    el('div', {}, el('dt', {}, name), el('dd', {}, String(value)))));
  $('memory').replaceChildren(memoryBar((all.get('tritd_memory_bytes') ?? [])
    .map(({ labels: { kind }, value }) => [kind, value])));
}

async function cancel(id, button) {
  button.disabled = true;
  try {
    await json(`v1/tritd/requests/${encodeURIComponent(id)}`, { method: 'DELETE' });
    say('Request cancelled.');
  } catch (error) {
    // It was over already; anything else is worth a word.
    if (error.status !== 404) $('stats-error').replaceChildren(errorBox(error, null));
  }
}

function newRow(request) {
  const cell = (label) => el('td', { 'data-label': label });
  const button = el('button', { type: 'button', class: 'quiet', 'aria-label': `Cancel ${request.id}` }, 'Cancel');
  button.addEventListener('click', () => cancel(request.id, button));
  const row = el('tr', {}, ...['Request', 'State', 'Prompt', 'Generated', 'Age', 'Key'].map(cell),
                 el('td', {}, button));
  row.cells[0].append(el('code', {}, request.id), ' ', el('span', { class: 'unit' },
    request.route.includes('chat') ? 'chat' : 'completion'));
  row.cells[5].textContent = request.key ?? '–';
  return row;
}

// Rows stay the same elements, so that a button keeps its focus.
function drawRequests(list) {
  for (const [id, row] of rows) {
    if (list.some((request) => request.id === id)) continue;
    if (row.contains(document.activeElement)) $('main').focus();
    row.remove();
    rows.delete(id);
  }
  for (const request of list) {
    if (!rows.has(request.id)) {
      rows.set(request.id, newRow(request));
      $('request-rows').append(rows.get(request.id));
    }
    const { cells } = rows.get(request.id);
    cells[1].textContent = request.priority === 'normal' ? request.state : `${request.state}, ${request.priority}`;
    cells[2].textContent = request.cached_tokens ? `${count(request.prompt_tokens)}, ${count(request.cached_tokens)} cached`
      : count(request.prompt_tokens);
    cells[3].textContent = count(request.generated_tokens);
    cells[4].textContent = seconds(request.age_seconds);
  }
  $('requests').hidden = list.length === 0;
  $('no-requests').hidden = list.length > 0;
}

// ------------------------------------------------------------------ reading

async function read() {
  const all = parse(await text('metrics'));
  const then = now;
  now = { at: performance.now(), all };
  first ??= now;
  // After a pause rates would be means over it, and the lines would lie.
  drawTiles(then && now.at - then.at < 5 * PERIOD ? then : null);
  drawLatencies();
  drawFacts();
  const busy = total(all, 'tritd_requests_running') + total(all, 'tritd_requests_waiting') > 0;
  drawRequests(busy || rows.size ? (await json('v1/tritd/requests')).data : []);
  $('server-state').textContent = total(all, 'tritd_draining') ? 'shutting down'
    : total(all, 'tritd_ready') ? 'serving' : 'loading';
  $('stats-error').replaceChildren();
}

async function round() {
  timer = null;
  let again = PERIOD;
  try {
    await read();
  } catch (error) {
    $('server-state').textContent = 'no answer';
    $('stats-error').replaceChildren(errorBox(error, null));
    again = error.status === 401 ? 0 : 3 * PERIOD; // a new key begins anew
  }
  if (looking && !document.hidden && again && timer === null) timer = setTimeout(round, again);
}

function run() {
  clearTimeout(timer);
  timer = null;
  if (looking && !document.hidden) round();
}

export function look(on) {
  looking = on;
  run();
}

export const refresh = run;

export function open() {
  frame();
  document.addEventListener('visibilitychange', run);
}
