// The loop of a chain, as in mmdiffseg.runtime.chains: a graph and a few numbers a step.
//
// Every walk yields { index, output, probability, x0, drawn }, stacks of maps with the rows of the
// chains first; `drawn` is what a chain of whole masks ends in.

import { stack } from './maps.js';

const at = (tensor) => tensor && stack(tensor.data, tensor.dims[2], tensor.dims[3]);

// `call` runs the graph of a step: { name: [values, shape] } to { name: tensor }.
export async function* gaussian(loop, rows, call, [channels, height, width], draws) {
  const count = draws.rows.length, shape = [count, channels, height, width];
  let z = draws.draw('normal', shape.slice(1));
  const maps = [], estimates = [];  // the latest first
  for (const [index, row] of rows.entries()) {
    const said = await call({ z_t: [z, shape], t: [[row.t], [1]] });
    yield { index, output: at(said.output), probability: at(said.probability), x0: at(said.x0), drawn: at(said.probability) };
    if (index === rows.length - 1) return;
    maps.unshift(z);
    estimates.unshift(said.x0.data);
    maps.splice(3);
    estimates.splice(3);
    const next = new Float32Array(z.length);
    for (const [weights, values] of [[row.z, maps], [row.x0, estimates]]) {
      weights.forEach((weight, n) => { if (weight) for (let p = 0; p < z.length; p++) next[p] += weight * values[n][p]; });
    }
    if (loop.stochastic) {
      const noise = draws.draw('normal', shape.slice(1)), [small, large] = row.noise;
      // between two sizes, the network says where, on a log scale
      const share = large === undefined ? null : said.variance.data;
      for (let p = 0; p < z.length; p++) next[p] += noise[p] * (share ? small ** (1 - share[p]) * large ** share[p] : small);
    }
    z = next;
  }
}

// Uniform numbers of a step, each of which is the one before with some probability.
const lasting = (drawn, before, persistence) => {
  const least = Math.fround(persistence), rest = Math.max(Math.fround(1 - least), Math.fround(1e-6));
  return before ? drawn.map((number, i) => (number < least ? before[i] : Math.fround(number - least) / rest)) : drawn;
};

export async function* categorical(loop, rows, call, [channels, height, width], draws) {
  const count = draws.rows.length, size = height * width, states = loop.states, common = loop.coupling === 'common';

  // The state (rows, states, h, w) of the highest score, as zeros and ones.
  const oneHot = (scores) => {
    const out = new Float32Array(scores.length);
    for (let n = 0; n < count; n++) {
      for (let p = 0; p < size; p++) {
        let best = 0;
        for (let s = 1; s < states; s++) {
          if (scores[(n * states + s) * size + p] > scores[(n * states + best) * size + p]) best = s;
        }
        out[(n * states + best) * size + p] = 1;
      }
    }
    return out;
  };
  const gumbel = () => draws.draw('gumbel', [states, height, width]);
  const drawn = (probability, noise) => oneHot(noise.map((number, i) => Math.fround(Math.log(probability(i))) + number));
  // what the network sees leaves out a state that hides the class
  const seen = (state) => {
    const out = new Float32Array(count * channels * size);
    for (let n = 0; n < count; n++) {
      out.set(state.subarray(((n + 1) * states - channels) * size, (n + 1) * states * size), n * channels * size);
    }
    return out;
  };
  // the classes among the states
  const classes = (state, many) => {
    const out = new Float32Array(count * many * size);
    for (let n = 0; n < count; n++) out.set(state.subarray(n * states * size, (n * states + many) * size), n * many * size);
    return stack(out, height, width);
  };

  let numbers = null;
  let state = drawn((i) => loop.prior[Math.floor(i / size) % states], gumbel());
  for (const [index, row] of rows.entries()) {
    const last = index === rows.length - 1, kind = last ? loop.final : loop.state;
    const given = {
      z_t: [seen(state), [count, channels, height, width]],
      t: [[row.t], [1]],
      jump: [row.jump, [row.jump.length, 1, 1, 1, 1]],
    };
    // the last step ends in the clean classes that the graph draws
    const noise = kind === 'sample' && !(common && last) ? gumbel() : null;
    if (common) {
      if (kind === 'sample') numbers = lasting(draws.draw('uniform', [1, 1]), numbers, loop.persistence ?? 0);
      given.clean = [kind === 'sample' ? numbers : new Float32Array(count).fill(-1), [count, 1, 1]];
    }
    const said = await call(given), posterior = said.posterior.data;
    if (noise) state = drawn((i) => posterior[i], noise);
    else state = kind === 'expected' || kind === 'probs' ? posterior : oneHot(posterior);
    const probability = at(said.probability);
    yield {
      index, output: at(said.output), probability,
      drawn: last ? classes(state, said.probability.dims[1]) : null,
    };
  }
}

export const WALKS = { gaussian, categorical };
