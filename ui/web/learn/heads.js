// Two linear heads that are trained on frozen features: what a worker, and a test, run. All numbers are float64
// and all random numbers come from the seed, so that the same settings give the same curve in every browser.
import {infoNce, pairsOnly, softLabels} from './objective.js';

export const STEPS = 300;
export const DIM = 32; // of the common space
export const TAU_S = 0.1, TAU_C = 0.45; // temperatures of CUSA: of the soft labels, and of the cosines
const LR = 0.01, BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8; // Adam

// Reads a safetensors file: {tensors: name -> {shape, data}, metadata}. Only int8 is needed here.
export function readFeatures(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const {__metadata__: metadata, ...tensors} = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const read = ({shape: [n, k], data_offsets: [start]}) => {
    const raw = new Int8Array(buffer, 8 + length + start, n * k);
    return unitRows(Float64Array.from(raw), k).unit;
  };
  const [, width] = tensors.images.shape;
  return {
    images: read(tensors.images), captions: read(tensors.captions), width,
    train: Number(metadata.train), held: tensors.images.shape[0] - Number(metadata.train), starter: JSON.parse(metadata.starter),
  };
}

// mulberry32: 32 bits of state, uniform in [0, 1).
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function unitRows(rows, width) {
  const unit = new Float64Array(rows.length), norms = new Float64Array(rows.length / width);
  for (let i = 0; i < norms.length; i++) {
    let sum = 0;
    for (let k = i * width; k < (i + 1) * width; k++) sum += rows[k] * rows[k];
    norms[i] = Math.sqrt(sum);
    for (let k = i * width; k < (i + 1) * width; k++) unit[k] = rows[k] / norms[i];
  }
  return {unit, norms};
}

// a (n, width) times the transpose of b (m, width): (n, m).
function products(a, b, width) {
  const n = a.length / width, m = b.length / width, result = new Float64Array(n * m);
  for (let i = 0, at = 0; i < n; i++) {
    for (let j = 0; j < m; j++, at++) {
      let sum = 0;
      for (let k = 0, p = i * width, q = j * width; k < width; k++) sum += a[p++] * b[q++];
      result[at] = sum;
    }
  }
  return result;
}

// Rows x (n, width) times a head w (width, DIM), and the unit vectors of the result.
function embed(x, w, width) {
  const n = x.length / width, z = new Float64Array(n * DIM);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < width; k++) {
      const value = x[i * width + k];
      for (let d = 0; d < DIM; d++) z[i * DIM + d] += value * w[k * DIM + d];
    }
  }
  return unitRows(z, DIM);
}

// The gradient of a head from `g` (n, m), that of the cosines of its rows with the `others` (m, DIM).
function headGradient(x, {unit, norms}, g, others, width) {
  const n = norms.length, m = others.length / DIM, result = new Float64Array(width * DIM), du = new Float64Array(DIM);
  for (let i = 0; i < n; i++) {
    du.fill(0);
    for (let j = 0; j < m; j++) for (let d = 0; d < DIM; d++) du[d] += g[i * m + j] * others[j * DIM + d];
    let along = 0;
    for (let d = 0; d < DIM; d++) along += du[d] * unit[i * DIM + d];
    for (let d = 0; d < DIM; d++) du[d] = (du[d] - along * unit[i * DIM + d]) / norms[i];
    for (let k = 0; k < width; k++) {
      const value = x[i * width + k];
      for (let d = 0; d < DIM; d++) result[k * DIM + d] += value * du[d];
    }
  }
  return result;
}

function transposed(g, n) {
  const result = new Float64Array(n * n);
  for (let i = 0, at = 0; i < n; i++) for (let j = 0; j < n; j++) result[j * n + i] = g[at++];
  return result;
}

// Loss of a batch, and its gradients by both heads. `x` and `y` are (n, width): features of images and captions.
export function gradients(x, y, heads, width, {method, tau, soft}) {
  const n = x.length / width;
  const v = embed(x, heads.image, width), t = embed(y, heads.text, width);
  const s = products(v.unit, t.unit, DIM);
  let {loss, gradient} = method === 'pairs' ? pairsOnly(s, n) : infoNce(s, n, tau);
  if (method === 'cusa') {
    const labels = softLabels(s, products(x, x, width), products(y, y, width), n, TAU_S, TAU_C);
    loss += soft * labels.loss;
    gradient = gradient.map((value, k) => value + soft * labels.gradient[k]);
  }
  return {
    loss, image: headGradient(x, v, gradient, t.unit, width),
    text: headGradient(y, t, transposed(gradient, n), v.unit, width),
  };
}

// Alignment and uniformity (Wang & Isola, ICML 2020) of images and captions together, and R@1 from captions to
// images, all of the pairs (x_i, y_i).
export function measures(x, y, heads, width) {
  const v = embed(x, heads.image, width).unit, t = embed(y, heads.text, width).unit;
  const n = v.length / DIM;
  const cross = products(t, v, DIM), images = products(v, v, DIM), captions = products(t, t, DIM);
  let distance = 0, first = 0, sum = 0;
  for (let i = 0; i < n; i++) {
    distance += 2 - 2 * cross[i * n + i];
    let better = 0;
    for (let j = 0; j < n; j++) {
      if (j !== i && cross[i * n + j] >= cross[i * n + i]) better++;
      sum += Math.exp(-4 + 4 * cross[i * n + j]); // exp(-2 |a - b|^2)
      if (j < i) sum += Math.exp(-4 + 4 * images[i * n + j]) + Math.exp(-4 + 4 * captions[i * n + j]);
    }
    if (!better) first++;
  }
  return {alignment: distance / n, uniformity: Math.log(sum / (n * (2 * n - 1))), r1: (100 * first) / n};
}

// One training: `step` trains on a batch and returns its loss, `measure` measures the held-out pairs.
export class Training {
  constructor(features, settings) {
    Object.assign(this, {features, settings, done: 0});
    this.random = randomNumbers(settings.seed);
    const head = () => Float64Array.from({length: features.width * DIM}, () => this.normal() / Math.sqrt(features.width));
    this.heads = {image: head(), text: head()};
    this.moments = Object.fromEntries(['image', 'text'].map((name) =>
      [name, [new Float64Array(features.width * DIM), new Float64Array(features.width * DIM)]]));
  }

  normal() {
    return Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random());
  }

  // Draws a batch without repetition.
  batch() {
    const {train} = this.features, rows = Array.from({length: train}, (_, i) => i);
    const size = Math.min(this.settings.batch, train);
    for (let i = 0; i < size; i++) {
      const j = i + Math.floor(this.random() * (train - i));
      [rows[i], rows[j]] = [rows[j], rows[i]];
    }
    return rows.slice(0, size);
  }

  step() {
    const {images, captions, width} = this.features, rows = this.batch();
    const [x, y] = [images, captions].map((from) => {
      const part = new Float64Array(rows.length * width);
      rows.forEach((row, i) => part.set(from.subarray(row * width, (row + 1) * width), i * width));
      return part;
    });
    const found = gradients(x, y, this.heads, width, this.settings);
    this.done++;
    for (const name of ['image', 'text']) this.adam(this.heads[name], found[name], ...this.moments[name]);
    return found.loss;
  }

  adam(weights, gradient, mean, square) {
    const bias1 = 1 - BETA1 ** this.done, bias2 = 1 - BETA2 ** this.done;
    for (let k = 0; k < weights.length; k++) {
      mean[k] = BETA1 * mean[k] + (1 - BETA1) * gradient[k];
      square[k] = BETA2 * square[k] + (1 - BETA2) * gradient[k] ** 2;
      weights[k] -= (LR / bias1) * mean[k] / (Math.sqrt(square[k] / bias2) + EPSILON);
    }
  }

  measure() {
    const {images, captions, width, train} = this.features;
    return measures(images.subarray(train * width), captions.subarray(train * width), this.heads, width);
  }
}
