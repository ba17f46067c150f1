// Runs the folder of an exported model, as mmdiffseg.runtime does.

import * as ort from './vendor/ort.wasm.min.mjs';
import { WALKS } from './chains.js';
import { Draws } from './draws.js';
import { byWindows, concatenate, cropped, highest, map, prepared, resized, stack } from './maps.js';
import { READOUTS } from './readouts.js';

const LAYOUT = 1;

ort.env.wasm.wasmPaths = new URL('vendor/', import.meta.url).href;

export class Model {
  // Reads a folder; `tell` hears how far it is.
  static async load(folder, tell = () => {}) {
    const model = new Model();
    const response = await fetch(new URL('loop.json', folder));
    if (!response.ok) throw new Error('the model is missing: build this page with an exported model');
    model.loop = await response.json();
    model.check();
    model.graphs = {};
    for (const [name, graph] of Object.entries(model.loop.graphs)) {
      tell(`Loading the ${name} ...`);
      const file = await fetch(new URL(graph.file, folder));
      if (!file.ok) throw new Error(`the model lacks ${graph.file}: build this page again`);
      const session = await ort.InferenceSession.create(await file.arrayBuffer(), { executionProviders: ['wasm'] });
      model.graphs[name] = { ...graph, session };
    }
    return model;
  }

  check() {
    const { layout, format, kind, readout, pictures } = this.loop;
    if (layout !== LAYOUT) throw new Error(`the model has the layout ${layout}, and this page reads ${LAYOUT}: export it again`);
    if (format !== 'onnx') throw new Error(`the model is stored as ${format}, and this page reads onnx: export it with --format onnx`);
    if (!WALKS[kind] || !READOUTS[readout.kind]) throw new Error(`this page does not run models of the kind ${kind} with ${readout.kind}: take mmdiffseg serve`);
    if (pictures.resize) throw new Error('this page does not run models that resize pictures: take mmdiffseg serve');
  }

  get steps() { return Object.keys(this.loop.chains).map(Number).sort((a, b) => a - b); }

  // Answers for a picture: { name, rgba, width, height }; `tell` hears how far it is.
  async segment({ name, rgba, width, height }, { steps, generations, seed, film }, tell = () => {}) {
    const { loop } = this, Readout = READOUTS[loop.readout.kind];
    const rows = loop.chains[steps];
    if (!rows) throw new Error(`steps must be one of ${this.steps.join(', ')}, got ${steps}`);
    const image = prepared(rgba, height, width, loop.pictures, loop.size);
    if (loop.size && !loop.windows && (image.height !== loop.size[0] || image.width !== loop.size[1])) {
      throw new Error(`the picture has ${width} x ${height} pixels, and the model takes at most ${loop.size[1]} x ${loop.size[0]}`);
    }
    const settings = { name, generations, seed, rows, film, tell };
    const read = (part) => this.read(part, settings);
    let maps = loop.windows ? await byWindows(image, read, loop.windows) : await read(image);
    maps = resized(cropped(maps, height, width), height, width, loop.align_corners);
    const channels = film ? this.filmChannels : 0, shown = maps.count - channels * rows.length;
    const answer = Readout.read(stack(maps.data.subarray(0, shown * height * width), height, width), loop.readout);
    if (film) answer.film = rows.map((_, n) => this.frame(maps, shown + n * channels));
    return { ...answer, ...this.sure(answer), shape: [height, width] };
  }

  get filmChannels() {
    const { kind, classes } = this.loop.readout;
    return kind === 'masks' && classes === 2 ? 1 : classes;
  }

  frame(maps, first) {
    return this.filmChannels > 1 ? highest(maps, first, this.filmChannels)
      : Uint8Array.from(map(maps, first), (value) => value > 0);
  }

  // The maps of an image, at its size: those of the readout, then those of every step of the film.
  async read(image, { name, generations, seed, rows, film, tell }) {
    const { loop } = this, readout = new READOUTS[loop.readout.kind](loop.readout), frames = [];
    const context = await this.run('encoder', { image: [image.data, [1, 3, image.height, image.width]] });
    const shape = loop.map.map((rule) => (
      typeof rule === 'number' ? rule
        : Math[rule[2] === 'down' ? 'floor' : 'ceil']((rule[0] === 'H' ? image.height : image.width) / rule[1])));
    const call = (state) => this.run('step', { ...state, ...context });
    const atOnce = loop.defaults.max_batch ?? generations;
    for (let first = 0; first < generations; first += atOnce) {
      const count = Math.min(atOnce, generations - first);
      // the name that torch's side gives to the noise of an image
      const names = Array.from({ length: count }, (_, n) => `${name}/None/${shape[1]}x${shape[2]}/${first + n}`);
      for await (const step of WALKS[loop.kind](loop, rows, call, shape, new Draws(names, seed))) {
        tell(`Step ${step.index + 1} of ${rows.length}, ${first + count} of ${generations} generations ...`);
        readout.add(step, step.index === rows.length - 1);
        if (film && first === 0) {
          const whole = loop.readout.kind === 'masks' ? step.x0 : step.probability;
          const size = this.filmChannels * whole.height * whole.width;
          frames.push(stack(whole.data.slice(0, size), whole.height, whole.width));
        }
      }
    }
    return resized(concatenate([...readout.maps(), ...frames]), image.height, image.width, loop.align_corners);
  }

  // Runs a graph: { name: [values, shape] or tensor } to { name: tensor }.
  async run(name, given) {
    const { session, outputs } = this.graphs[name], feeds = {};
    for (const input of session.inputMetadata) {
      const value = given[input.name];
      if (!Array.isArray(value)) { feeds[input.name] = value; continue; }
      const [numbers, shape] = value, whole = input.type === 'int64';
      const data = whole ? BigInt64Array.from(numbers, BigInt) : Float32Array.from(numbers);
      feeds[input.name] = new ort.Tensor(input.type, data, shape);
    }
    const said = await session.run(feeds);
    return Object.fromEntries(outputs.map((output) => [output, said[output]]));
  }

  // What the guarantee of the model, if it has one, says: see mmdiffseg.evaluation.conformal.
  sure({ probability, samples, labels }) {
    const guarantee = this.loop.meta.guarantee;
    if (guarantee?.kind !== 'threshold') return {};
    const { value, risk, source } = guarantee, size = labels.length;
    let score = probability.subarray(size, 2 * size);
    // the samples vote, and so does the probability
    if (source === 'samples') score = score.map((share, p) => (share + samples.filter((one) => one[p] === 1).length) / (samples.length + 1));
    const [low, high] = risk === 'iou' ? [1 - value, value] : [value, value];
    const found = {};
    if (risk !== 'missed') found.inner = Uint8Array.from(score, (share) => share > high);
    if (risk !== 'false_positive') found.outer = Uint8Array.from(score, (share) => share >= low);
    return found;
  }
}
