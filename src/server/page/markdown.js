// SPDX-License-Identifier: MIT
//
// markdown.js - the little of Markdown that answers use, as elements: code, lists, headings, bold,
// emphasis.  What is not understood stays as it is written.  Links stay text: nobody should follow an
// address that a model made up with one click.
//
import { el } from './dom.js';

const marks = [['`', 'code'], ['**', 'strong'], ['*', 'em']];

// The text of a line with its marks.  A mark that is not closed is looked for once, not again for
// every opening, so the time grows with the line and no faster.
function inline(text) {
  const nodes = [];
  const open = new Set(marks.map(([mark]) => mark));
  let plain = '';
  for (let at = 0; at < text.length;) {
    const [mark, name] = marks.find(([m]) => open.has(m) && text.startsWith(m, at)) ?? [];
    const end = mark ? text.indexOf(mark, at + mark.length + 1) : -1;
    if (mark && end < 0) open.delete(mark);
    // "2 * 3 * 4" is no emphasis.
    if (end < 0 || (name !== 'code' && /\s/.test(text[at + mark.length] + text[end - 1]))) {
      plain += text[at++];
      continue;
    }
    if (plain) nodes.push(plain);
    plain = '';
    const inside = text.slice(at + mark.length, end);
    nodes.push(name === 'code' ? el('code', {}, inside) : el(name, {}, ...inline(inside)));
    at = end + mark.length;
  }
  if (plain) nodes.push(plain);
  return nodes;
}

const item = /^\s{0,3}(?:([-*+])|(\d{1,9})[.)])\s+(.*)$/;
const heading = /^#{1,6}\s+(.*)$/;
const fence = /^\s{0,3}```\s*([\w+-]*)\s*$/;

// A fragment; `text` may be an answer that is not at its end.
export function markdown(text) {
  const out = document.createDocumentFragment();
  const lines = text.split('\n');
  let paragraph = null;
  let list = null;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const code = fence.exec(line);
    const point = item.exec(line);
    const head = heading.exec(line);
    if (code) {
      const from = ++i;
      while (i < lines.length && !fence.test(lines[i])) i++;
      out.append(el('pre', { tabindex: 0, 'aria-label': `Code ${code[1]}`.trim(), role: 'region' },
                    el('code', {}, lines.slice(from, i).join('\n'))));
      paragraph = list = null;
    } else if (point) {
      const name = point[1] ? 'ul' : 'ol';
      if (list?.localName !== name) {
        list = el(name, name === 'ol' && point[2] !== '1' ? { start: point[2] } : {});
        out.append(list);
      }
      list.append(el('li', {}, ...inline(point[3])));
      paragraph = null;
    } else if (head) {
      out.append(el('p', { class: 'heading' }, ...inline(head[1])));
      paragraph = list = null;
    } else if (line.trim() === '') {
      paragraph = null;
    } else if (paragraph) {
      paragraph.append(el('br'), ...inline(line));
    } else {
      paragraph = el('p', {}, ...inline(line));
      out.append(paragraph);
      list = null;
    }
  }
  return out;
}
