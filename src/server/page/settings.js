// SPDX-License-Identifier: MIT
//
// settings.js - the controls of sampling.  An empty field is not sent, so the server's own default
// holds, which the field shows in grey.  What is set stays for the next visit.
//
import { $, el } from './dom.js';

const STORE = 'tritd-settings';
export const COMPLETION_TOKENS = 128; // the API's own default of 16 is made for other uses

const fields = [
  { name: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05, usual: 1,
    help: '0: always the likeliest token' },
  { name: 'top_p', label: 'Top-p', min: 0.01, max: 1, step: 0.01, usual: 1,
    help: 'only the likeliest, with this share in all' },
  { name: 'top_k', label: 'Top-k', min: 0, max: 200, step: 1, usual: 0, open: true,
    help: 'only so many of the likeliest; 0: all' },
  { name: 'min_p', label: 'Min-p', min: 0, max: 1, step: 0.01, usual: 0,
    help: 'only this likely, next to the likeliest' },
  { name: 'repetition_penalty', label: 'Repetition penalty', min: 0.5, max: 2, step: 0.05, usual: 1,
    help: 'above 1: repeats less' },
  { name: 'max_tokens', label: 'Max tokens', min: 1, step: 1, help: 'of an answer' },
  { name: 'seed', label: 'Seed', step: 1, usual: 'random', help: 'the same seed, the same answer' },
];

let values = {};
const inputs = {};
let model = {};

function save() {
  localStorage.setItem(STORE, JSON.stringify(values));
  digest();
}

function digest() {
  const shown = (name, sign) => `${sign} ${values[name] ?? model[name] ?? ''}`.trim();
  const parts = [shown('temperature', 'temperature'), shown('top_p', 'top-p')];
  if (values.seed !== undefined) parts.push(shown('seed', 'seed'));
  if (values.tokens) parts.push('probabilities');
  $('settings-digest').textContent = parts.filter((part) => /\d|prob/.test(part)).join(' · ');
}

function set(name, value) {
  if (value === '' || value === undefined || value === false) delete values[name];
  else values[name] = value;
  save();
}

function field(f) {
  const id = `set-${f.name}`;
  const input = el('input', { id, type: 'number', inputmode: f.step < 1 ? 'decimal' : 'numeric',
                              min: f.min, max: f.open ? null : f.max, step: f.step,
                              'aria-describedby': `${id}-help`, placeholder: f.usual ?? '' });
  // Only for the pointer: the field beside it is the control.
  const slider = f.max === undefined ? null : el('input', {
    type: 'range', min: f.min, max: f.max, step: f.step, tabindex: -1, 'aria-hidden': 'true' });
  const follow = () => {
    if (slider) slider.value = input.value || input.placeholder;
  };
  const take = () => {
    input.removeAttribute('aria-invalid');
    // A field with nonsense has an empty value; it is not sent, and says so.
    if (input.validity.badInput) input.setAttribute('aria-invalid', 'true');
    set(f.name, input.value.trim() === '' ? '' : input.value.trim());
    follow();
  };
  input.value = values[f.name] ?? '';
  input.addEventListener('input', take);
  slider?.addEventListener('input', () => {
    input.value = slider.value;
    take();
  });
  inputs[f.name] = { input, follow };
  follow();
  return el('div', { class: 'field' }, el('label', { for: id }, f.label), input, slider,
            el('p', { id: `${id}-help`, class: 'help' }, f.help));
}

function stopField() {
  const area = el('textarea', { id: 'set-stop', rows: 2, spellcheck: 'false',
                                'aria-describedby': 'set-stop-help' });
  area.value = (values.stop ?? []).join('\n');
  area.addEventListener('input', () => {
    const list = area.value.split('\n').filter((line) => line !== '');
    area.removeAttribute('aria-invalid');
    set('stop', list.length ? list : '');
  });
  inputs.stop = { input: area, follow: () => {} };
  return el('div', { class: 'field' }, el('label', { for: 'set-stop' }, 'Stop strings'), area,
            el('p', { id: 'set-stop-help', class: 'help' }, 'end the answer; one a line'));
}

function tokensField() {
  const box = el('input', { type: 'checkbox', id: 'set-tokens', role: 'switch',
                            'aria-describedby': 'set-tokens-help' });
  box.checked = Boolean(values.tokens);
  box.addEventListener('change', () => set('tokens', box.checked));
  inputs.tokens = { input: box, follow: () => {} };
  return el('div', { class: 'field switch' }, el('label', { for: 'set-tokens' }, 'Probabilities'), box,
            el('p', { id: 'set-tokens-help', class: 'help' },
               'of each token and its alternatives'));
}

function reset() {
  values = {};
  for (const { input, follow } of Object.values(inputs)) {
    if (input.type === 'checkbox') input.checked = false;
    else input.value = '';
    input.removeAttribute('aria-invalid');
    follow();
  }
  save();
}

// What the model's file recommends stands in grey where nothing is set.
export function defaults(sampling = {}) {
  model = sampling;
  for (const [name, value] of Object.entries(sampling)) {
    if (!inputs[name]) continue;
    inputs[name].input.placeholder = Number(value.toFixed(4));
    inputs[name].follow();
  }
  digest();
}

// The part of a request that comes from here.
export function sampling() {
  const body = {};
  for (const { name } of fields) if (values[name] !== undefined) body[name] = Number(values[name]);
  // Beyond 2^53 a number would be another one.
  if (body.seed !== undefined && !Number.isSafeInteger(body.seed)) delete body.seed;
  if (values.stop) body.stop = values.stop;
  return body;
}

export const wantsTokens = () => Boolean(values.tokens);

// An error names a field: show which.
export function blame(param) {
  const input = inputs[param?.replace(/[[.].*/, '')]?.input;
  if (!input) return;
  input.setAttribute('aria-invalid', 'true');
  $('settings-box').open = true;
}

export function open() {
  try {
    values = JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    values = {};
  }
  $('settings-fields').append(
    tokensField(), ...fields.map(field), stopField(),
    el('button', { type: 'button', class: 'quiet', id: 'settings-reset', click: reset },
       'Back to the defaults'));
  // Beside the conversation where there is room, folded above it where there is not.
  const wide = matchMedia('(min-width: 60rem)');
  const fold = () => {
    $('settings-box').open = wide.matches;
    // The order of Tab is that of the eye.
    if (wide.matches) $('main').append($('settings'));
    else $('main').prepend($('settings'));
  };
  wide.addEventListener('change', fold);
  fold();
  digest();
}
