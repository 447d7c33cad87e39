// SPDX-License-Identifier: MIT
//
// v-browser.mjs - the page in a headless Chromium, against the daemon of v-browser.sh; with KEY in the
// environment that daemon asks for it and lets it in once a minute.
//
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { equal, metrics, ok, report, request, total, until, url } from './lib.mjs';
import { openBrowser } from './browser.mjs';

const { CHROMIUM, KEY } = process.env;
let page;

const text = (selector) => page.js(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? null`);
const texts = (selector) =>
  page.js(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((e) => e.textContent)`);
const focused = () => page.js('document.activeElement.id || document.activeElement.textContent');
const idle = "document.querySelector('#chat-send').textContent === 'Send'";

// Type a message and press Enter; resolves when its answer is over, whatever it was.
async function ask(message) {
  const n = await page.js("document.querySelectorAll('.message').length");
  await page.js("document.querySelector('#chat-input').focus()");
  await page.type(message);
  await page.press('Enter');
  await page.until(`document.querySelectorAll('.message').length === ${n + 2} && ${idle}`, 60);
}

// Every control that is shown has a name for those who do not see it.
async function named(where) {
  const { nodes } = await page.cdp('Accessibility.getFullAXTree');
  const controls = new Set(['button', 'textbox', 'tab', 'switch', 'checkbox', 'combobox', 'spinbutton', 'slider',
                            'link', 'DisclosureTriangle', 'dialog', 'tabpanel', 'img', 'image', 'table']);
  const all = nodes.filter((n) => !n.ignored && controls.has(n.role?.value));
  const nameless = all.filter((n) => !n.name?.value?.trim()).map((n) => n.role.value);
  ok(`${where}: there are controls`, all.length > 4, String(all.length));
  equal(`${where}: controls without a name`, nameless, []);
}

async function reload() {
  await page.js("document.documentElement.dataset.old = ''");
  await page.cdp('Page.reload');
  await page.until("document.documentElement.dataset.old === undefined && document.readyState === 'complete' && " +
                   "document.querySelector('#version')?.textContent");
}

// What Tab reaches, from the beginning of the page; each has a visible focus.
async function walk() {
  const seen = [];
  await reload();
  for (let i = 0; i < 60; i++) {
    await page.press('Tab');
    const at = await page.js(`(() => { const e = document.activeElement; const ring = e.closest('.composer, .paper') ?? e;
      return [e === document.body ? '' : e.id || e.textContent.trim(), getComputedStyle(ring).outlineStyle]; })()`);
    if (at[0] === '' || seen.includes(at[0])) break;
    ok(`focus can be seen: ${at[0]}`, at[1] !== 'none');
    seen.push(at[0]);
  }
  return seen;
}

async function noScroll(where) {
  equal(`${where}: as wide as the phone`,
        await page.js('[document.documentElement.scrollWidth, innerWidth]'), [360, 360]);
}

// WCAG 2: of the colours of text on those below it.
async function contrasts(theme) {
  const found = await page.js(`(() => {
    const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const probe = document.body.appendChild(document.createElement('i'));
    const rgb = (name) => { probe.style.color = 'var(--' + name + ')';
      return getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).map(Number); };
    const ratio = (a, b) => { const [x, y] = [light(rgb(a)), light(rgb(b))].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
    const pairs = [['ink', 'paper'], ['ink', 'surface'], ['ink', 'tint'], ['muted', 'paper'], ['muted', 'surface'],
      ['muted', 'track'], ['accent', 'paper'], ['accent', 'tint'], ['on-accent', 'accent'], ['bad', 'bad-tint'], ['ink', 'bad-tint'],
      ...[0, 1, 2, 3].map((i) => ['ink', 'unsure-' + i])];
    const all = pairs.map(([a, b]) => [a, b, ratio(a, b)]);
    probe.remove();
    return all; })()`);
  for (const [a, b, ratio] of found) ok(`${theme}: ${a} on ${b}`, ratio >= 4.5, ratio.toFixed(2));
}

// ------------------------------------------------------------------ without keys

async function conversation() {
  let pieces = 0;
  page.listen(({ method }) => (pieces += method === 'Network.dataReceived'));
  await page.until("document.querySelector('#model').textContent.length > 1");
  equal('the model', await text('#model'), (await request('/v1/models')).json.data[0].id);
  ok('the version', /^\d+\.\d+/.test(await text('#version')));
  ok('no key is asked for', await page.js("document.querySelector('#key-button').hidden"));
  pieces = 0;
  await ask('Tell me a story about a dog.');
  const [answer] = await texts('.assistant .text');
  ok('an answer in words', answer.split(/\s+/).length > 20, answer);
  ok('it came in pieces', pieces > 5, String(pieces));
  const figures = await texts('.figures dt');
  for (const name of ['first token', 'tokens/s', 'tokens', 'prompt', 'finish'])
    ok(`figures: ${name}`, figures.includes(name), figures.join());
  equal('figures: how it ended', (await texts('.figures dd')).at(-1), 'stop');
  equal('the focus is where one writes', await focused(), 'chat-input');
  await page.until("document.querySelector('#said').textContent.startsWith('Answer: ')");

  // What somebody writes is never read as HTML, neither in a message nor in an answer.
  await ask('<img src=x id=evil><b>bold</b> **mark**');
  equal('text stays text', await page.js("document.querySelector('#evil')"), null);
  equal('text stays text: shown', (await texts('.bubble'))[1], '<img src=x id=evil><b>bold</b> **mark**');

  // Edit the first message: what was behind it is gone.
  await page.click('[aria-label="Edit this message"]');
  equal('editing: the focus', await page.js('document.activeElement.value'), 'Tell me a story about a dog.');
  await page.js('document.activeElement.select()');
  await page.type('Tell me a story about a bird.');
  await page.press('Enter');
  await page.until(`document.querySelectorAll('.message').length === 2 && ${idle} && document.querySelector('.figures')`, 60);
  equal('edited', await texts('.bubble'), ['Tell me a story about a bird.']);
  await page.click('[aria-label="Regenerate this answer"]');
  await page.until(`${idle} && document.querySelector('.figures')`, 60);
  equal('regenerated: as many messages', await page.js("document.querySelectorAll('.message').length"), 2);

  // A reload keeps it.
  const kept = await texts('.message .text');
  await reload();
  equal('after a reload', await texts('.message .text'), kept);

  const folder = mkdtempSync(join(tmpdir(), 'tritd-export.'));
  await page.downloads(folder);
  const file = join(folder, 'conversation.json');
  await page.click('#chat-export');
  await until('the export is there', () => existsSync(file) && readFileSync(file, 'utf8').endsWith('}\n'));
  const exported = JSON.parse(readFileSync(file, 'utf8'));
  rmSync(folder, { recursive: true });
  equal('export', exported.messages.map((m) => m.role), ['user', 'assistant']);
  equal('export: the message', exported.messages[0].content, 'Tell me a story about a bird.');
  ok('export: usage', exported.messages[1].usage.completion_tokens > 0);
}

// Stop as soon as something is there, by the button and by Escape; the server must hear of it.
async function stopping() {
  const cancelled = async () => total(await metrics(), 'tritd_cancelled_total', 'reason="disconnect"');
  const ways = { 'Stop': "document.querySelector('#chat-send').click()",
                 'Escape': "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }))" };
  for (const [name, way] of Object.entries(ways)) {
    const before = await cancelled();
    await page.js("document.querySelector('#chat-clear').click()");
    await page.js(`new MutationObserver((_, self) => { if (!document.querySelector('.coming > *')) return;
      self.disconnect(); ${way}; }).observe(document.querySelector('#log'), { subtree: true, childList: true })`);
    await ask('Tell me a long story about a king, a dog and a bird.');
    equal(`${name}: said`, (await texts('.figures dd')).at(-1), 'stopped by you');
    ok(`${name}: what was there stays`, (await text('.assistant .text')).length > 0);
    await until(`${name}: the server ended the request`, async () => (await cancelled()) === before + 1);
    await page.until("document.querySelector('#said').textContent === 'Stopped.'");
  }
  await until('nothing runs', async () => total(await metrics(), 'tritd_requests_running') === 0);
}

async function errors() {
  await page.js("document.querySelector('#chat-clear').click()");
  await ask('word '.repeat(3000));
  equal('too long: an alert', await page.js("document.querySelector('.error').getAttribute('role')"), 'alert');
  ok('too long: the code', (await text('.error .code')).includes('400 · context_length_exceeded'), await text('.error .code'));
  ok('too long: a way to go on', (await text('.error button')) === 'Try again');
  await page.js("document.querySelector('#chat-clear').click()");

  // A field that the server refuses is the one that is marked.
  await page.js(`{ const t = document.querySelector('#set-temperature'); t.value = '3'; t.dispatchEvent(new Event('input')); }`);
  await ask('Hello.');
  ok('a wrong field: what was expected', (await text('.error p')).startsWith('temperature: found 3'), await text('.error p'));
  equal('a wrong field: marked', await page.js("document.querySelector('#set-temperature').getAttribute('aria-invalid')"), 'true');
  await page.click('#settings-reset');
  equal('defaults again', await page.js("document.querySelector('#set-temperature').value"), '');
  await page.click('.error button');
  await page.until(`${idle} && document.querySelector('.figures') && !document.querySelector('.error')`, 60);
  await page.js("document.querySelector('#chat-clear').click()");
  ok('both were told in the console by the browser itself', page.complaints.splice(0).every((c) => c.includes('status of 400')));
}

async function probabilities() {
  await page.click('#set-tokens');
  await ask('Who are you? Zoë asked.');
  const answer = await text('.assistant .text');
  ok('tokens', (await texts('.token')).length > 3);
  equal('tokens make the text', (await texts('.token')).join(''), answer);
  await page.point('.token');
  const rows = await page.js(`[...document.querySelectorAll('#alternatives .other')].map((row) =>
    [row.className.includes('chosen'), parseFloat(row.querySelector('.p').textContent.replace('< ', ''))])`);
  ok('alternatives: five', rows.length >= 5, JSON.stringify(rows));
  equal('alternatives: one was chosen', rows.filter(([chosen]) => chosen).length, 1);
  ok('alternatives: at most everything', rows.reduce((sum, [, p]) => sum + p, 0) < 102, JSON.stringify(rows));
  ok('alternatives: can be seen', await page.js("!document.querySelector('#alternatives').hidden"));
  await page.js("document.querySelector('.token').focus()");
  await page.press('ArrowRight');
  equal('the arrows go on', await page.js("[...document.querySelectorAll('.token')].indexOf(document.activeElement)"), 1);
  const label = await page.js("document.activeElement.getAttribute('aria-label')");
  ok('a name', /, (< )?\d+(\.\d)? %$/.test(label), label);
  await named('tokens');
}

async function completion() {
  await page.click('#tab-completion');
  await page.js("document.querySelector('#text').focus()");
  await page.type('Once upon a time there was a little fox who');
  await page.press('Enter', { control: true });
  await page.until("document.querySelector('#text-result .figures') && document.querySelector('#text-go').textContent === 'Continue'", 60);
  const value = await page.js("document.querySelector('#text').value");
  ok('continued in place', value.startsWith('Once upon a time there was a little fox who ') && value.length > 60, value);
  equal('the marks are below the text', (await text('#text-marks')).replace('\u200b', ''), value);
  equal('what the model wrote is marked', (await texts('#text-marks .token')).join(''), value.slice(43));
  await page.point('#text-marks .token');
  ok('alternatives there too', await page.js("document.querySelectorAll('#alternatives:not([hidden]) .other').length >= 5"));
  await named('completion');
  // A change in the middle moves the marks behind it.
  await page.js("document.querySelector('#text').focus(); document.querySelector('#text').setSelectionRange(0, 4)");
  await page.type('Twice');
  equal('changed: the marks go with it', (await texts('#text-marks .token')).join(''), value.slice(43));
  await page.click('#text-undo');
  equal('undone', await page.js("document.querySelector('#text').value"), 'Once upon a time there was a little fox who');
}

async function server() {
  const long = Array.from({ length: 6 }, (_, i) => request('/v1/completions', {
    body: { prompt: `Number ${i}`, max_tokens: 1000, ignore_eos: true, temperature: 1 } }));
  await page.click('#tab-server');
  await page.until("document.querySelectorAll('#request-rows tr').length >= 1");
  await named('server');
  // Newest first, so that those that wait go before those that run.
  await page.until(`(() => { document.querySelector('#request-rows button:not(:disabled)')?.click();
    return document.querySelectorAll('#request-rows tr').length === 0; })()`, 60);
  const over = await Promise.all(long);
  ok('Cancel ends a request', over.some((r) => r.json.error?.code === 'cancelled'),
     JSON.stringify(over.map((r) => r.status)));
  equal('state', await text('#server-state'), 'serving');
  for (const value of await texts('.tile .value')) ok('a tile', /^\d/.test(value), value);
  const charts = await page.js("[...document.querySelectorAll('.histogram')].map((c) => c.getAttribute('aria-label'))");
  equal('three histograms', charts.length, 3);
  for (const label of charts) ok('a histogram', /\d+ values, p50 .*s, p90 .*s, p99 .*s$/.test(label), label);
  ok('memory', (await texts('#memory dt')).length >= 3);
  ok('facts', (await texts('#facts dt')).includes('Up for'));
  await page.js(`{ const s = document.querySelector('#since'); s.value = 'here'; s.dispatchEvent(new Event('change')); }`);
  ok('since this page', /\d values/.test(await page.js("document.querySelector('.histogram').getAttribute('aria-label')")));

  // Nobody looks: nobody asks.
  await page.click('#tab-chat');
  const asked = page.requests.filter((r) => r.endsWith('/metrics')).length;
  await page.js('new Promise((resolve) => setTimeout(resolve, 1500))');
  equal('no reading behind another tab', page.requests.filter((r) => r.endsWith('/metrics')).length, asked);

  const sums = await page.js(`import('/page/metrics.js').then((m) => {
    const all = m.parse('# HELP a b\\na_bucket{x="q\\\\"1\\\\n",le="1"} 2\\na_bucket{x="q",le="2"} 6\\n' +
      'a_bucket{le="+Inf"} 8\\na_sum 12.5\\na_count 8\\nb{c="d"} 3\\nb{c="e"} 4\\n');
    const h = m.histogram(all, 'a');
    return [all.get('a_bucket')[0].labels.x, h.counts, h.sum, m.quantile(h, 0.5), m.quantile(h, 0.125), m.quantile(h, 0.99),
            m.total(all, 'b'), m.histogram(all, 'c'), m.difference(h, { ...h, counts: [1, 1, 1], count: 3 }).counts]; })`);
  equal('reading metrics', sums, ['q"1\n', [2, 4, 2], 12.5, 1.5, 0.5, 2, 7, null, [1, 3, 1]]);
}

async function markdown() {
  const html = (source) => page.js(`import('/page/markdown.js').then((m) => { const d = document.createElement('div');
    d.append(m.markdown(${JSON.stringify(source)})); return d.innerHTML; })`);
  equal('marks', await html('a **b** `c*d*` *e* 2 * 3 * 4 **f'), '<p>a <strong>b</strong> <code>c*d*</code> <em>e</em> 2 * 3 * 4 **f</p>');
  equal('lists', await html('- a\n- b\n\n3. c\n'), '<ul><li>a</li><li>b</li></ul><ol start="3"><li>c</li></ol>');
  equal('code, not at its end', await html('x\n```c\n<b>\n'),
        '<p>x</p><pre tabindex="0" aria-label="Code c" role="region"><code>&lt;b&gt;\n</code></pre>');
  equal('no HTML, no links', await html('<b>x</b> [a](javascript:alert(1))'), '<p>&lt;b&gt;x&lt;/b&gt; [a](javascript:alert(1))</p>');
  ok('many openings take no time', (await html('**a `'.repeat(20000))).length > 100000);
}

async function looks() {
  const paper = () => page.js('getComputedStyle(document.body).backgroundColor');
  await page.js("document.querySelector('#chat-clear').click(); document.querySelector('#set-tokens').checked && document.querySelector('#set-tokens').click()");
  await page.scheme('light');
  await contrasts('light');
  const light = await paper();
  await page.scheme('dark');
  await contrasts('dark');
  const dark = await paper();
  ok('dark is darker', light !== dark && parseInt(dark.slice(4), 10) < 60, `${light} ${dark}`);
  await page.until("document.querySelector('#theme').getAttribute('aria-pressed') === 'true'");
  await page.click('#theme');
  equal('the toggle: light in a dark system', await paper(), light);
  await reload();
  equal('kept', await paper(), light);
  await page.click('#theme');
  equal('the toggle: back', await paper(), dark);
  await page.scheme('light', 'reduce');
  equal('less motion', await page.js("getComputedStyle(document.querySelector('.switch input')).transitionDuration"), '0s');
  await page.scheme('light');

  const reached = await walk();
  for (const id of ['skip', 'tab-chat', 'theme', 'System prompt', 'chat-input', 'chat-send', 'set-tokens', 'set-temperature',
                    'set-stop', 'settings-reset'])
    ok(`Tab reaches ${id}`, reached.includes(id), reached.join(' | '));
  ok('in the order of reading', reached.indexOf('chat-input') < reached.indexOf('set-tokens'));
  await page.js("document.querySelector('#tab-chat').focus()");
  await page.press('ArrowRight');
  equal('arrows change views', [await focused(), await page.js("document.querySelector('#view-completion').hidden")], ['tab-completion', false]);
  await page.press('End');
  equal('End: the last one', await focused(), 'tab-server');
  await page.press('Home');
  await page.js('document.querySelector("#skip").focus()');
  await page.press('Enter');
  equal('the skip link', await focused(), 'main');
  await named('chat');

  await page.size(360, 740);
  await ask('Tell me a story about ' + 'a-very-long-word-'.repeat(12));
  await noScroll('chat');
  const small = await walk();
  ok('on a phone the settings come first', small.indexOf('chat-input') > small.findIndex((name) => name.startsWith('Settings')));
  await page.click('#settings-box summary');
  await noScroll('settings');
  await page.click('#tab-completion');
  await noScroll('completion');
  const leave = new AbortController();
  const busy = request('/v1/completions', { signal: leave.signal, body: { prompt: 'x', max_tokens: 1000, ignore_eos: true } });
  await page.click('#tab-server');
  await page.until("document.querySelector('.histogram')");
  await noScroll('server');
  leave.abort();
  await busy.catch(() => {});
}

// Last, because the browser complains of what is tried here.
async function policy() {
  equal('the browser has complained of nothing', page.complaints, []);
  equal('nobody else was asked', page.requests.filter((r) => !r.startsWith(`${url}/`) && !r.startsWith('blob:')), []);
  const broken = await page.js(`new Promise((resolve) => { const found = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      found.push(event.effectiveDirective);
      if (found.length === 3) resolve(found.sort()); });
    const image = new Image(); image.src = 'http://127.0.0.1:9/x.png';
    fetch('http://127.0.0.1:9/').catch(() => {});
    try { document.body.innerHTML = '<p>'; } catch { }
    setTimeout(() => resolve(found.sort()), 5000); })`);
  equal('others are not reached, text is not HTML', broken, ['connect-src', 'img-src', 'require-trusted-types-for']);
}

// ------------------------------------------------------------------ with keys

async function keys() {
  await page.until("document.querySelector('#key-dialog').open");
  equal('asked for a key: the focus', await focused(), 'key-input');
  await named('dialog');
  await page.type(`${KEY}0`);
  await page.press('Enter');
  await page.until("document.querySelector('#key-error').textContent !== ''");
  equal('a wrong key', await text('#key-error'), 'The server refused this key.');
  ok('a wrong key: still asked', await page.js("document.querySelector('#key-dialog').open"));
  await page.type(KEY);
  await page.press('Enter');
  await page.until("!document.querySelector('#key-dialog').open");
  await page.until("document.querySelector('#version').textContent !== ''");
  equal('the right key: the model', await text('#model'), 'storyteller-14m');
  await ask('Hello.');
  ok('the right key: an answer', (await text('.assistant .text')).length > 1);

  // The second request of the minute.
  await ask('Hello again.');
  ok('a limit: said', (await text('.error .code')).startsWith('429 · rate_limit_exceeded'), await text('.error .code'));
  ok('a limit: when to come back', /^Try again in \d+ s$/.test(await text('.error button')), await text('.error button'));
  ok('a limit: not before', await page.js("document.querySelector('.error button').disabled"));

  equal('the key is in no address', page.requests.filter((r) => r.includes(KEY)), []);
  ok('nor kept for other tabs', !(await page.js('JSON.stringify({ ...localStorage }) + document.cookie')).includes(KEY));
  await reload();
  ok('a reload needs no new one', !(await page.js("document.querySelector('#key-dialog').open")));
  await page.click('#key-button');
  await page.click('#key-forget');
  equal('forgotten', await page.js('sessionStorage.getItem("tritd-key")'), null);
  const others = page.complaints.filter((c) => !/status of (401|429)/.test(c));
  equal('the browser has complained of nothing else', others, []);
}

// ------------------------------------------------------------------ all of it

page = await openBrowser(CHROMIUM);
try {
  await page.size(1280, 860);
  await page.scheme('light');
  await page.go(`${url}/`);
  for (const part of KEY ? [keys]
    : [conversation, stopping, errors, probabilities, completion, server, markdown, looks, policy])
    await part();
} finally {
  await page.close();
}
report();
