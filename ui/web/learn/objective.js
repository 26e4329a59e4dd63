// Contrastive objectives on a batch of n pairs, from their cosines: values and gradients are those of
// itr_core.methods (infonce.py, cusa.py). A matrix is a Float64Array, row by row: image i, caption j.

// The logarithm of the softmax over each row, or over each column.
export function logSoftmax(logits, n, byColumn = false) {
  const [row, step] = byColumn ? [1, n] : [n, 1];
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    let top = -Infinity, sum = 0;
    for (let j = 0; j < n; j++) top = Math.max(top, logits[i * row + j * step]);
    for (let j = 0; j < n; j++) sum += Math.exp(logits[i * row + j * step] - top);
    const log = top + Math.log(sum);
    for (let j = 0; j < n; j++) result[i * row + j * step] = logits[i * row + j * step] - log;
  }
  return result;
}

// InfoNCE in both directions, in nats, and its gradient by the cosines s:
//   L = -1/2n sum_i [ log softmax_j(s_ij / tau)_i + log softmax_j(s_ji / tau)_i ]
export function infoNce(cosines, n, tau) {
  const logits = cosines.map((value) => value / tau);
  const rows = logSoftmax(logits, n), columns = logSoftmax(logits, n, true);
  const gradient = new Float64Array(n * n);
  let loss = 0;
  for (let i = 0; i < n; i++) {
    loss -= (rows[i * n + i] + columns[i * n + i]) / (2 * n);
    for (let j = 0; j < n; j++) {
      const p = Math.exp(rows[i * n + j]) + Math.exp(columns[i * n + j]);
      gradient[i * n + j] = (p - (i === j ? 2 : 0)) / (2 * n * tau);
    }
  }
  return {loss, gradient};
}

// The pairs alone, without negatives: L = 1/n sum_i |v_i - t_i|^2 of unit vectors, and its gradient by the cosines.
export function pairsOnly(cosines, n) {
  const gradient = new Float64Array(n * n);
  let loss = 0;
  for (let i = 0; i < n; i++) {
    loss += (2 - 2 * cosines[i * n + i]) / n;
    gradient[i * n + i] = -2 / n;
  }
  return {loss, gradient};
}

// CUSA's soft labels across modalities (CSA), in nats, and their gradient by the cosines s:
//   L = 1/2 [ KL(g^v/tau_s || s/tau_c) + KL(g^t/tau_s || s^T/tau_c) ],  KL of the softmaxes, mean over rows
// `images` and `captions` are the cosines g^v and g^t of two frozen teachers, which are symmetric.
export function softLabels(cosines, images, captions, n, tauS, tauC) {
  const logits = cosines.map((value) => value / tauC);
  const gradient = new Float64Array(n * n);
  let loss = 0;
  for (const [teacher, byColumn] of [[images, false], [captions, true]]) {
    const q = logSoftmax(teacher.map((value) => value / tauS), n, byColumn);
    const p = logSoftmax(logits, n, byColumn);
    for (let k = 0; k < n * n; k++) {
      loss += (Math.exp(q[k]) * (q[k] - p[k])) / (2 * n);
      gradient[k] += (Math.exp(p[k]) - Math.exp(q[k])) / (2 * n * tauC);
    }
  }
  return {loss, gradient};
}

// For each image, the part of the push on its negatives that falls on the hardest one, in [1/(n-1), 1]:
// max_{j != i} p_ij / sum_{j != i} p_ij, which depends on the temperature alone once the cosines are given
// (Wang & Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021).
export function hardestShares(logRows, n) {
  return Array.from({length: n}, (_, i) => {
    let sum = 0, top = 0;
    for (let j = 0; j < n; j++) {
      if (j === i) continue;
      const p = Math.exp(logRows[i * n + j]);
      sum += p;
      top = Math.max(top, p);
    }
    return top / sum;
  });
}
