// The page: takes a picture, asks the engine, shows what it says.

import { describe, segment } from './engine.js';
import { depthPicture, figure, heatOverlay, labelOverlay, show, zones, ZONES } from './draw.js';
import { canvasPng, download, labelPng, zip } from './files.js';
import { Painter } from './painter.js';

const $ = (id) => document.getElementById(id);
let model = null;      // what describe() says
let picture = null;    // { blob, name, width, height, pixels }; no pixels where the browser cannot read it
let answer = null;     // what segment() says, with the picture it is about
let examples = [];     // { blob, painter }
let painter = null;    // of the correction
let start = null;      // painter of the mask that a refiner begins with
let playing = null;

const EXAMPLE_CLASSES = { classes: ['not this', 'this'], palette: [[70, 70, 70], [46, 184, 92]] };

function say(text) { $('status').textContent = text; }

function fail(error) {
  $('error').textContent = error.message ?? String(error);
  $('error').hidden = false;
  say('');
}

// Runs what may fail; the sentence of the error is shown.
function guarded(run) {
  return async (...values) => {
    $('error').hidden = true;
    try { return await run(...values); } catch (error) { fail(error); }
  };
}

function pixelsOf(bitmap, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  return { canvas, pixels: context.getImageData(0, 0, width, height) };
}

// Reads a picture file; one that is too large for the model is made smaller.
async function read(blob, name) {
  let bitmap;
  try { bitmap = await createImageBitmap(blob); } catch { return { blob, name }; }
  const shrink = Math.min(1, Math.sqrt(model.limits.pixels / (bitmap.width * bitmap.height)));
  const width = Math.max(1, Math.floor(bitmap.width * shrink));
  const height = Math.max(1, Math.floor(bitmap.height * shrink));
  const { canvas, pixels } = pixelsOf(bitmap, width, height);
  const note = shrink < 1 ? `made smaller, from ${bitmap.width} x ${bitmap.height}` : '';
  bitmap.close();
  // what a request cannot hold is packed anew, too
  const large = shrink < 1 || blob.size * 1.4 > model.limits.body;
  return { blob: large ? await canvas.convertToBlob({ type: 'image/png' }) : blob, name, width, height, pixels, note };
}

async function take(blob, name) {
  $('answer').hidden = true;
  answer = null;
  picture = await read(blob, name.slice(0, 200));
  $('chosen').hidden = !picture.pixels;
  if (picture.pixels) show($('chosen'), picture.pixels);
  $('hint').textContent = picture.pixels
    ? `${name}: ${picture.width} x ${picture.height}${picture.note ? ` (${picture.note})` : ''}`
    : `${name}: this browser cannot show it`;
  if (model.asks === 'mask') {
    if (!picture.pixels) throw new Error(`${name} cannot be shown by this browser, so nothing can be painted on it: save it as PNG`);
    $('mask-painter').replaceChildren();
    start = new Painter($('mask-painter'), picture.pixels, { ...model, caption: 'mask' });
  }
  $('go').disabled = false;
}

function offer(name, value, most) {
  const shown = value !== undefined;
  $(`${name}-part`).hidden = !shown;
  if (!shown) return;
  const choices = model.choices?.[name];
  const slider = $(name);
  const write = () => { $(`${name}-value`).textContent = setting(name); };
  slider.min = choices ? 0 : 1;
  slider.max = choices ? choices.length - 1 : Math.min(most, model.limits[name]);
  slider.value = choices ? Math.max(0, choices.indexOf(value)) : value;
  slider.oninput = write;
  write();
}

function setting(name) {
  if ($(`${name}-part`).hidden) return undefined;
  const value = Number($(name).value);
  return model.choices?.[name] ? model.choices[name][value] : value;
}

async function begin() {
  model = await describe();
  $('model').textContent = `${model.name}: ${model.classes.slice(0, 12).join(', ')}${model.classes.length > 12 ? ', ...' : ''}`;
  const { steps, generations } = model.settings;
  offer('steps', steps, Math.max(25, 2 * steps));
  offer('generations', generations, Math.max(16, generations));
  $('seed').value = model.settings.seed ?? 0;
  $('film-part').hidden = !model.films;
  $('text-part').hidden = model.asks !== 'text';
  $('examples-part').hidden = model.asks !== 'examples';
  $('mask-part').hidden = model.asks !== 'mask';
  for (const { name, address } of model.samples) {
    const button = Object.assign(document.createElement('button'), { type: 'button', title: name });
    button.append(Object.assign(new Image(), { src: address, alt: name }));
    button.onclick = guarded(async () => take(await (await fetch(address)).blob(), name));
    $('samples').append(button);
  }
}

function question() {
  const asked = { picture, seed: Number($('seed').value) || 0 };
  for (const name of ['steps', 'generations']) {
    const value = setting(name);
    if (value !== undefined) asked[name] = value;
  }
  if (model.films && $('film').checked) asked.film = true;
  if (model.asks === 'text') asked.text = $('text').value;
  if (model.asks === 'examples') {
    asked.examples = examples.filter(({ painter: each }) => !each.empty).map(({ blob, painter: each }) => (
      { blob, mask: each.over(), width: each.picture.width, height: each.picture.height }));
    if (!asked.examples.length) throw new Error('show what to look for: add an example and paint on it');
  }
  if (model.asks === 'mask') {
    if (start.empty) throw new Error('paint the mask first');
    asked.mask = start.over();
  }
  return asked;
}

async function run(asked) {
  if (asked.text !== undefined && !asked.text.trim()) throw new Error('say what to look for');
  const buttons = [$('go'), $('refine')];
  buttons.forEach((button) => { button.disabled = true; });
  const began = performance.now();
  const clock = setInterval(() => say(`Segmenting ... ${((performance.now() - began) / 1000).toFixed(0)} s`), 500);
  say('Segmenting ...');
  try {
    const said = await segment(asked, say);
    if (said.image) asked.picture = await read(said.image, asked.picture.name);
    answer = { ...said, picture: asked.picture };
  } finally {
    clearInterval(clock);
    buttons.forEach((button) => { button.disabled = false; });
  }
  say(`Segmented in ${answer.seconds.toFixed(1)} s.`);
  await showAnswer();
}

// The picture at the size of the maps: a map from above has cells of its own.
async function ground() {
  const [height, width] = answer.shape, { pixels } = answer.picture;
  if (pixels.width === width && pixels.height === height) return pixels;
  return pixelsOf(await createImageBitmap(pixels), width, height).pixels;
}

async function showAnswer() {
  stop();
  $('answer').hidden = false;
  $('notes').replaceChildren(...(answer.notes ?? []).map((note) => Object.assign(document.createElement('li'), { textContent: note })));
  const present = answer.labels ? [...new Set(answer.labels)].filter((n) => n < answer.classes.length).sort((a, b) => a - b) : [];
  $('legend').replaceChildren(...present.map((n) => {
    const entry = document.createElement('li'), colour = document.createElement('i');
    colour.style.background = `rgb(${answer.palette[n]})`;
    entry.append(colour, answer.classes[n]);
    return entry;
  }));
  $('save-labels').hidden = !answer.labels;
  await draw();
  $('film-view').hidden = !answer.film;
  if (answer.film) {
    $('frame').max = answer.film.length;
    $('frame').value = answer.film.length;
    await drawFrame();
  }
  $('refine-part').hidden = !model.refines || !answer.labels;
  if (!$('refine-part').hidden) {
    $('refine-painter').replaceChildren();
    painter = new Painter($('refine-painter'), overlay(answer.picture.pixels, answer.labels), answer);
  }
}

function overlay(pixels, labels, objects) {
  return labelOverlay(pixels, labels, answer.palette, {
    opacity: Number($('opacity').value), unlabelled: 256 ** labels.BYTES_PER_ELEMENT - 1, objects,
  });
}

// The pictures of an answer by their captions, in the order of the page.
async function pictures() {
  const pixels = await ground(), [height, width] = answer.shape;
  const drawn = [['picture', pixels]];
  if (answer.depth) drawn.push(['depth', depthPicture(answer.depth, width, height)]);
  if (answer.labels) drawn.push(['prediction', overlay(pixels, answer.labels)]);
  if (answer.objects) drawn.push(['objects', overlay(pixels, answer.labels, answer.objects)]);
  if (answer.uncertainty) drawn.push(['uncertainty', heatOverlay(pixels, answer.uncertainty)]);
  if (answer.inner || answer.outer) {
    const map = zones(answer.inner, answer.outer);
    drawn.push(['surely object (green), possibly (orange)', labelOverlay(pixels, map, ZONES, { opacity: Number($('opacity').value) })]);
  }
  if (answer.choices) {
    const share = Float32Array.from(answer.choices, (count) => (count - 1) / Math.max(answer.classes.length - 1, 1));
    drawn.push(['number of possible classes', heatOverlay(pixels, share)]);
  }
  (answer.samples ?? []).forEach((labels, n) => drawn.push([`sample ${n + 1}`, overlay(pixels, labels)]));
  return drawn;
}

async function draw() {
  $('gallery').replaceChildren(...(await pictures()).map(([caption, drawn]) => figure(caption, drawn)));
}

async function frame(number) {
  const [height, width] = answer.shape, map = answer.film[number];
  return answer.labels ? overlay(await ground(), map) : depthPicture(map, width, height);
}

async function drawFrame() {
  const number = Number($('frame').value);
  $('frame-value').textContent = `${number} of ${answer.film.length}`;
  show($('film-frame'), await frame(number - 1));
}

function stop() {
  clearInterval(playing);
  playing = null;
  $('play').textContent = 'Play';
}

function play() {
  if (playing !== null) { stop(); return; }
  $('play').textContent = 'Stop';
  if (Number($('frame').value) === answer.film.length) $('frame').value = 1;
  drawFrame();
  playing = setInterval(() => {
    if (Number($('frame').value) === answer.film.length) { stop(); return; }
    $('frame').value = Number($('frame').value) + 1;
    drawFrame();
  }, 400);
}

function stem() { return answer.picture.name.replace(/\.[^./\\]*$/, '').replace(/[^\w.-]+/g, '_') || 'picture'; }

async function saveAll() {
  const [height, width] = answer.shape, files = {};
  const png = (labels) => labelPng(labels, width, height, answer.palette);
  if (answer.labels) files['labels.png'] = await png(answer.labels);
  if (answer.rle) files['masks.json'] = new TextEncoder().encode(JSON.stringify({ image: answer.picture.name, segments: answer.rle }));
  if (answer.uncertainty) {
    const bytes = Uint8Array.from(answer.uncertainty, (value) => Math.round(255 * value));
    files['uncertainty.png'] = await labelPng(bytes, width, height, Array.from({ length: 256 }, (_, n) => [n, n, n]));
  }
  for (const [n, labels] of (answer.samples ?? []).entries()) files[`samples/${n + 1}.png`] = await png(labels);
  for (const name of ['inner', 'outer']) {
    if (answer[name]) files[`${name}.png`] = await labelPng(answer[name], width, height, [[0, 0, 0], [255, 255, 255]]);
  }
  const canvas = document.createElement('canvas');
  for (const [caption, drawn] of await pictures()) {
    files[`shown/${caption.replace(/[^\w]+/g, '_')}.png`] = await canvasPng(show(canvas, drawn));
  }
  for (let n = 0; n < (answer.film?.length ?? 0); n++) {
    files[`film/${String(n + 1).padStart(3, '0')}.png`] = await canvasPng(show(canvas, await frame(n)));
  }
  download(zip(files), `${stem()}.zip`, 'application/zip');
}

async function addExample(blob, name) {
  if (examples.length === model.limits.examples) throw new Error(`there may be ${model.limits.examples} examples here`);
  const example = await read(blob, name);
  if (!example.pixels) throw new Error(`${name} cannot be shown by this browser, so nothing can be painted on it: save it as PNG`);
  const each = new Painter($('examples'), example.pixels, { ...EXAMPLE_CLASSES, caption: `example ${examples.length + 1}` });
  examples.push({ blob: example.blob, painter: each });
}

$('file').onchange = guarded(async (event) => {
  const [file] = event.target.files;
  event.target.value = '';
  if (file) await take(file, file.name);
});
$('example-file').onchange = guarded(async (event) => {
  const [file] = event.target.files;
  event.target.value = '';
  if (file) await addExample(file, file.name);
});
$('example-this').onclick = guarded(async () => {
  if (!picture) throw new Error('choose a picture first');
  await addExample(picture.blob, picture.name);
});
$('drop').ondragover = (event) => { event.preventDefault(); $('drop').classList.add('over'); };
$('drop').ondragleave = () => $('drop').classList.remove('over');
$('drop').ondrop = guarded(async (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  const [file] = event.dataTransfer.files;
  if (!file) throw new Error('that is no file: drop a picture');
  await take(file, file.name);
});
document.onpaste = guarded(async (event) => {
  const [file] = event.clipboardData.files;
  if (file) await take(file, file.name || 'pasted');
});
$('ask').onsubmit = guarded(async (event) => {
  event.preventDefault();
  await run(question());
});
$('refine').onclick = guarded(async () => {
  if (painter.empty) throw new Error('paint what is wrong first');
  const { film, ...asked } = question();
  asked.picture = answer.picture;
  await run({ ...asked, mask: painter.over(answer.labels), keep: painter.painted });
});
$('opacity').oninput = guarded(async () => { await draw(); if (answer.film) await drawFrame(); });
$('frame').oninput = guarded(async () => { stop(); await drawFrame(); });
$('play').onclick = guarded(play);
$('save-labels').onclick = guarded(async () => {
  const [height, width] = answer.shape;
  download(await labelPng(answer.labels, width, height, answer.palette), `${stem()}.png`, 'image/png');
});
$('save-all').onclick = guarded(saveAll);
guarded(begin)();
