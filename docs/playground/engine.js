// What the page asks is answered in this browser; nothing is sent anywhere.

const PIXELS = 1_000_000;  // of a picture
const GENERATIONS = 16;

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
const waiting = new Map();
let loop = null;

worker.onmessage = ({ data: { id, said, error, tell } }) => {
  const { done, fail, say } = waiting.get(id);
  if (tell !== undefined) { say?.(tell); return; }
  waiting.delete(id);
  if (error === undefined) done(said);
  else fail(new Error(error));
};
worker.onerror = (event) => {
  for (const { fail } of waiting.values()) fail(new Error(`this browser cannot run the model: ${event.message ?? 'its worker does not start'}`));
  waiting.clear();
};

function ask(question, say) {
  return new Promise((done, fail) => {
    const id = crypto.getRandomValues(new Uint32Array(1))[0];
    waiting.set(id, { done, fail, say });
    worker.postMessage({ ...question, id });
  });
}

export async function describe() {
  const here = new URL('.', import.meta.url);
  const samples = await (await fetch(new URL('samples/samples.json', here))).json();
  ({ loop } = await ask({ kind: 'load', folder: new URL('model/', here).href }, (text) => {
    document.getElementById('model').textContent = text;
  }));
  // what works is kept, so that it works offline from now on
  navigator.serviceWorker?.register(new URL('offline.js', import.meta.url));
  const { steps, generations, seed } = loop.defaults;
  return {
    name: loop.meta.source ?? 'model',
    classes: loop.meta.classes,
    palette: loop.meta.palette,
    settings: { steps, generations, seed },
    choices: { steps: loop.steps },
    asks: null,
    films: true,
    refines: false,
    samples: samples.map((name) => ({ name, address: `samples/${encodeURIComponent(name)}.png` })),
    limits: { body: Infinity, pixels: PIXELS, steps: Math.max(...loop.steps), generations: GENERATIONS },
  };
}

export async function segment({ picture, film, ...settings }, say) {
  if (!picture.pixels) throw new Error(`this browser cannot read ${picture.name}: save it as PNG or JPEG`);
  const { name, width, height, pixels } = picture, began = performance.now();
  const said = await ask({
    kind: 'segment',
    picture: { name, width, height, rgba: pixels.data },
    settings: { ...loop.defaults, ...settings, film: Boolean(film) },
  }, say);
  const { classes, palette } = loop.meta;
  return { ...said, classes, palette, notes: [], seconds: (performance.now() - began) / 1000 };
}
