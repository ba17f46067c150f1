// Stacks of maps: { data: Float32Array, count, height, width }, read in this order.

export function stack(data, height, width) {
  return { data, count: data.length / (height * width), height, width };
}

export function concatenate(stacks) {
  const [{ height, width }] = stacks;
  const data = new Float32Array(stacks.reduce((sum, part) => sum + part.data.length, 0));
  let place = 0;
  for (const part of stacks) { data.set(part.data, place); place += part.data.length; }
  return stack(data, height, width);
}

export function map({ data, height, width }, n) {
  return data.subarray(n * height * width, (n + 1) * height * width);
}

// Upper left corners of a stack.
export function cropped(maps, height, width, top = 0, left = 0) {
  if (height === maps.height && width === maps.width) return maps;
  const out = new Float32Array(maps.count * height * width);
  for (let n = 0; n < maps.count; n++) {
    for (let y = 0; y < height; y++) {
      const from = (n * maps.height + top + y) * maps.width + left;
      out.set(maps.data.subarray(from, from + width), (n * height + y) * width);
    }
  }
  return stack(out, height, width);
}

// Where the pixels of a longer or shorter axis come from, as torch's bilinear interpolation has it.
function places(old, length, alignCorners) {
  return Array.from({ length }, (_, i) => {
    const place = alignCorners ? i * (old - 1) / Math.max(length - 1, 1)
      : Math.max(old / length * (i + 0.5) - 0.5, 0);
    const first = Math.min(Math.floor(place), old - 1);
    return [first, Math.min(first + 1, old - 1), place - first];
  });
}

export function resized(maps, height, width, alignCorners) {
  if (height === maps.height && width === maps.width) return maps;
  const rows = places(maps.height, height, alignCorners), columns = places(maps.width, width, alignCorners);
  const out = new Float32Array(maps.count * height * width);
  for (let n = 0, p = 0; n < maps.count; n++) {
    const from = map(maps, n);
    for (const [up, down, v] of rows) {
      for (const [left, right, u] of columns) {
        const above = from[up * maps.width + left] * (1 - u) + from[up * maps.width + right] * u;
        const below = from[down * maps.width + left] * (1 - u) + from[down * maps.width + right] * u;
        out[p++] = above * (1 - v) + below * v;
      }
    }
  }
  return stack(out, height, width);
}

// A picture (RGBA bytes) as the encoder takes it: normalised maps, padded at the right and below.
export function prepared(rgba, height, width, pictures, size) {
  const { pad_divisor: divisor, pad_size: least, pad_value: value, mean, std } = pictures;
  let shape = [height, width];
  if (divisor) shape = shape.map((n) => Math.ceil(n / divisor) * divisor);
  const fixed = size ?? least;
  if (fixed) shape = shape.map((n, i) => Math.max(n, fixed[i]));
  const image = stack(new Float32Array(3 * shape[0] * shape[1]).fill(value), ...shape);
  for (let c = 0; c < 3; c++) {
    const channel = pictures.channels === 'BGR' ? 2 - c : c, out = map(image, c);
    const middle = mean[c] ?? mean[0], spread = std[c] ?? std[0];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) out[y * shape[1] + x] = (rgba[4 * (y * width + x) + channel] - middle) / spread;
    }
  }
  return image;
}

// Reads maps off windows of an image, and averages them where windows overlap.
export async function byWindows(image, read, { size, stride }) {
  const length = [image.height, image.width];
  const [tops, lefts] = length.map((n, i) => (
    Array.from({ length: Math.floor(Math.max(n - size[i] + stride[i] - 1, 0) / stride[i]) + 1 },
      (_, k) => Math.min(k * stride[i], Math.max(n - size[i], 0)))));
  let total = null;
  const seen = new Float32Array(image.height * image.width);
  for (const top of tops) {
    for (const left of lefts) {
      const height = Math.min(size[0], image.height), width = Math.min(size[1], image.width);
      const maps = await read(cropped(image, height, width, top, left));
      total ??= stack(new Float32Array(maps.count * seen.length), image.height, image.width);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const p = (top + y) * image.width + left + x;
          seen[p] += 1;
          for (let n = 0; n < maps.count; n++) total.data[n * seen.length + p] += maps.data[(n * height + y) * width + x];
        }
      }
    }
  }
  for (let p = 0; p < total.data.length; p++) total.data[p] /= seen[p % seen.length];
  return total;
}

// For every pixel the map with the highest number among maps `first` to `first + count - 1`.
export function highest(maps, first = 0, count = maps.count) {
  const size = maps.height * maps.width;
  const out = new (count > 255 ? Uint16Array : Uint8Array)(size);
  for (let p = 0; p < size; p++) {
    let best = first;
    for (let n = first + 1; n < first + count; n++) if (maps.data[n * size + p] > maps.data[best * size + p]) best = n;
    out[p] = best - first;
  }
  return out;
}
