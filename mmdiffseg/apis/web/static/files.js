// Writes PNG and ZIP files, byte by byte: a canvas would not keep labels as they are.

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function join(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) { out.set(part, place); place += part.length; }
  return out;
}

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

export const deflate = (bytes) => through(bytes, new CompressionStream('deflate'));
export const inflate = (bytes) => through(bytes, new DecompressionStream('deflate'));

function chunk(kind, bytes) {
  const body = join([new TextEncoder().encode(kind), bytes]);
  const out = new Uint8Array(body.length + 8), view = new DataView(out.buffer);
  view.setUint32(0, bytes.length);
  out.set(body, 4);
  view.setUint32(body.length + 4, crc32(body));
  return out;
}

// Labels of 8 bits with their palette, or of 16 bits in grey.
export async function labelPng(labels, width, height, palette) {
  const wide = labels.BYTES_PER_ELEMENT === 2, row = width * (wide ? 2 : 1) + 1;
  const lines = new Uint8Array(row * height);  // each begins with filter 0
  for (let y = 0; y < height; y++) {
    const line = labels.subarray(y * width, (y + 1) * width);
    if (wide) line.forEach((label, x) => new DataView(lines.buffer).setUint16(y * row + 1 + 2 * x, label));
    else lines.set(line, y * row + 1);
  }
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([wide ? 16 : 8, wide ? 0 : 3], 8);
  const parts = [Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), chunk('IHDR', head)];
  if (!wide) {
    const colours = new Uint8Array(768);
    palette.slice(0, 256).forEach((colour, n) => colours.set(colour, 3 * n));
    parts.push(chunk('PLTE', colours));
  }
  parts.push(chunk('IDAT', await deflate(lines)), chunk('IEND', new Uint8Array(0)));
  return join(parts);
}

export async function canvasPng(canvas) {
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
  return new Uint8Array(await blob.arrayBuffer());
}

// An archive of files, given as { name: bytes }; nothing in it is packed further.
export function zip(files) {
  const bodies = [], listed = [];
  let place = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const path = new TextEncoder().encode(name);
    // version, flags (names in UTF-8), stored, time, date (1980-01-01), crc, size, size
    const common = new Uint8Array(26), view = new DataView(common.buffer);
    view.setUint16(0, 20, true);
    view.setUint16(2, 0x0800, true);
    view.setUint16(8, 0x21, true);
    view.setUint32(10, crc32(bytes), true);
    view.setUint32(14, bytes.length, true);
    view.setUint32(18, bytes.length, true);
    view.setUint16(22, path.length, true);
    bodies.push(Uint8Array.of(80, 75, 3, 4), common, path, bytes);
    const more = new Uint8Array(14);
    new DataView(more.buffer).setUint32(10, place, true);
    listed.push(Uint8Array.of(80, 75, 1, 2, 20, 0), common, more, path);
    place += 30 + path.length + bytes.length;
  }
  const list = join(listed), end = new Uint8Array(22), view = new DataView(end.buffer);
  end.set([80, 75, 5, 6]);
  const count = Object.keys(files).length;
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, list.length, true);
  view.setUint32(16, place, true);
  return join([...bodies, list, end]);
}

export function download(bytes, name, kind) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
