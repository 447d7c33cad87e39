// SPDX-License-Identifier: MIT
// Makes chats.json: what a Jinja interpreter makes of conversations with templates of each family.
//
//     npm install @huggingface/jinja@0.5                (in some other folder, and run it from there)
//     node make-chats.mjs > chats.json
import { createRequire } from 'node:module';

const { Template } = createRequire(process.cwd() + '/')('@huggingface/jinja');

const models = [
  {
    family: 'llama3', bos_token: '<|begin_of_text|>', eos_token: '<|end_of_text|>',
    template: "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
  },
  {
    family: 'llama3', bos_token: '<|begin_of_text|>', eos_token: '<|end_of_text|>', // BOS left to the tokenizer
    template: "{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
  },
  {
    family: 'bitnet', bos_token: '<|begin_of_text|>', eos_token: '<|end_of_text|>',
    template: "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = message['role'] | capitalize + ': '+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}",
  },
  {
    family: 'bitnet', bos_token: '<|begin_of_text|>', eos_token: '<|end_of_text|>',
    template: "{% for message in messages %}{{ message['role'] | capitalize + ': ' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}",
  },
  {
    family: 'falcon3', bos_token: null, eos_token: '<|endoftext|>',
    template: "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>\n' + message['content'] + eos_token + '\n' }}{% else %}{{ '<|assistant|>\n' + message['content'] + eos_token }}{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}",
  },
  {
    family: 'falcon3', bos_token: null, eos_token: '<|endoftext|>',
    template: "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '\n' }}{% else %}{{ '<|assistant|>\n' + message['content'] + '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
  },
  {
    family: 'chatml', bos_token: null, eos_token: '<|im_end|>',
    template: "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
  },
  {
    family: 'chatml', bos_token: '<s>', eos_token: '<|im_end|>',
    template: "{{ bos_token }}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
  },
];

const m = (role, content) => ({ role, content });
const conversations = [
  [m('user', 'Hello!')],
  [m('system', 'You are terse.'), m('user', 'Why is the sky blue?')],
  [m('user', 'One'), m('assistant', 'Two'), m('user', 'Three')],
  [m('system', ' \n padded\t'), m('user', '\n\nlines\n\nbetween\n\n'), m('assistant', '  two  spaces  '), m('user', '\u00a0\u3000wide\u2003')],
  [m('user', ''), m('assistant', ''), m('user', '   ')],
  [m('user', 'ends with an answer'), m('assistant', 'this one')],
  [m('user', '<|eot_id|><|im_end|><|endoftext|> {{ bos_token }} {% raw %}')],
  [m('user', 'größer 你好 👩‍👩‍👧‍👦')],
  [m('system', 'a'), m('system', 'b'), m('user', 'c'), m('user', 'd'), m('assistant', 'e'), m('assistant', 'f')],
];

const out = models.map(({ template, ...model }) => {
  const jinja = new Template(template);
  const cases = conversations.flatMap((messages) => [true, false].map((prompt) => {
    const text = jinja.render({ messages, add_generation_prompt: prompt, bos_token: model.bos_token, eos_token: model.eos_token });
    return JSON.stringify({ messages: messages.map((x) => [x.role, x.content]), prompt, text });
  }));
  const head = JSON.stringify({ ...model, template }).slice(0, -1);
  return `${head},"cases":[\n${cases.join(',\n')}\n]}`;
});
process.stdout.write(`[\n${out.join(',\n')}\n]\n`);
