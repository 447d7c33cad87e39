// SPDX-License-Identifier: MIT
//
// dom.js - making elements, and words for numbers.  Text is set as text everywhere: no string is
// ever read as HTML, and the Content-Security-Policy of the page would not let it be.
//

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// el('button', { class: 'quiet', click: stop }, 'Stop'): a function is a listener.
export function el(name, attributes = {}, ...children) {
  return build(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return build(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

export const $ = (id) => document.getElementById(id);

// For screen readers, when they are ready.
export function say(text) {
  $('said').textContent = '';
  setTimeout(() => ($('said').textContent = text), 50);
}

// Three digits, no more.
function short(n) {
  return n === 0 ? '0' : n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

export function seconds(s) {
  if (!Number.isFinite(s)) return '–';
  if (s < 1e-3) return `${short(s * 1e6)} µs`;
  if (s < 1) return `${short(s * 1e3)} ms`;
  if (s < 120) return `${short(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

// The same for round numbers: "5 ms", not "5.00 ms".
export const bound = (s) => seconds(s).replace(/\.0+ |(\.\d*?)0+ /, '$1 ');

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${i === 0 ? n : short(n)} ${units[i]}`;
}

export function count(n) {
  return n < 10000 ? String(Math.round(n)) : n < 1e6 ? `${short(n / 1e3)} k` : `${short(n / 1e6)} M`;
}

export function rate(n) {
  return !Number.isFinite(n) ? '–' : n >= 100 ? n.toFixed(0) : n.toFixed(1);
}

export function percent(p) {
  return p >= 0.9995 ? '100 %' : p >= 0.1 ? `${(p * 100).toFixed(0)} %`
    : p >= 0.001 ? `${(p * 100).toFixed(1)} %` : '< 0.1 %';
}

// The clipboard is there in secure contexts only, and localhost is one.
export async function copy(text, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el('textarea', { class: 'unseen' });
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand('copy');
    area.remove();
    button.focus();
  }
  const label = button.textContent;
  button.textContent = done ? 'Copied' : 'Not allowed';
  say(button.textContent);
  setTimeout(() => (button.textContent = label), 1500);
}

export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// As tall as its text.
export function grow(area) {
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
}
