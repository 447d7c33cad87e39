// SPDX-License-Identifier: MIT
//
// y-kubernetes.mjs FOLDER TYPES.ts [CRDS] - the manifests against their kinds' schemas.
//
// Kinds of Kubernetes, of the Prometheus operator and of the Gateway API: by the validators of the
// package kubernetes-models, which know types, patterns and what is required.  They let unknown fields
// pass, and the server drops those silently, so a program is written to TYPES.ts that the TypeScript
// compiler refuses when there is one.  What has no package is checked by the schemas below, of our own
// after the published references; or by the CustomResourceDefinitions in the folder CRDS.
import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import Ajv from 'ajv';
import { parseAllDocuments } from 'yaml';

const [folder, types, crds] = process.argv.slice(2);
const packages = ['kubernetes-models', '@kubernetes-models/prometheus-operator',
                  '@kubernetes-models/gateway-api'];
let checks = 0;

// ---- what has no package

const name = { type: 'string', minLength: 1, maxLength: 253 };
const port = { type: 'integer', minimum: 1, maximum: 65535 };
const number = { type: 'object', required: ['number'], properties: { number: port } };
const metadata = { type: 'object', required: ['name'],
                   properties: { name, labels: { type: 'object', additionalProperties: true } } };
const own = {
  // gateway-api-inference-extension, InferencePoolSpec of inference.networking.k8s.io/v1
  'inference.networking.k8s.io/v1 InferencePool': {
    type: 'object', required: ['spec', 'metadata'], properties: {
      apiVersion: {}, kind: {}, metadata,
      spec: { type: 'object', required: ['selector', 'targetPorts', 'endpointPickerRef'], properties: {
        appProtocol: { enum: ['http', 'kubernetes.io/h2c'] },
        selector: { type: 'object', required: ['matchLabels'], properties: {
          matchLabels: { type: 'object', minProperties: 1, maxProperties: 64, additionalProperties:
            { type: 'string', maxLength: 63, pattern: '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$' } } } },
        targetPorts: { type: 'array', minItems: 1, maxItems: 8, items: number },
        endpointPickerRef: { type: 'object', required: ['name', 'port'], properties: {
          group: { type: 'string', maxLength: 253 }, kind: name, name, port: number,
          failureMode: { enum: ['FailOpen', 'FailClose'] } } },
      } },
    } },
  // llm-d's endpoint picker, which reads this from a file
  'llm-d.ai/v1alpha1 EndpointPickerConfig': {
    type: 'object', required: ['plugins', 'schedulingProfiles'], properties: {
      apiVersion: {}, kind: {},
      featureGates: { type: 'array', items: { type: 'string' } },
      plugins: { type: 'array', minItems: 1, items: { type: 'object', required: ['type'], properties:
        { name, type: name, parameters: { type: 'object', additionalProperties: true } } } },
      schedulingProfiles: { type: 'array', minItems: 1, items: {
        type: 'object', required: ['name', 'plugins'], properties: { name, plugins: {
          type: 'array', items: { type: 'object', required: ['pluginRef'],
            properties: { pluginRef: name, weight: { type: 'number' } } } } } } },
      dataLayer: { type: 'object', additionalProperties: true },
      flowControl: { type: 'object', additionalProperties: true },
      requestHandler: { type: 'object', additionalProperties: true },
    } },
};

// What a schema does not name is unknown, unless it says otherwise.
function close(schema) {
  if (Array.isArray(schema)) return schema.map(close);
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([k, v]) => [k, close(v)]));
  if (copy.type === 'object' && copy.properties && copy.additionalProperties === undefined &&
      !copy['x-kubernetes-preserve-unknown-fields'])
    copy.additionalProperties = false;
  return copy;
}

const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
const schemas = new Map(Object.entries(own).map(([kind, s]) => [kind, ajv.compile(close(s))]));
for (const file of crds ? fs.readdirSync(crds).filter((f) => f.endsWith('.yaml')) : [])
  for (const crd of parseAllDocuments(fs.readFileSync(path.join(crds, file), 'utf8')).map((d) => d.toJS()))
    for (const v of crd?.kind === 'CustomResourceDefinition' ? crd.spec.versions : []) {
      const schema = v.schema.openAPIV3Schema;
      schema.properties.metadata = { type: 'object', additionalProperties: true };
      schemas.set(`${crd.spec.group}/${v.name} ${crd.spec.names.kind}`, ajv.compile(close(schema)));
    }

// ---- one document

async function find_model(apiVersion, kind) {
  for (const from of packages) {
    const module = `${from}/${apiVersion}/${kind}`;
    try {
      return { module, type: (await import(module))[kind] };
    } catch (error) {
      if (!['ERR_MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED'].includes(error.code)) throw error;
    }
  }
  return null;
}

let program = '';

// null, or what is wrong.
async function check(document, write) {
  const { apiVersion, kind } = document;
  const validate = schemas.get(`${apiVersion} ${kind}`);
  if (validate)
    return validate(document) ? null : ajv.errorsText(validate.errors, { dataVar: kind });
  const model = await find_model(apiVersion, kind);
  assert(model, `nothing is known of ${apiVersion} ${kind}`);
  if (write) {
    const n = program.length;
    program += `import type { I${kind} as T${n} } from '${model.module}';\n` +
      `export const d${n}: T${n} = ${JSON.stringify(document, null, 1)};\n`;
  }
  try {
    new model.type(document).validate();
    return null;
  } catch (error) {
    return error.message;
  }
}

const documents = [];
for (const file of fs.readdirSync(folder).filter((f) => f.endsWith('.yaml')).sort())
  for (const parsed of parseAllDocuments(fs.readFileSync(path.join(folder, file), 'utf8'))) {
    assert.deepEqual(parsed.errors, [], file);
    documents.push({ file, document: parsed.toJS() });
  }
assert(documents.length >= 9, 'too few documents');
for (const { file, document } of documents) {
  assert.equal(await check(document, true), null, `${file}: ${document.kind}`);
  checks++;
  for (const [key, text] of Object.entries(document.data ?? {}))
    for (const inner of key.endsWith('.yaml') ? parseAllDocuments(text).map((d) => d.toJS()) : []) {
      assert.equal(await check(inner), null, `${file}: ${key}`);
      checks++;
    }
}
fs.writeFileSync(types, program);

// ---- and a document with a fault is refused

const spoiled = (kind, change) => {
  const copy = structuredClone(documents.find((d) => d.document.kind === kind).document);
  change(copy);
  return copy;
};
for (const [kind, change] of [
  ['Deployment', (d) => delete d.spec.selector],
  ['Deployment', (d) => (d.spec.replicas = 'three')],
  ['Deployment', (d) => (d.spec.template.spec.containers[0].ports[0].containerPort = 'http')],
  ['HorizontalPodAutoscaler', (d) => (d.spec.maxReplicas = '20')],
  ['PodMonitor', (d) => delete d.spec.selector],
  ['HTTPRoute', (d) => (d.spec.rules[0].matches[0].path.type = 'Prefix')],
  ['InferencePool', (d) => (d.spec.targetPort = 8080)],
  ['InferencePool', (d) => (d.spec.targetPorts[0].number = 80800)],
  ['InferencePool', (d) => (d.spec.endpointPickerRef.failureMode = 'FailSafe')],
]) {
  assert.notEqual(await check(spoiled(kind, change)), null, `${kind} passes: ${change}`);
  checks++;
}
console.log(`${checks} manifests and faults`);
