// SPDX-License-Identifier: MIT
//
// metrics.js - Prometheus' text format, version 0.0.4, as far as tritd writes it; histograms and their
// quantiles.
//

// name -> [{ labels, value }]
export function parse(text) {
  const all = new Map();
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    if (!all.has(match[1])) all.set(match[1], []);
    all.get(match[1]).push({ labels, value: match[3] === '+Inf' ? Infinity : Number(match[3]) });
  }
  return all;
}

// The sum of all series of a name; NaN where there is none.
export function total(all, name) {
  return all.get(name)?.reduce((sum, series) => sum + series.value, 0) ?? NaN;
}

// { bounds, counts, sum, count }: counts[i] of values up to bounds[i] and above bounds[i - 1]; the
// last bound is Infinity.  null where there is no such histogram.
export function histogram(all, name) {
  const buckets = all.get(`${name}_bucket`);
  if (!buckets) return null;
  const bounds = buckets.map(({ labels }) => (labels.le === '+Inf' ? Infinity : Number(labels.le)));
  const counts = buckets.map(({ value }, i) => value - (i ? buckets[i - 1].value : 0));
  return { bounds, counts, sum: total(all, `${name}_sum`), count: total(all, `${name}_count`) };
}

// What came between two readings of a histogram.
export function difference(now, then) {
  if (!then || then.count > now.count) return now; // the server began anew
  return { bounds: now.bounds, counts: now.counts.map((n, i) => n - then.counts[i]),
           sum: now.sum - then.sum, count: now.count - then.count };
}

// As Prometheus estimates it: evenly spread inside a bucket; never above the last finite bound.
export function quantile(h, q) {
  const rank = q * h.counts.reduce((sum, n) => sum + n, 0);
  let below = 0;
  if (!(rank > 0)) return NaN;
  for (let i = 0; i < h.counts.length; i++) {
    const from = i ? h.bounds[i - 1] : 0;
    if (below + h.counts[i] >= rank && h.counts[i] > 0)
      return h.bounds[i] === Infinity ? from
        : from + (h.bounds[i] - from) * ((rank - below) / h.counts[i]);
    below += h.counts[i];
  }
  return NaN;
}
