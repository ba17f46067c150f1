// The noise of mmdiffseg.runtime.draws, number for number: torch's generator on a CPU is a Mersenne
// twister, seeded from a name and a number.

const K = new Uint32Array(64), H0 = new Uint32Array(8);
{
  // the fractions of the roots of the first primes
  const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) >>> 0;
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
  primes.forEach((p, i) => { K[i] = fraction(Math.cbrt(p)); });
  for (let i = 0; i < 8; i++) H0[i] = fraction(Math.sqrt(primes[i]));
}

const turned = (x, n) => (x >>> n) | (x << (32 - n));

// SHA-256, here because browsers offer it to secure pages alone.
export function sha256(text) {
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(((bytes.length + 8) >> 6) * 64 + 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const hash = Uint32Array.from(H0), w = new Uint32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(block + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (turned(a, 7) ^ turned(a, 18) ^ (a >>> 3))
        + (turned(b, 17) ^ turned(b, 19) ^ (b >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = hash;
    for (let i = 0; i < 64; i++) {
      const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => { hash[i] += value; });
  }
  const out = new Uint8Array(32);
  hash.forEach((value, i) => new DataView(out.buffer).setUint32(4 * i, value));
  return out;
}

export class Twister {
  constructor(seed, name) {
    // bits 1 to 32 of the digest, read as a number from its low end
    const digest = new DataView(sha256(`${seed}/${name}`).buffer);
    const start = (digest.getUint32(0, true) >>> 1) | ((digest.getUint32(4, true) & 1) << 31);
    this.state = new Uint32Array(624);
    this.state[0] = start;
    for (let i = 1; i < 624; i++) {
      const before = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
    this.place = 624;
    this.spare = null;
  }

  word() {
    if (this.place === 624) this.twist();
    let y = this.state[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  twist() {
    const s = this.state;
    for (let i = 0; i < 624; i++) {
      const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
      s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }

  // In [0, 1), of 53 random bits.
  double() {
    const high = this.word() & 0x1fffff;
    return (high * 2 ** 32 + this.word()) * 2 ** -53;
  }

  uniform(count) {
    return Float32Array.from({ length: count }, () => (this.word() & 0xffffff) * 2 ** -24);
  }

  // Standard normal numbers by Box and Muller's rule.
  normal(count) {
    if (count < 16) return Float32Array.from({ length: count }, () => this.oneNormal());
    const numbers = this.uniform(count);
    for (let i = 0; i + 16 <= count; i += 16) inBlock(numbers.subarray(i, i + 16));
    if (count % 16) {  // the last 16 are drawn again
      const again = this.uniform(16);
      inBlock(again);
      numbers.set(again, count - 16);
    }
    return numbers;
  }

  oneNormal() {
    if (this.spare !== null) {
      const number = this.spare;
      this.spare = null;
      return number;
    }
    const angle = 2 * Math.PI * this.double(), radius = Math.sqrt(-2 * Math.log1p(-this.double()));
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  gumbel(count) {
    return Float32Array.from({ length: count }, () => (
      -Math.log(Math.fround(Math.max(-Math.log1p(-this.double()), 2 ** -53)))));
  }
}

// The halves of 16 uniform numbers belong together.
function inBlock(numbers) {
  for (let i = 0; i < 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(Math.fround(1 - numbers[i])));
    const angle = Math.fround(2 * Math.PI) * numbers[i + 8];
    numbers[i] = radius * Math.cos(angle);
    numbers[i + 8] = radius * Math.sin(angle);
  }
}

// Random numbers asked for by name, a generator for every row.
export class Draws {
  constructor(names, seed) { this.rows = names.map((name) => new Twister(seed, name)); }

  // Numbers (rows, ...) of one kind: 'normal', 'gumbel' or 'uniform'.
  draw(kind, shape) {
    const size = shape.reduce((product, n) => product * n, 1);
    const out = new Float32Array(size * this.rows.length);
    this.rows.forEach((row, n) => out.set(row[kind](size), n * size));
    return out;
  }
}
