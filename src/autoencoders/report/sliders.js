// The sliders of a VAE: the code starts from a test image, a draw or 0, and each slider moves one of its dimensions.

class Sliders {
  constructor(data) {
    this.data = data;
    this.canvas = document.getElementById("sliders-image");
    this.original = document.getElementById("sliders-original");
    this.inputs = $(".sliders input");
    this.select = document.querySelector(".sliders select");
    for (const input of this.inputs) input.oninput = () => this.set(Number(input.dataset.dimension), Number(input.value));
    this.select.onchange = () => this.start();
    document.querySelector('[data-action="reset"]').onclick = () => this.start();
    document.querySelector('[data-action="draw"]').onclick = () => this.startAt(Float32Array.from({length: data.latent}, normal));
    this.start();
  }

  start() {
    const chosen = this.data.starts[this.select.value];
    this.startAt(chosen ? floats(chosen.code) : new Float32Array(this.data.latent), chosen);
  }

  startAt(z, image) {
    this.z = z;
    this.original.hidden = !image;
    if (image) this.original.querySelector("img").src = image.tiles.source;
    else this.select.value = "";
    this.show();
  }

  set(dimension, value) {
    this.z[dimension] = value;
    this.show();
  }

  show() {
    for (const input of this.inputs) {
      const value = this.z[input.dataset.dimension];
      input.value = value;
      input.nextElementSibling.textContent = written(value, 2);
    }
    paint(this.canvas, this.data.decoder.shape, decode(this.data.decoder, parts, this.z));
  }
}

// A draw from N(0, 1) (Box and Muller 1958).
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

if (explorable.sliders) globalThis.sliders = new Sliders(explorable.sliders);
