// The decoder of a model, evaluated as PyTorch does: a list of layers, and one array of their weights and biases.

function bytes(base64) {
  const text = atob(base64), found = new Uint8Array(text.length);
  for (let i = 0; i < found.length; i++) found[i] = text.charCodeAt(i);
  return found.buffer;
}

const floats = base64 => new Float32Array(bytes(base64));

// A weight in 8 bits, with a scale for each row, and a bias → two arrays.
function dequantised({rows, columns, weights, scales, biases}) {
  const whole = new Int8Array(bytes(weights)), by = floats(scales), weight = new Float32Array(whole.length);
  for (let row = 0, i = 0; row < rows; row++) {
    for (const end = i + columns; i < end; i++) weight[i] = whole[i] * by[row];
  }
  return [weight, floats(biases)];
}

// Draw an image's values in [0, 1], channel by channel, on a canvas.
function paint(canvas, [channels, height, width], values) {
  Object.assign(canvas, {width, height});
  const size = height * width, pixels = new ImageData(width, height);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 255 * values[(channels === 3 ? c : 0) * size + i];
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// Each layer takes values x in the shape [C, H, W]; `take()` is the next weight or bias. It returns values and shape.
const LAYERS = {
  linear({in: inputs, out: outputs}, x, shape, take) {
    const weight = take(), bias = take(), y = new Float32Array(outputs);
    for (let o = 0; o < outputs; o++) {
      let sum = bias[o];
      for (let i = 0, w = o * inputs; i < inputs; i++, w++) sum += weight[w] * x[i];
      y[o] = sum;
    }
    return [y, [outputs, 1, 1]];
  },

  relu: (_, x, shape) => [x.map(value => Math.max(value, 0)), shape],
  sigmoid: (_, x, shape) => [x.map(value => 1 / (1 + Math.exp(-value))), shape],
  clip: (_, x, shape) => [x.map(value => Math.min(Math.max(value, 0), 1)), shape],
  sum({branches}, x, shape, take) {
    const [[y, to], ...others] = branches.map(layers => apply(layers, x, shape, take));
    for (const [values] of others) values.forEach((value, i) => { y[i] += value; });
    return [y, to];
  },

  residual({size}, x, shape, take) {
    const [y] = LAYERS.linear({in: size, out: size}, x, shape, take);
    return [x.map((value, i) => value + Math.max(y[i], 0)), shape];
  },

  // The first branch makes an image, and the second what is added to it, from pixels of about mean 0 and variance 1.
  refined({branches: [linear, network]}, x, shape, take) {
    const [image, to] = apply(linear, x, shape, take);
    const [added] = apply(network, image.map(value => 4 * (value - 0.5)), to, take);
    return [image.map((value, i) => value + added[i]), to];
  },

  unflatten: ({shape}, x) => [x, shape],

  conv(layer, x, [channels, height, width], take) {
    const {out: outputs, kernel_size: [kh, kw], stride: [sh, sw], padding: [ph, pw]} = layer;
    const weight = take(), bias = take();
    const h = Math.floor((height + 2 * ph - kh) / sh) + 1, w = Math.floor((width + 2 * pw - kw) / sw) + 1;
    const y = new Float32Array(outputs * h * w);
    for (let o = 0; o < outputs; o++) {
      for (let row = 0; row < h; row++) {
        for (let column = 0; column < w; column++) {
          const top = row * sh - ph, left = column * sw - pw;
          let sum = bias[o];
          for (let c = 0; c < channels; c++) {
            for (let a = Math.max(0, -top); a < kh && top + a < height; a++) {
              const from = (c * height + top + a) * width + left, by = ((o * channels + c) * kh + a) * kw;
              for (let b = Math.max(0, -left); b < kw && left + b < width; b++) sum += weight[by + b] * x[from + b];
            }
          }
          y[(o * h + row) * w + column] = sum;
        }
      }
    }
    return [y, [outputs, h, w]];
  },

  conv_transpose(layer, x, [channels, height, width], take) {
    const {out: outputs, kernel_size: [kh, kw], stride: [sh, sw], padding: [ph, pw], output_padding: [oh, ow]} = layer;
    const weight = take(), bias = take();
    const h = (height - 1) * sh - 2 * ph + kh + oh, w = (width - 1) * sw - 2 * pw + kw + ow;
    const y = new Float32Array(outputs * h * w);
    for (let o = 0; o < outputs; o++) y.fill(bias[o], o * h * w, (o + 1) * h * w);
    for (let c = 0; c < channels; c++) {
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          const value = x[(c * height + row) * width + column];
          if (value === 0) continue; // after a ReLU that is half of them
          const top = row * sh - ph, left = column * sw - pw;
          for (let o = 0; o < outputs; o++) {
            for (let a = Math.max(0, -top); a < kh && top + a < h; a++) {
              const to = (o * h + top + a) * w + left, from = ((c * outputs + o) * kh + a) * kw;
              for (let b = Math.max(0, -left); b < kw && left + b < w; b++) y[to + b] += value * weight[from + b];
            }
          }
        }
      }
    }
    return [y, [outputs, h, w]];
  },
};

function apply(layers, x, shape, take) {
  for (const layer of layers) [x, shape] = LAYERS[layer.kind](layer, x, shape, take);
  return [x, shape];
}

// z, an array → the image's values in [0, 1], channel by channel, row by row; `parts` are those of the page.
function decode({layers, parts: used}, parts, z) {
  const arrays = used.flatMap(i => parts[i]);
  let next = 0;
  return apply(layers, Float32Array.from(z), [z.length, 1, 1], () => arrays[next++])[0];
}
