// What chains mean, as in mmdiffseg.runtime.readouts: maps to resize, and what they say afterwards.

import { highest, map, stack } from './maps.js';

const SMALLEST = 1.1754943508222875e-38;

// The mean of what follows one another in steps of `size`; divided last, so that votes that are equal stay so.
function meanOf(values, size) {
  const total = new Float32Array(size);
  for (let i = 0; i < values.length; i++) total[i % size] += values[i];
  return total.map((sum) => sum / (values.length / size));
}

// Entropy, mutual information or variance of the generations, in [0, 1].
class Spread {
  constructor(measure, classes, everyStep) { Object.assign(this, { measure, classes, everyStep, parts: 0 }); }

  add(probability, last) {
    if (!last && !this.everyStep) return;
    const { data, height, width } = probability, size = this.classes * height * width;
    this.size ??= height * width;
    this.total ??= new Float64Array(size);
    this.squares ??= new Float64Array(size);
    this.entropies ??= new Float64Array(this.size);
    for (let start = 0; start < data.length; start += size) {
      this.parts += 1;
      for (let i = 0; i < size; i++) {
        const share = data[start + i];
        this.total[i] += share;
        this.squares[i] += share * share;
        this.entropies[i % this.size] -= share * Math.log(Math.max(share, SMALLEST));
      }
    }
  }

  map() {
    const { size, classes, parts, total } = this, out = new Float32Array(size);
    for (let p = 0; p < size; p++) {
      let spread = 0;
      for (let k = 0; k < classes; k++) {
        const mean = total[k * size + p] / parts;
        if (this.measure === 'variance') spread += (this.squares[k * size + p] / parts - mean * mean) / (1 - 1 / classes);
        else spread -= mean * Math.log(Math.max(mean, SMALLEST)) / Math.log(classes);
      }
      if (this.measure === 'mutual_information') spread -= this.entropies[p] / parts / Math.log(classes);
      out[p] = Math.min(Math.max(spread, 0), 1);
    }
    return out;
  }
}

// How often the likeliest class of a pixel changes from step to step.
class Change {
  constructor(classes) { Object.assign(this, { classes, transitions: 0, before: null }); }

  add(output, last, index) {
    const rows = output.count / this.classes;
    const now = Array.from({ length: rows }, (_, n) => highest(output, n * this.classes, this.classes));
    this.changes ??= new Float32Array(now[0].length);
    if (index > 0) {
      now.forEach((labels, n) => labels.forEach((label, p) => { this.changes[p] += label !== this.before[n][p]; }));
      this.transitions += rows;
    }
    this.before = now;
  }

  map() { return this.changes.map((count) => count / Math.max(this.transitions, 1)); }
}

class Samples {
  constructor(options) {
    this.options = options;
    this.spread = new Spread(options.uncertainty, options.classes, false);
    this.ends = [];
  }

  add(step, last) {
    this.spread.add(step.probability, last);
    if (last) this.ends.push(step.drawn);
  }

  maps() { return [...this.ends, stack(this.spread.map(), this.ends[0].height, this.ends[0].width)]; }

  // Maps of the size of the picture: the samples (G K), and the spread.
  static read(maps, { classes }) {
    const size = maps.height * maps.width, generations = (maps.count - 1) / classes;
    const mean = meanOf(maps.data.subarray(0, generations * classes * size), classes * size);
    return {
      samples: Array.from({ length: generations }, (_, n) => highest(maps, n * classes, classes)),
      labels: highest(stack(mean, maps.height, maps.width)),
      probability: mean,
      uncertainty: map(maps, maps.count - 1),
    };
  }
}

class Masks {
  constructor() { this.ends = []; }

  add(step, last) { if (last) this.ends.push(step.x0); }

  maps() { return this.ends; }

  // Masks (G C) near -scale and scale.
  static read(maps, { classes, scale, threshold }) {
    const channels = classes === 2 ? 1 : classes, size = maps.height * maps.width;
    const generations = maps.count / channels;
    const shares = new Float32Array(generations * classes * size);
    for (let n = 0; n < maps.count; n++) {
      for (let p = 0; p < size; p++) {
        const share = Math.min(Math.max((maps.data[n * size + p] / scale + 1) / 2, 0), 1);
        if (classes === 2) {
          shares[2 * n * size + p] = 1 - share;
          shares[(2 * n + 1) * size + p] = share;
        } else shares[n * size + p] = share;
      }
    }
    const all = stack(shares, maps.height, maps.width);
    const mean = meanOf(shares, classes * size), squares = meanOf(shares.map((share) => share ** 2), classes * size);
    const uncertainty = new Float32Array(size), labels = highest(stack(mean, maps.height, maps.width));
    for (let p = 0; p < size; p++) {
      for (let k = 0; k < classes; k++) {
        const i = k * size + p;
        uncertainty[p] = Math.max(uncertainty[p], Math.sqrt(Math.max(squares[i] - mean[i] ** 2, 0)));
      }
      if (classes === 2) labels[p] = mean[size + p] > threshold;
    }
    const samples = Array.from({ length: generations }, (_, n) => highest(all, n * classes, classes));
    return { samples, labels, probability: mean, uncertainty };
  }
}

class Classes {
  constructor(options) {
    this.options = options;
    const { uncertainty, classes, averaged } = options;
    if (uncertainty) this.spread = uncertainty === 'change' ? new Change(classes) : new Spread(uncertainty, classes, averaged === 'every');
    this.count = 0;
  }

  add(step, last) {
    const { averaged, uncertainty } = this.options;
    this.spread?.add(uncertainty === 'change' ? step.output : step.probability, last, step.index);
    if (!last && averaged !== 'every') return;
    const values = averaged === 'every' ? step.probability : step[averaged];
    const size = this.options.classes * values.height * values.width;
    this.total ??= stack(new Float32Array(size), values.height, values.width);
    for (let i = 0; i < values.data.length; i++) this.total.data[i % size] += values.data[i];
    this.count += values.data.length / size;
  }

  maps() {
    const { data, height, width } = this.total;
    const mean = stack(data.map((sum) => sum / this.count), height, width);
    return this.spread ? [mean, stack(this.spread.map(), height, width)] : [mean];
  }

  static read(maps, { classes, uncertainty, averaged }) {
    const size = maps.height * maps.width, values = maps.data.slice(0, classes * size);
    return {
      labels: highest(maps, 0, classes),
      probability: averaged === 'output' ? softmax(values, size) : values,
      uncertainty: uncertainty ? map(maps, classes) : null,
    };
  }
}

function softmax(logits, size) {
  const out = new Float32Array(logits.length);
  for (let p = 0; p < size; p++) {
    let top = -Infinity, sum = 0;
    for (let i = p; i < logits.length; i += size) top = Math.max(top, logits[i]);
    for (let i = p; i < logits.length; i += size) sum += out[i] = Math.exp(logits[i] - top);
    for (let i = p; i < logits.length; i += size) out[i] /= sum;
  }
  return out;
}

export const READOUTS = { samples: Samples, masks: Masks, classes: Classes };
