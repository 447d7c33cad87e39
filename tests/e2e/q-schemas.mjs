// SPDX-License-Identifier: MIT
//
// q-schemas.mjs - schemas that people send, and random ones.
//
const object = (properties, rest = {}) => ({
  type: 'object', properties, required: Object.keys(properties), additionalProperties: false, ...rest });
const text = { type: 'string' };
const short = { type: 'string', maxLength: 12 };

export const schemas = {
  // From OpenAI's documentation of structured outputs.
  'calendar event': object({ name: text, date: text, participants: { type: 'array', items: text } }),
  'math steps': object({
    steps: { type: 'array', items: object({ explanation: text, output: text }) },
    final_answer: text }),
  'moderation': object({
    is_violating: { type: 'boolean', description: 'Indicates if the content is violating guidelines' },
    category: { type: ['string', 'null'], enum: ['violence', 'sexual', 'self_harm', null] },
    explanation_if_violating: { type: ['string', 'null'] } }),
  'weather arguments': object({
    location: { type: 'string', description: 'City' },
    unit: { type: ['string', 'null'], enum: ['F', 'C', null] } }),
  'user interface, recursive': {
    type: 'object',
    properties: {
      type: { type: 'string', enum: ['div', 'button', 'header', 'section', 'field', 'form'] },
      label: short,
      children: { type: 'array', items: { $ref: '#' }, maxItems: 2 },
      attributes: { type: 'array', maxItems: 2, items: object({ name: short, value: short }) } },
    required: ['type', 'label', 'children', 'attributes'], additionalProperties: false },
  'anyOf of definitions': {
    type: 'object',
    properties: { item: { anyOf: [
      object({ name: text, age: { type: 'number' } }),
      object({ number: text, street: text, city: text })] } },
    additionalProperties: false, required: ['item'] },
  'linked list': {
    type: 'object',
    properties: { linked_list: { $ref: '#/$defs/linked_list_node' } },
    $defs: { linked_list_node: {
      type: 'object',
      properties: {
        value: { type: 'number' },
        next: { anyOf: [{ $ref: '#/$defs/linked_list_node' }, { type: 'null' }] } },
      additionalProperties: false, required: ['next', 'value'] } },
    additionalProperties: false, required: ['linked_list'] },
  'restrictions': object({
    username: { type: 'string', pattern: '^[a-zA-Z0-9_]+$', maxLength: 10 },
    email: { type: 'string', format: 'email' },
    price: { type: 'number', minimum: 0, maximum: 100, multipleOf: 0.5 } }),
  // As pydantic and zod write them.
  'pydantic': {
    $defs: { Kind: { enum: ['a', 'b'], title: 'Kind', type: 'string' } },
    properties: {
      id: { title: 'Id', type: 'integer' },
      kind: { $ref: '#/$defs/Kind', default: 'a' },
      note: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null, title: 'Note' } },
    required: ['id'], title: 'Thing', type: 'object' },
  'discriminated union': {
    oneOf: [
      { properties: { kind: { const: 'cat', type: 'string' }, lives: { type: 'integer' } },
        required: ['kind', 'lives'], type: 'object' },
      { properties: { kind: { const: 'dog', type: 'string' }, name: short },
        required: ['kind'], type: 'object' }] },
  'record': { type: 'object', propertyNames: { type: 'string' },
              additionalProperties: { type: 'integer' }, maxProperties: 4 },
  'open object': { type: 'object', properties: { name: short, nam: { type: 'null' } },
                   required: ['name'], additionalProperties: { type: 'boolean' } },
  'optionals': { type: 'object', properties: {
    a: { type: 'integer' }, b: { type: 'null' }, c: { type: 'boolean' }, d: { const: 1 } },
                 required: ['c'], additionalProperties: false },
  'all optional': { type: 'object', properties: {
    a: { type: 'integer' }, b: { type: 'null' }, c: { type: 'boolean' } } },
  'tuple': { type: 'array', prefixItems: [{ type: 'integer' }, short], items: { type: 'null' },
             minItems: 1, maxItems: 4 },
  'array of arrays': { type: 'array', items: { type: 'array', items: { type: 'integer' }, maxItems: 3 },
                       minItems: 1, maxItems: 3 },
  'anything': true,
  'any object': { type: 'object' },
  'integers': { type: 'integer' },
  'numbers': { type: 'number' },
  'percent': { type: 'integer', minimum: 0, maximum: 100 },
  'below zero': { type: 'integer', exclusiveMaximum: 0, minimum: -1234 },
  'probability': { type: 'number', minimum: 0, maximum: 1 },
  'strictly between': { type: 'number', exclusiveMinimum: -2.5, exclusiveMaximum: 17.25 },
  'open range': { type: 'number', exclusiveMinimum: 0 },
  'tens': { type: 'integer', multipleOf: 10, minimum: -500, maximum: 10000 },
  'sevens': { type: 'integer', multipleOf: 7, minimum: 0, maximum: 700 },
  'lengths': { type: 'string', minLength: 3, maxLength: 6 },
  'mentions': { type: 'string', pattern: '@[a-z]{2,5}', maxLength: 30 },
  'phone': { type: 'string', pattern: '^\\+?[1-9]\\d{1,14}$' },
  'escapes': { type: 'string', pattern: '^["\\\\\\n\\t/\\u0001é😀]{1,8}$' },
  'class by negation': { type: 'string', pattern: '^[^a-z]{1,5}\\S\\W$' },
  'constants': { enum: ['a"b\\c\n', 1, -2.5, null, true, [1, { a: [] }], { k: 'é' }] },
  'conjunction': { allOf: [
    { type: 'object', properties: { a: { type: 'integer', minimum: 3 } }, required: ['a'] },
    { properties: { a: { maximum: 5 }, b: short }, required: ['b'] }] },
  'one of two required': { type: 'object', properties: { a: { type: 'null' }, b: { type: 'null' } },
                           anyOf: [{ required: ['a'] }, { required: ['b'] }] },
  'mixed types': { type: ['string', 'integer', 'null', 'array'], maxLength: 4, maximum: 50, maxItems: 2 },
};
for (const format of ['date', 'time', 'date-time', 'duration', 'uuid', 'email', 'hostname', 'ipv4', 'ipv6',
                      'uri'])
  schemas[`format ${format}`] = { type: 'string', format };

// ---- random ones: combinations of what is supported, which may contradict themselves
export function randomSchemas(seed, n) {
  let state = BigInt(seed) || 1n;
  const random = (below) => {
    state ^= state >> 12n;
    state ^= (state << 25n) & 0xffffffffffffffffn;
    state ^= state >> 27n;
    return Number(((state * 2685821657736338717n) & 0xffffffffffffffffn) >> 33n) % below;
  };
  const pick = (list) => list[random(list.length)];
  const maybe = (chance, make) => (random(100) < chance ? make() : {});
  const number = () => (random(2) ? random(2000) - 1000 : (random(200000) - 100000) / pick([10, 100, 1000]));
  const names = ['a', 'ab', 'abc', 'b', 'é"', 'x\\y', 'n\t'];
  const makers = [
    () => ({ type: 'string', ...maybe(40, () => ({ minLength: random(4) })),
             ...maybe(40, () => ({ maxLength: 4 + random(8) })) }),
    () => ({ type: 'string', pattern: pick(['^a+b?$', 'x', '^[^x]*$', '^(ab|c){1,3}$', '\\d$', '^\\w{2,}']) }),
    () => ({ type: pick(['integer', 'number']), ...maybe(60, () => ({ minimum: number() })),
             ...maybe(60, () => ({ maximum: number() })), ...maybe(20, () => ({ exclusiveMinimum: number() })),
             ...maybe(20, () => ({ exclusiveMaximum: number() })) }),
    () => ({ type: pick(['null', 'boolean']) }),
    () => ({ enum: [random(9), pick(names), null, [pick(names)], 0.25].slice(random(5)) }),
  ];
  const make = (depth) => {
    if (depth === 0 || random(100) < 30) return pick(makers)();
    const kind = random(6);
    if (kind <= 1) {
      const own = names.filter(() => random(2)).sort(() => random(3) - 1);
      return { type: 'object', properties: Object.fromEntries(own.map((k) => [k, make(depth - 1)])),
               ...maybe(70, () => ({ required: own.filter(() => random(2)) })),
               ...maybe(60, () => ({ additionalProperties: pick([true, false, make(depth - 1)]) })) };
    }
    if (kind === 2)
      return { type: 'array', ...maybe(80, () => ({ items: make(depth - 1) })),
               ...maybe(40, () => ({ minItems: random(3) })), ...maybe(60, () => ({ maxItems: 1 + random(4) })),
               ...maybe(20, () => ({ prefixItems: [make(depth - 1), make(depth - 1)] })) };
    if (kind === 3) return { anyOf: [make(depth - 1), make(depth - 1)] };
    if (kind === 4) return { oneOf: [make(depth - 1), make(depth - 1)] };
    return { allOf: [make(depth - 1), make(depth - 1)] };
  };
  return Array.from({ length: n }, () => make(3));
}
