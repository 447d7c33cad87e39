// SPDX-License-Identifier: MIT
//
// browser.mjs - a headless Chromium, driven over a pipe in its DevTools protocol; nothing but Node's
// own library.  https://chromedevtools.github.io/devtools-protocol/
//
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const keys = {
  Enter: [13, '\r'], Escape: [27], Tab: [9], End: [35], Home: [36], ArrowLeft: [37], ArrowRight: [39],
  ArrowUp: [38], ArrowDown: [40], ' ': [32, ' '],
};
const SHIFT = 8;
const CONTROL = 2;

// The program, and a page in it.  Everything has a time limit; close() ends it whatever it is doing.
export async function openBrowser(program) {
  const profile = mkdtempSync(join(tmpdir(), 'tritd-browser.'));
  const child = spawn(program, [
    '--headless=new', '--remote-debugging-pipe', `--user-data-dir=${profile}`, '--no-first-run',
    '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-sync',
    '--disable-component-update', '--disable-default-apps', '--disable-extensions', '--mute-audio',
    '--force-color-profile=srgb', '--hide-scrollbars', '--lang=en',
    // Chromium's own sandbox does not start as root, nor in many containers.
    '--no-sandbox',
  ], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
  const [, , stderr, to, from] = child.stdio;
  const waiting = new Map();
  const listeners = new Set();
  let held = Buffer.alloc(0);
  let last = 0;
  let said = '';
  let gone = false;
  stderr.on('data', (text) => (said = (said + text).slice(-2000)));
  to.on('error', () => {});
  child.on('exit', () => {
    gone = true;
    for (const { reject } of waiting.values()) reject(new Error(`the browser ended: ${said}`));
  });
  child.on('error', (error) => (said += error.message));
  from.on('data', (data) => {
    held = Buffer.concat([held, data]);
    for (let end; (end = held.indexOf(0)) >= 0; held = held.subarray(end + 1)) {
      const message = JSON.parse(held.subarray(0, end).toString());
      const call = waiting.get(message.id);
      if (!call) {
        for (const listener of listeners) listener(message);
        continue;
      }
      waiting.delete(message.id);
      clearTimeout(call.timer);
      if (message.error) call.reject(new Error(`${call.method}: ${message.error.message}`));
      else call.resolve(message.result);
    }
  });
  const send = (method, params = {}, sessionId) => new Promise((resolve, reject) => {
    if (gone) throw new Error(`the browser is gone: ${said}`);
    const id = ++last;
    const timer = setTimeout(() => {
      waiting.delete(id);
      reject(new Error(`${method}: no answer in 30 s`));
    }, 30_000);
    waiting.set(id, { resolve, reject, timer, method });
    to.write(JSON.stringify({ id, method, params, sessionId }) + '\0');
  });
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const cdp = (method, params) => send(method, params, sessionId);
  for (const domain of ['Page', 'Runtime', 'Network', 'Log', 'Accessibility'])
    await cdp(`${domain}.enable`);

  const page = {
    cdp,
    requests: [], // addresses
    complaints: [], // errors of the console, exceptions, violations of the policy

    // The value of an expression in the page; promises are waited for.
    async js(expression) {
      const { result, exceptionDetails } = await cdp('Runtime.evaluate', {
        expression, awaitPromise: true, returnByValue: true, userGesture: true });
      if (exceptionDetails)
        throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },

    // Between two documents an expression may throw; then it does not hold yet.
    async until(expression, seconds = 20) {
      const end = Date.now() + seconds * 1000;
      for (;;) {
        const found = await page.js(expression).catch((error) => ({ error }));
        if (found && !found.error) return;
        if (Date.now() > end)
          throw new Error(`not within ${seconds} s: ${expression}`, { cause: found?.error });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },

    async go(url) {
      await cdp('Page.navigate', { url });
      await page.until(`location.href.startsWith(${JSON.stringify(url)}) && document.readyState === 'complete'`);
    },

    async size(width, height, scale = 1) {
      await cdp('Emulation.setDeviceMetricsOverride', {
        width, height, deviceScaleFactor: scale, mobile: width < 600 });
    },

    async scheme(value, motion = 'no-preference') {
      await cdp('Emulation.setEmulatedMedia', { features: [
        { name: 'prefers-color-scheme', value }, { name: 'prefers-reduced-motion', value: motion }] });
    },

    async press(key, { shift = false, control = false } = {}) {
      const [code, text] = keys[key];
      const modifiers = (shift ? SHIFT : 0) | (control ? CONTROL : 0);
      await cdp('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', key, code: key, text,
                                            windowsVirtualKeyCode: code, modifiers });
      await cdp('Input.dispatchKeyEvent', { type: 'keyUp', key, code: key, windowsVirtualKeyCode: code,
                                            modifiers });
    },

    // Files that the page gives go to this folder.
    downloads: (downloadPath) => send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath }),

    // listener(message) for every event of the protocol.
    listen: (listener) => listeners.add(listener),

    type: (text) => cdp('Input.insertText', { text }),

    async point(selector, click = false) {
      const at = await page.js(`(() => { const e = document.querySelector(${JSON.stringify(selector)});
        e.scrollIntoView({ block: 'center' }); const r = e.getClientRects()[0];
        return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`);
      await cdp('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at });
      for (const type of click ? ['mousePressed', 'mouseReleased'] : [])
        await cdp('Input.dispatchMouseEvent', { type, ...at, button: 'left', clickCount: 1 });
    },

    click: (selector) => page.point(selector, true),

    async shoot(file, whole = false) {
      const { data } = await cdp('Page.captureScreenshot', { format: 'png', captureBeyondViewport: whole });
      writeFileSync(file, Buffer.from(data, 'base64'));
    },

    // In order, so that its other processes go as well; and if it does not, not.
    async close() {
      const over = gone || new Promise((resolve) => child.on('exit', resolve));
      const late = setTimeout(() => child.kill('SIGKILL'), 5000);
      send('Browser.close').catch(() => {});
      await over;
      clearTimeout(late);
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    },
  };
  listeners.add(({ method, params }) => {
    if (method === 'Network.requestWillBeSent') page.requests.push(params.request.url);
    if (method === 'Runtime.exceptionThrown')
      page.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type))
      page.complaints.push(params.args.map((a) => a.value ?? a.description).join(' '));
    if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level))
      page.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
  });
  return page;
}
