// Draws maps over the picture they belong to, as mmdiffseg.visualization does.

// inferno, at nine places of [0, 1]
const HEAT = [[0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85],
  [227, 89, 51], [249, 140, 10], [249, 201, 50], [252, 255, 164]];
// outside, open, inside
export const ZONES = [[70, 70, 70], [243, 156, 18], [46, 184, 92]];

export function heatColour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (HEAT.length - 1);
  const low = Math.min(Math.floor(place), HEAT.length - 2);
  return HEAT[low].map((value, i) => value + (HEAT[low + 1][i] - value) * (place - low));
}

// `picture` is ImageData; `labels` holds a class a pixel; `objects`, where given, parts of a class.
export function labelOverlay(picture, labels, palette, { opacity = 0.6, unlabelled = 255, objects } = {}) {
  const { width, height, data } = picture;
  const out = new ImageData(width, height);
  const parts = objects ?? labels;
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const i = 4 * p, known = labels[p] !== unlabelled;
      const share = known ? opacity : 0;
      const grey = (data[i] + data[i + 1] + data[i + 2]) / 3;
      const colour = known ? palette[labels[p]] ?? [255, 0, 255] : [0, 0, 0];
      const edge = opacity > 0 && ((x + 1 < width && parts[p] !== parts[p + 1])
        || (y + 1 < height && parts[p] !== parts[p + width]));
      for (let c = 0; c < 3; c++) {
        // without colour, the picture as it is
        const ground = opacity > 0 ? grey : data[i + c];
        out.data[i + c] = (ground * (1 - share) + colour[c] * share) * (edge ? 0.4 : 1);
      }
      out.data[i + 3] = 255;
    }
  }
  return out;
}

// `heat` holds numbers in [0, 1].
export function heatOverlay(picture, heat) {
  const { width, height, data } = picture;
  const out = new ImageData(width, height);
  for (let p = 0; p < heat.length; p++) {
    const i = 4 * p, grey = (data[i] + data[i + 1] + data[i + 2]) / 6;
    const share = 0.9 * Math.sqrt(heat[p]), glow = heatColour(heat[p]);
    for (let c = 0; c < 3; c++) out.data[i + c] = grey * (1 - share) + glow[c] * share;
    out.data[i + 3] = 255;
  }
  return out;
}

// Near is bright.
export function depthPicture(depth, width, height) {
  let low = Infinity, high = -Infinity;
  for (const metres of depth) { low = Math.min(low, metres); high = Math.max(high, metres); }
  const out = new ImageData(width, height);
  for (let p = 0; p < depth.length; p++) {
    const colour = heatColour(1 - (depth[p] - low) / Math.max(high - low, 1e-6));
    for (let c = 0; c < 3; c++) out.data[4 * p + c] = colour[c];
    out.data[4 * p + 3] = 255;
  }
  return out;
}

// 0 outside, 1 open, 2 inside; of one of the two masks nothing may be known.
export function zones(inner, outer) {
  return (inner ?? outer).map((_, p) => (inner?.[p] ? 2 : outer?.[p] ? 1 : 0));
}

export function show(canvas, picture) {
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext('2d').putImageData(picture, 0, 0);
  return canvas;
}

export function figure(caption, picture) {
  const element = document.createElement('figure');
  const text = document.createElement('figcaption');
  text.textContent = caption;
  element.append(show(document.createElement('canvas'), picture), text);
  return element;
}
