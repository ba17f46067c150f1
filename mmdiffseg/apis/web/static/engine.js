// Asks the server that this page came from.

import { deflate, inflate } from './files.js';

const TYPES = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };

async function json(response) {
  let said = null;
  try { said = await response.json(); } catch { /* no JSON: something stands between */ }
  if (response.ok && said) return said;
  throw new Error(said?.error ?? `the server answered ${response.status}`);
}

async function ask(address, options) {
  let response;
  try { response = await fetch(address, options); } catch { throw new Error('the server does not answer: is it still running?'); }
  return json(response);
}

function toBase64(bytes) {
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function unpack({ shape, dtype, data }) {
  const bytes = await inflate(fromBase64(data));
  return { shape, values: new TYPES[dtype](bytes.buffer) };
}

async function pack(labels, width, height) {
  return { shape: [height, width], dtype: 'uint8', data: toBase64(await deflate(labels)) };
}

// Parts a stack of maps (N, H, W).
function maps(packed) {
  if (!packed) return null;
  const [count, height, width] = packed.shape;
  return Array.from({ length: count }, (_, n) => packed.values.subarray(n * height * width, (n + 1) * height * width));
}

async function image(blob) { return toBase64(new Uint8Array(await blob.arrayBuffer())); }

export async function describe() {
  const model = await ask('api/model');
  model.samples = model.samples.map((name) => ({ name, address: `samples/${encodeURIComponent(name)}` }));
  return model;
}

// `question`: { picture: { blob, name, width, height }, steps, generations, seed, film, text,
// examples: [{ blob, mask, width, height }], mask, keep }
export async function segment(question) {
  const { picture, examples, mask, keep, ...settings } = question;
  const body = { ...settings, name: picture.name, image: await image(picture.blob), echo: !picture.pixels };
  if (mask) body.mask = await pack(mask, picture.width, picture.height);
  if (keep) body.keep = await pack(keep, picture.width, picture.height);
  if (examples) {
    body.examples = await Promise.all(examples.map(async (each) => (
      { image: await image(each.blob), mask: await pack(each.mask, each.width, each.height) })));
  }
  const said = await ask('api/segment', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  const found = {};
  for (const name of ['labels', 'samples', 'uncertainty', 'inner', 'outer', 'choices', 'depth', 'objects', 'film']) {
    found[name] = said[name] ? await unpack(said[name]) : null;
  }
  const flat = (name) => found[name]?.values ?? null;
  return {
    classes: said.classes,
    palette: said.palette,
    notes: said.notes,
    seconds: said.seconds,
    rle: said.rle,
    shape: (found.labels ?? found.depth).shape,
    labels: flat('labels'),
    samples: maps(found.samples),
    uncertainty: found.uncertainty && Float32Array.from(flat('uncertainty'), (value) => value / 255),
    inner: flat('inner'),
    outer: flat('outer'),
    choices: flat('choices'),
    depth: flat('depth'),
    objects: flat('objects'),
    film: maps(found.film),
    image: said.image ? new Blob([fromBase64(said.image)], { type: 'image/png' }) : null,
  };
}
