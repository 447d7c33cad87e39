// SPDX-License-Identifier: MIT
//
// completion.js - a text that the model goes on with, in its place.
//
// The text is in a plain text area.  Behind it lies the same text again, invisible but for the marks
// of what the model wrote; it also gives the area its height.
//
import { $, copy, el, say } from './dom.js';
import { announce, ask, errorBox, figuresLine, isRunning, stop } from './answer.js';
import { COMPLETION_TOKENS, blame, sampling, wantsTokens } from './settings.js';
import * as tokens from './tokens.js';

const STORE = 'tritd-text';
let area = null;
let marks = []; // { from, to, token }: what the model wrote, in order; token may be null
let before = ''; // the text as it was when it was continued last

// ------------------------------------------------------------------ the marks

let drawing = null;

// At most once a frame: a long text has thousands of marks.
function drawSoon() {
  drawing ??= requestAnimationFrame(drawMarks);
}

function drawMarks() {
  cancelAnimationFrame(drawing);
  drawing = null;
  tokens.hide();
  const text = area.value;
  const nodes = [];
  let at = 0;
  for (const mark of marks) {
    if (mark.from > at) nodes.push(text.slice(at, mark.from));
    mark.node = mark.token ? tokens.span({ ...mark.token, text: text.slice(mark.from, mark.to) })
      : el('span', { class: 'written' }, text.slice(mark.from, mark.to));
    nodes.push(mark.node);
    at = mark.to;
  }
  nodes.push(text.slice(at), '\u200b'); // so that an empty last line has its height
  $('text-marks').replaceChildren(...nodes);
  $('text-undo').disabled = isRunning() || before === text || before === '';
  $('text-copy').disabled = $('text-clear').disabled = text === '';
}

// The reader has changed the text: what lies behind the change moves, what was changed is theirs.
function edited(old, text) {
  let head = 0;
  while (head < old.length && head < text.length && old[head] === text[head]) head++;
  let tail = 0;
  while (tail < old.length - head && tail < text.length - head &&
         old[old.length - 1 - tail] === text[text.length - 1 - tail]) tail++;
  const shift = text.length - old.length;
  marks = marks.flatMap((mark) =>
    mark.to <= head ? [mark]
      : mark.from >= old.length - tail ? [{ ...mark, from: mark.from + shift, to: mark.to + shift }] : []);
}

function append(piece, list) {
  const from = area.value.length;
  area.value += piece;
  let at = from;
  for (const token of list) {
    marks.push({ from: at, to: at + token.text.length, token });
    at += token.text.length;
  }
  if (at < area.value.length) marks.push({ from: at, to: area.value.length, token: null });
  drawSoon();
}

// The alternatives of the token under the pointer, or at the caret.
function point(event) {
  const node = document.elementsFromPoint(event.clientX, event.clientY).find(tokens.isToken);
  if (node) tokens.show(node);
  else tokens.hide();
}

function caret() {
  const at = area.selectionStart;
  if (document.activeElement !== area || at !== area.selectionEnd) return;
  const mark = marks.find((m) => m.token && m.from < at && at <= m.to);
  if (mark) tokens.show(mark.node);
  else tokens.hide();
}

// ------------------------------------------------------------------ going on

function showRunning(on) {
  $('text-go').textContent = on ? 'Stop' : 'Continue';
  $('text-go').classList.toggle('stop', on);
  area.readOnly = on;
}

async function go() {
  if (isRunning()) {
    stop();
    return;
  }
  const body = { max_tokens: COMPLETION_TOKENS, ...sampling(), prompt: area.value };
  if (wantsTokens()) body.logprobs = 5;
  before = area.value;
  $('text-result').replaceChildren();
  showRunning(true);
  const figures = await ask('v1/completions', body, (choice) => {
    if (choice.text || choice.logprobs)
      append(choice.text, tokens.ofCompletion(choice.text, choice.logprobs));
  });
  showRunning(false);
  drawMarks();
  area.setSelectionRange(area.value.length, area.value.length);
  $('text-result').replaceChildren(figuresLine(figures));
  if (figures.error) {
    $('text-result').replaceChildren(errorBox(figures.error, go));
    blame(figures.error.param);
  }
  save();
  announce(figures, area.value.slice(before.length));
}

function save() {
  try {
    sessionStorage.setItem(STORE, area.value);
  } catch {
    // Too long to keep.
  }
}

function replace(text, word) {
  edited(area.value, text);
  area.value = text;
  $('text-result').replaceChildren();
  drawMarks();
  save();
  say(word);
  area.focus();
}

export function open() {
  area = $('text');
  area.value = sessionStorage.getItem(STORE) ?? '';
  let old = area.value;
  drawMarks();
  area.addEventListener('beforeinput', () => (old = area.value));
  area.addEventListener('input', () => {
    edited(old, area.value);
    drawMarks();
    save();
  });
  area.addEventListener('pointermove', point);
  area.addEventListener('pointerleave', tokens.hide);
  area.addEventListener('click', point);
  area.addEventListener('keyup', (event) => /^(Arrow|Home|End|Page)/.test(event.key) && caret());
  area.addEventListener('blur', tokens.hide);
  area.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (!isRunning()) go();
  });
  $('text-form').addEventListener('submit', (event) => {
    event.preventDefault();
    go();
  });
  $('text-undo').addEventListener('click', () => replace(before, 'The continuation is gone.'));
  $('text-clear').addEventListener('click', () => {
    stop();
    replace('', 'Cleared.');
  });
  $('text-copy').addEventListener('click', (event) => copy(area.value, event.currentTarget));
}
