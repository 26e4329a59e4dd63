// Drawings of "Train it": the alignment-uniformity plane and the curve of R@1, as SVG of the size of the page.
const LEFT = 46, RIGHT = 20, TOP = 14, BOTTOM = 40;
const radius = (r1) => 4 + 1.1 * Math.sqrt(Math.max(0, r1));

// Scales and axes; `x` and `y` are {low, high, step, label}.
function frame(svg, x, y, height) {
  const width = Math.max(240, svg.parentElement.clientWidth);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const at = {
    x: (value) => LEFT + ((value - x.low) / (x.high - x.low)) * (width - LEFT - RIGHT),
    y: (value) => height - BOTTOM - ((value - y.low) / (y.high - y.low)) * (height - TOP - BOTTOM),
  };
  const ticks = ({low, high, step}) => Array.from({length: Math.floor((high - low) / step + 1.001)}, (_, i) => low + i * step);
  const name = (value, step) => value.toFixed(step < 1 ? 1 : 0).replace('-', '−');
  const lines = [
    ...ticks(x).map((t) => `<line class="grid" x1="${at.x(t)}" x2="${at.x(t)}" y1="${TOP}" y2="${height - BOTTOM}"/>` +
      `<text x="${at.x(t)}" y="${height - BOTTOM + 15}" text-anchor="middle">${name(t, x.step)}</text>`),
    ...ticks(y).map((t) => `<line class="grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${at.y(t)}" y2="${at.y(t)}"/>` +
      `<text x="${LEFT - 6}" y="${at.y(t) + 4}" text-anchor="end">${name(t, y.step)}</text>`),
    `<text x="${(LEFT + width - RIGHT) / 2}" y="${height - 6}" text-anchor="middle">${x.label}</text>`,
    `<text transform="translate(12 ${(TOP + height - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${y.label}</text>`,
  ];
  return {at, width, axes: lines.join('')};
}

const path = (points, at) => points.map(([x, y], i) => `${i ? 'L' : 'M'}${at.x(x).toFixed(1)} ${at.y(y).toFixed(1)}`).join('');

// `run` and `ghost` are points {alignment, uniformity, r1}, the first before training; `starter` is one point.
export function drawPlane(svg, run, ghost, starter, height) {
  const all = [...run, ...ghost, starter];
  const right = Math.max(...all.map((point) => point.uniformity));
  const high = right > -2.9 ? 0.2 : -2.8; // all of the axis only if a run gets there
  const low = high > 0 ? -4 : Math.min(-3.8, Math.floor(10 * Math.min(...all.map((point) => point.uniformity)) - 0.5) / 10);
  const top = Math.max(2.2, Math.ceil(5 * Math.max(...all.map((point) => point.alignment))) / 5);
  const {at, width, axes} = frame(
    svg, {low, high, step: high > 0 ? 0.5 : 0.2, label: 'Uniformity (left: spread out)'},
    {low: 0, high: top, step: 0.5, label: 'Alignment (down: pairs near)'}, height);
  const place = ({uniformity, alignment}) => [at.x(uniformity), at.y(alignment)];
  const of = (points) => path(points.map((point) => [point.uniformity, point.alignment]), at);
  const dot = (point, kind) => {
    const [x, y] = place(point);
    return `<circle class="${kind}" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius(point.r1).toFixed(1)}"/>`;
  };
  const label = (point, text, side = 1) => {
    const [x, y] = place(point);
    const dx = (radius(point.r1) + 5) * side;
    return `<text class="name" x="${x + dx}" y="${y + 4}" text-anchor="${side > 0 ? 'start' : 'end'}">${text}</text>`;
  };
  const collapsed = high > 0
    ? `<path class="landmark" d="M${at.x(0) - 5} ${at.y(0) - 5}l10 10m0-10l-10 10"/><text class="name" x="${at.x(0) - 9}" y="${at.y(0) - 8}" text-anchor="end">collapsed</text>`
    : `<text class="name" x="${width - RIGHT - 4}" y="${at.y(0) - 7}" text-anchor="end">collapsed, at 0 →</text>`;
  svg.innerHTML = axes + collapsed +
    (ghost.length ? `<path class="ghost" d="${of(ghost)}"/>${dot(ghost.at(-1), 'ghost')}` : '') +
    dot(starter, 'landmark') + label(starter, 'starter') +
    dot(run[0], 'landmark') + label(run[0], 'untrained') +
    `<path class="run" d="${of(run)}"/>${dot(run.at(-1), 'run')}` +
    (run.length > 1 ? label(run.at(-1), `R@1 ${run.at(-1).r1.toFixed(0)} %`, -1) : '');
}

export function drawCurve(svg, run, ghost, steps, height) {
  const {at, axes} = frame(
    svg, {low: 0, high: steps, step: 100, label: 'Step'}, {low: 0, high: 100, step: 25, label: 'R@1 in %'}, height);
  const of = (points) => path(points.map((point) => [point.step, point.r1]), at);
  svg.innerHTML = `${axes}${ghost.length ? `<path class="ghost" d="${of(ghost)}"/>` : ''}<path class="run" d="${of(run)}"/>` +
    `<circle class="run" cx="${at.x(run.at(-1).step)}" cy="${at.y(run.at(-1).r1)}" r="4"/>`;
}
