// Paints labels over a picture: a brush, a size, a class, and a way back.

import { labelOverlay, show } from './draw.js';

const NOTHING = 255;

export class Painter {
  // `picture` is ImageData; `classes` and `palette` say what can be painted, the first class last.
  constructor(parent, picture, { classes, palette, caption = '' }) {
    this.picture = picture;
    this.palette = palette;
    this.labels = new Uint8Array(picture.width * picture.height).fill(NOTHING);
    this.canvas = show(document.createElement('canvas'), picture);
    this.canvas.setAttribute('aria-label', caption || 'painter');
    const bar = document.createElement('div');
    bar.className = 'bar';
    this.choice = document.createElement('select');
    for (const [n, name] of [...classes.entries()].reverse()) this.choice.add(new Option(name, n));
    this.brush = Object.assign(document.createElement('input'), { type: 'range', min: 1, max: 60, value: 12, title: 'size of the brush' });
    const clear = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Clear' });
    clear.onclick = () => { this.labels.fill(NOTHING); this.draw(); };
    bar.append(this.choice, this.brush, clear);
    this.element = document.createElement('div');
    this.element.className = 'painter';
    this.element.append(this.canvas, bar);
    parent.append(this.element);
    this.listen();
  }

  listen() {
    let last = null;
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * this.canvas.width / box.width,
        (event.clientY - box.top) * this.canvas.height / box.height];
    };
    this.canvas.onpointerdown = (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      last = place(event);
      this.stroke(last, last);
    };
    this.canvas.onpointermove = (event) => {
      if (last === null) return;
      const now = place(event);
      this.stroke(last, now);
      last = now;
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = () => { last = null; };
  }

  stroke([x0, y0], [x1, y1]) {
    const { width, height } = this.picture, label = Number(this.choice.value);
    const radius = Number(this.brush.value) * Math.max(width, height) / 1024 + 0.5;
    const count = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / radius * 2));
    for (let n = 0; n <= count; n++) {
      const cx = x0 + (x1 - x0) * n / count, cy = y0 + (y1 - y0) * n / count;
      for (let y = Math.max(0, Math.floor(cy - radius)); y <= Math.min(height - 1, cy + radius); y++) {
        for (let x = Math.max(0, Math.floor(cx - radius)); x <= Math.min(width - 1, cx + radius); x++) {
          if (Math.hypot(x + 0.5 - cx, y + 0.5 - cy) <= radius) this.labels[y * width + x] = label;
        }
      }
    }
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      show(this.canvas, labelOverlay(this.picture, this.labels, this.palette, { opacity: 0.6, unlabelled: NOTHING }));
    });
  }

  get empty() { return this.labels.every((label) => label === NOTHING); }

  // The painted pixels over `ground`, or over class 0.
  over(ground) { return this.labels.map((label, p) => label === NOTHING ? ground?.[p] ?? 0 : label); }

  get painted() { return this.labels.map((label) => label === NOTHING ? 0 : 1); }
}
