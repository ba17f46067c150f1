// Runs the model beside the page, so that the page stays alive.

import { Model } from './runtime.js';

let model = null;

async function answer({ kind, id, ...given }) {
  const tell = (text) => postMessage({ id, tell: text });
  if (kind === 'load') {
    model = await Model.load(given.folder, tell);
    return { loop: { ...model.loop, chains: null, steps: model.steps } };
  }
  return model.segment(given.picture, given.settings, tell);
}

// one at a time, in the order of the questions
let before = Promise.resolve();
onmessage = ({ data }) => {
  before = before.then(async () => {
    try {
      postMessage({ id: data.id, said: await answer(data) });
    } catch (error) {
      postMessage({ id: data.id, error: error.message ?? String(error) });
    }
  });
};
