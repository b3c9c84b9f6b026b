// The latent planes: the point under the pointer, or moved by the arrow keys, is decoded at once, and the test image of
// the nearest dot is shown with its reconstruction.

const MARGIN = {left: 38, right: 10, top: 10, bottom: 36}; // CSS pixels around the plane, for the axes
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const KEYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
const N_HUES = 10; // class colours; further classes take the next shape
const SHAPES = [
  (c, x, y, r) => c.arc(x, y, r, 0, 7),
  (c, x, y, r) => polygon(c, x, y, 1.3 * r, [[0, -1], [0.9, 0.7], [-0.9, 0.7]]),
  (c, x, y, r) => c.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r),
  (c, x, y, r) => polygon(c, x, y, 1.3 * r, [[0, -1], [1, 0], [0, 1], [-1, 0]]),
  (c, x, y, r) => { c.rect(x - 1.3 * r, y - 0.45 * r, 2.6 * r, 0.9 * r); c.rect(x - 0.45 * r, y - 1.3 * r, 0.9 * r, 2.6 * r); },
];

function polygon(context, x, y, radius, corners) {
  corners.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + radius * dx, y + radius * dy));
}

const written = (value, digits) => (Math.round(value * 10 ** digits) / 10 ** digits + 0).toFixed(digits).replace("-", "−");

class Plane {
  constructor(figure, data, {dots, palette}, sprite) {
    Object.assign(this, {name: data.name, data, dots, palette, sprite});
    this.codes = floats(data.codes);
    this.hidden = new Set(); // labels of classes
    for (const part of ["codes", "image", "original", "redrawn", "which"]) this[part === "codes" ? "canvas" : part] = figure.querySelector(`.${part}`);
    this.output = figure.querySelector("output");
    Object.assign(this.original, {width: dots.sprite.width, height: dots.sprite.height});
    this.z = [0, 0];
    for (const type of ["pointerdown", "pointermove"]) this.canvas.addEventListener(type, event => this.point(event));
    this.canvas.addEventListener("keydown", event => this.press(event));
    new ResizeObserver(() => this.layOut()).observe(this.canvas);
    for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", () => this.layOut(true));
    this.layOut();
    this.moveTo(0, 0);
  }

  decode(z) {
    return decode(this.data.decoder, parts, z);
  }

  // The visible dot that is nearest to z, by its place among the codes; −1 where all are hidden.
  nearest([x, y]) {
    let best = -1, least = Infinity;
    for (let i = 0; 2 * i < this.codes.length; i++) {
      const distance = (this.codes[2 * i] - x) ** 2 + (this.codes[2 * i + 1] - y) ** 2;
      if (distance < least && !this.hidden.has(this.dots.labels[i])) [best, least] = [i, distance];
    }
    return best;
  }

  hide(labels) {
    this.hidden = new Set(labels);
    this.layOut(true);
    this.moveTo(...this.z);
  }

  point(event) {
    if (event.type === "pointerdown") this.canvas.setPointerCapture(event.pointerId);
    const box = this.canvas.getBoundingClientRect(), {corner: [x, y], span} = this.data;
    const right = (event.clientX - box.left - MARGIN.left) / this.side;
    const up = 1 - (event.clientY - box.top - MARGIN.top) / this.side;
    this.moveTo(x + span * right, y + span * up);
  }

  press(event) {
    const direction = KEYS[event.key];
    if (!direction || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const step = this.data.span / (event.shiftKey ? 10 : 50);
    this.moveTo(this.z[0] + step * direction[0], this.z[1] + step * direction[1]);
  }

  moveTo(...z) {
    const {corner, span} = this.data;
    this.z = z.map((value, i) => Math.min(Math.max(value, corner[i]), corner[i] + span));
    this.frame ??= requestAnimationFrame(() => this.show());
  }

  show() {
    this.frame = undefined;
    paint(this.image, this.data.decoder.shape, this.decode(this.z));
    this.showNearest();
    const digits = this.data.span < 20 ? 2 : 1;
    this.output.textContent = `z₁ = ${written(this.z[0], digits)}\nz₂ = ${written(this.z[1], digits)}`;
    this.draw();
  }

  showNearest() {
    this.chosen = this.nearest(this.z);
    for (const canvas of [this.original, this.redrawn]) canvas.hidden = this.chosen < 0;
    if (this.chosen < 0) {
      this.which.textContent = "none: all classes are hidden";
      return;
    }
    const {indices, labels, names, sprite: {columns, width, height}} = this.dots;
    const left = this.chosen % columns * width, top = Math.floor(this.chosen / columns) * height;
    this.original.getContext("2d").drawImage(this.sprite, left, top, width, height, 0, 0, width, height);
    paint(this.redrawn, this.data.decoder.shape, this.decode(this.codes.subarray(2 * this.chosen, 2 * this.chosen + 2)));
    const named = labels.length ? `, class ${names[labels[this.chosen]]}` : "";
    this.which.textContent = `Test image ${indices[this.chosen]}${named}, and its reconstruction`;
  }

  // What does not move is drawn once for each size.
  layOut(again = false) {
    const width = this.canvas.clientWidth, scale = Math.max(2, devicePixelRatio);
    if (!width || (width === this.width && !again)) return;
    [this.ink, this.muted, this.rule, this.paper, this.lighten] = ["ink", "muted", "rule", "paper", "lighten"].map(colour);
    this.width = width;
    this.side = width - MARGIN.left - MARGIN.right;
    this.height = this.side + MARGIN.top + MARGIN.bottom;
    this.canvas.width = width * scale;
    this.canvas.height = this.height * scale;
    this.still = Object.assign(document.createElement("canvas"), {width: this.canvas.width, height: this.canvas.height});
    const context = this.still.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = this.paper;
    context.fillRect(0, 0, width, this.height);
    this.drawAxes(context);
    this.drawCodes(context);
    this.drawPrior(context);
    this.drawTags(context);
    if (!this.frame) this.draw();
  }

  x(z) {
    return MARGIN.left + (z - this.data.corner[0]) / this.data.span * this.side;
  }

  y(z) {
    return MARGIN.top + (1 - (z - this.data.corner[1]) / this.data.span) * this.side;
  }

  drawAxes(context) {
    const {corner, span} = this.data, power = 10 ** Math.floor(Math.log10(span / 3));
    const step = power * [5, 2, 1].find(factor => factor * power <= span / 3);
    const left = MARGIN.left, bottom = MARGIN.top + this.side;
    context.font = "11px system-ui, sans-serif";
    context.strokeStyle = this.rule;
    context.fillStyle = this.muted;
    for (const axis of [0, 1]) {
      context.textAlign = axis ? "right" : "center";
      context.textBaseline = axis ? "middle" : "top";
      for (let i = Math.ceil(corner[axis] / step); i * step <= corner[axis] + span; i++) {
        const text = written(i * step, Math.max(0, -Math.floor(Math.log10(step))));
        context.beginPath();
        if (axis) {
          context.moveTo(left, this.y(i * step));
          context.lineTo(left + this.side, this.y(i * step));
          context.fillText(text, left - 5, this.y(i * step));
        } else {
          context.moveTo(this.x(i * step), MARGIN.top);
          context.lineTo(this.x(i * step), bottom);
          context.fillText(text, this.x(i * step), bottom + 5);
        }
        context.stroke();
      }
    }
    context.strokeStyle = this.muted;
    context.beginPath();
    context.moveTo(left, MARGIN.top);
    context.lineTo(left, bottom);
    context.lineTo(left + this.side, bottom);
    context.stroke();
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = this.ink;
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText("z₁", left + this.side / 2, this.height);
    context.textBaseline = "top";
    context.save();
    context.translate(0, MARGIN.top + this.side / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("z₂", 0, 0);
    context.restore();
  }

  drawCodes(context) {
    const {labels} = this.dots, radius = this.codes.length > 4000 ? 1.3 : 2.2;
    const hues = this.palette.map(hue => lightened(hue, parseFloat(this.lighten) / 100));
    context.globalAlpha = this.codes.length > 4000 ? 0.6 : 0.8;
    for (let i = 0; 2 * i < this.codes.length; i++) {
      const label = labels[i] ?? 0;
      if (this.hidden.has(label)) continue;
      context.fillStyle = hues[label % N_HUES];
      context.beginPath();
      SHAPES[Math.floor(label / N_HUES) % SHAPES.length](context, this.x(this.codes[2 * i]), this.y(this.codes[2 * i + 1]), radius);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  // The circles in which N(0, I) has 39 % and 86 % of its draws.
  drawPrior(context) {
    context.strokeStyle = this.ink;
    context.setLineDash([4, 3]);
    for (const sigma of [1, 2]) {
      context.beginPath();
      context.arc(this.x(0), this.y(0), sigma / this.data.span * this.side, 0, 7);
      context.stroke();
    }
    context.setLineDash([]);
  }

  drawTags(context) {
    context.font = "bold 14px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 3;
    context.strokeStyle = this.paper;
    context.fillStyle = this.ink;
    for (const {text, x, y} of this.data.tags) {
      context.strokeText(text, this.x(x), this.y(y));
      context.fillText(text, this.x(x), this.y(y));
    }
  }

  draw() {
    if (!this.still) return;  // in a frame that has no size yet
    const context = this.canvas.getContext("2d"), x = this.x(this.z[0]), y = this.y(this.z[1]);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.still, 0, 0);
    context.scale(this.canvas.width / this.width, this.canvas.width / this.width);
    if (this.chosen >= 0) {
      context.strokeStyle = this.ink;
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(this.x(this.codes[2 * this.chosen]), this.y(this.codes[2 * this.chosen + 1]), 4, 0, 7);
      context.stroke();
    }
    for (const [colour, width] of [[this.paper, 4], [this.ink, 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 7, 0, 7);
      for (const [dx, dy] of Object.values(KEYS)) {
        context.moveTo(x + 7 * dx, y + 7 * dy);
        context.lineTo(x + 14 * dx, y + 14 * dy);
      }
      context.stroke();
    }
  }
}

// A colour #rrggbb with a share of white.
const lightened = (hue, share) => "#" + hue.slice(1).match(/../g).map(part => {
  const value = parseInt(part, 16);
  return Math.round(value + share * (255 - value)).toString(16).padStart(2, "0");
}).join("");

const explorable = JSON.parse(document.getElementById("explorable").textContent);
const parts = explorable.parts.map(dequantised);
const sprite = Object.assign(new Image(), {src: explorable.dots?.sprite.source ?? ""});
globalThis.latentPlanes = explorable.planes.map((data, i) => new Plane($(".plane")[i], data, explorable, sprite));
sprite.onload = () => latentPlanes.forEach(plane => plane.showNearest());

const classes = $(".legend [data-label]");
const toggle = () => {
  const hidden = classes.filter(button => button.ariaPressed === "false").map(button => Number(button.dataset.label));
  latentPlanes.forEach(plane => plane.hide(hidden));
};
for (const button of classes) {
  button.onclick = () => {
    button.ariaPressed = String(button.ariaPressed === "false");
    toggle();
  };
}
for (const button of $(".legend [data-all]")) {
  button.onclick = () => {
    classes.forEach(other => { other.ariaPressed = button.dataset.all; });
    toggle();
  };
}
