// SPDX-License-Identifier: MIT
//
// charts.js - small drawings: a line of the last minute, a histogram, a bar of parts.
//
import { bound, bytes, count, el, seconds, svg } from './dom.js';
import { quantile } from './metrics.js';

// The last `size` values, newest at the right.
export function sparkline(values, size) {
  const width = 120;
  const height = 28;
  const top = Math.max(...values, 1e-9);
  const x = (i) => ((size - values.length + i) / (size - 1)) * width;
  const y = (v) => height - 1 - (v / top) * (height - 3);
  const line = values.map((v, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join('');
  const area = values.length > 1 ? `${line}L${width} ${height}L${x(0).toFixed(1)} ${height}Z` : '';
  return svg('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none',
                      'aria-hidden': 'true' },
             svg('path', { class: 'spark-area', d: area }), svg('path', { class: 'spark-line', d: line }));
}

const marked = [[0.5, 'p50'], [0.9, 'p90'], [0.99, 'p99']];

// Buckets as bars of equal width, so the axis is as the buckets are: about logarithmic.
export function histogramChart(h, name) {
  const used = h.counts.map((n, i) => [n, i]).filter(([n]) => n > 0).map(([, i]) => i);
  if (!used.length) return el('p', { class: 'empty' }, 'Nothing yet.');
  const from = Math.max(0, used[0] - 1);
  const to = Math.min(h.counts.length - 1, Math.max(used.at(-1) + 1, from + 5));
  const width = 300;
  const height = 110;
  const floor = 92;
  const step = width / (to - from + 1);
  const most = Math.max(...h.counts);
  const parts = [svg('line', { class: 'axis', x1: 0, x2: width, y1: floor, y2: floor })];
  const edge = (i) => (i < 0 ? 0 : h.bounds[i]);
  for (let i = from; i <= to; i++) {
    const tall = h.counts[i] ? Math.max(1.5, (h.counts[i] / most) * (floor - 14)) : 0;
    const upper = h.bounds[i] === Infinity ? 'more' : bound(h.bounds[i]);
    parts.push(svg('rect', { class: 'bucket', x: (i - from) * step + 0.75, y: floor - tall,
                             width: step - 1.5, height: tall, rx: 1.5 },
                   svg('title', {}, `${bound(edge(i - 1))} to ${upper}: ${count(h.counts[i])}`)));
  }
  const every = Math.max(1, Math.ceil((to - from + 1) / 5));
  for (let i = from; i < to; i += every)
    if (h.bounds[i] !== Infinity && (i - from + 1) * step < width - 14)
      parts.push(svg('text', { class: 'tick', x: (i - from + 1) * step, y: floor + 13,
                               'text-anchor': 'middle' }, bound(h.bounds[i])));
  const found = marked.map(([q, label]) => [label, quantile(h, q)]);
  for (const [label, value] of found) {
    const i = h.bounds.findIndex((upper) => value <= upper);
    const share = h.bounds[i] === Infinity ? 0 : (value - edge(i - 1)) / (h.bounds[i] - edge(i - 1));
    const x = (i - from + share) * step;
    parts.push(svg('line', { class: `mark ${label}`, x1: x, x2: x, y1: 8, y2: floor }));
  }
  const words = found.map(([label, value]) => `${label} ${seconds(value)}`).join(', ');
  return el('div', {},
    svg('svg', { class: 'histogram', viewBox: `0 0 ${width} ${height}`, role: 'img',
                 'aria-label': `${name}: ${count(h.count)} values, ${words}` }, ...parts),
    el('dl', { class: 'quantiles' }, ...found.map(([label, value]) =>
      el('div', { class: label }, el('dt', {}, label), el('dd', {}, seconds(value))))));
}

// parts: [[name, bytes]]
export function memoryBar(parts) {
  const there = parts.filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const sum = there.reduce((all, [, n]) => all + n, 0);
  const bar = el('div', { class: 'parts', role: 'img', 'aria-label': `Memory: ${bytes(sum)} in all` });
  const list = el('dl', { class: 'legend' });
  for (const [i, [name, n]] of there.entries()) {
    const part = el('span', { class: `part part-${i}` });
    part.style.flexGrow = n / sum;
    bar.append(part);
    list.append(el('div', {}, el('dt', {}, el('span', { class: `dot part-${i}` }), name.replaceAll('_', ' ')),
                   el('dd', {}, bytes(n))));
  }
  return el('div', {}, bar, list);
}
