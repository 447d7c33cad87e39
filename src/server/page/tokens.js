// SPDX-License-Identifier: MIT
//
// tokens.js - tokens with their probabilities, and the alternatives that are shown beside one.
//
import { $, el, percent } from './dom.js';

/*
 * Tokens of a chunk of a chat answer: { text, p, others: [[text, p]] }.  A character whose bytes are
 * in several tokens belongs to the last of them; `decoder` goes from chunk to chunk.
 */
export function ofChat(logprobs, decoder) {
  return (logprobs?.content ?? []).map((entry) => ({
    text: decoder.decode(new Uint8Array(entry.bytes ?? []), { stream: true }),
    p: Math.exp(entry.logprob),
    others: entry.top_logprobs.map((other) => [other.token, Math.exp(other.logprob)]),
  }));
}

/*
 * The same for a completion, whose tokens are names: where they do not give the text again, because
 * of characters in pieces or text that was held back, the text goes to the last.
 */
export function ofCompletion(text, logprobs) {
  const names = logprobs?.tokens ?? [];
  const whole = names.join('') === text;
  return names.map((name, i) => ({
    text: whole ? name : i === names.length - 1 ? text : '',
    p: Math.exp(logprobs.token_logprobs[i]),
    others: Object.entries(logprobs.top_logprobs?.[i] ?? {})
      .map(([other, logprob]) => [other, Math.exp(logprob)]),
  }));
}

// How sure the model was, 0 (hardly) to 4, for the colour.
const surety = (p) => [0.05, 0.2, 0.5, 0.8].filter((bound) => p >= bound).length;

// White space is shown where a token is named.
const named = (text) => text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replace(/^ | $/g, '␣') || '∅';

const all = new WeakMap();

export function span(token) {
  const node = el('span', { class: 'token', 'data-sure': surety(token.p) }, token.text);
  all.set(node, token);
  return node;
}

export const isToken = (node) => all.has(node);

// ------------------------------------------------------------------ beside one

let shown = null;

export function hide() {
  shown?.classList.remove('shown');
  shown = null;
  $('alternatives').hidden = true;
}

export function show(node) {
  const box = $('alternatives');
  const token = all.get(node);
  if (node === shown || !token) return;
  hide();
  shown = node;
  node.classList.add('shown');
  const others = token.others.toSorted((a, b) => b[1] - a[1]);
  // What was drawn may be none of the likeliest.
  if (!others.some(([, p]) => Math.abs(p - token.p) < 1e-9)) others.push([token.text, token.p]);
  box.replaceChildren(...others.map(([text, p]) => {
    const bar = el('span', { class: 'bar-fill' });
    bar.style.width = `${Math.max(p * 100, 0.5)}%`;
    const chosen = Math.abs(p - token.p) < 1e-9;
    return el('div', { class: chosen ? 'other chosen' : 'other' },
              el('code', {}, named(text)), el('span', { class: 'bar-box' }, bar),
              el('span', { class: 'p' }, percent(p)));
  }));
  place();
}

// Below the token, or above it where there is no room; gone when the token is out of sight.
export function place() {
  const box = $('alternatives');
  if (!shown) return;
  box.hidden = false;
  // A token whose space ends a line has two boxes; its word is in the wider.
  const at = [...shown.getClientRects()].toSorted((a, b) => b.width - a.width)[0] ??
    shown.getBoundingClientRect();
  if (!shown.isConnected || at.bottom < 0 || at.top > innerHeight) {
    hide();
    return;
  }
  const width = box.offsetWidth;
  const height = box.offsetHeight;
  const left = Math.min(Math.max(8, at.left - 12), innerWidth - width - 8);
  const below = at.bottom + 8;
  box.style.left = `${left}px`;
  box.style.top = `${below + height > innerHeight ? Math.max(8, at.top - height - 8) : below}px`;
}

function described(node) {
  const token = all.get(node);
  return `${named(token.text)}, ${percent(token.p)}`;
}

// Only one token of an answer is in the order of Tab; the arrows go from there.
function choose(box, node) {
  for (const old of box.querySelectorAll('.token[tabindex="0"]')) old.tabIndex = -1;
  node.tabIndex = 0;
  node.setAttribute('aria-label', described(node));
  node.setAttribute('aria-describedby', 'alternatives');
  node.focus({ preventScroll: false });
}

// Tokens in `box` show their alternatives under the pointer, at a tap, and to the keyboard.
export function watch(box) {
  const of = (event) => event.target.closest?.('.token');
  box.addEventListener('pointerover', (event) => of(event) && show(of(event)));
  box.addEventListener('pointerleave', hide);
  box.addEventListener('click', (event) => of(event) && show(of(event)));
  box.addEventListener('focusin', (event) => of(event) && show(of(event)));
  box.addEventListener('focusout', hide);
  box.addEventListener('keydown', (event) => {
    const node = of(event);
    if (!node) return;
    const list = [...box.querySelectorAll('.token')];
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const to = event.key === 'Home' ? 0 : event.key === 'End' ? list.length - 1
      : step ? list.indexOf(node) + step : -1;
    if (!list[to]) return;
    event.preventDefault();
    choose(box, list[to]);
  });
}

// An answer is complete: the keyboard may enter it.
export function ready(box) {
  const first = box.querySelector('.token');
  if (!first) return;
  for (const node of box.querySelectorAll('.token')) {
    node.setAttribute('role', 'button');
    node.setAttribute('aria-label', described(node));
    node.tabIndex = -1;
  }
  first.tabIndex = 0;
}
