// Alignment and uniformity of real embeddings, which two sliders move: all vectors to one point, captions to their pictures.
import {between, controls, dot, element, figures, mean, percent, slider, unit} from './parts.js';

const WIDTH = 720, LEFT = 20, LOW = -0.3;

export function mount(box, {data, acted}) {
  const n = Math.min(8, data.images.length);
  const pictures = data.images.slice(0, n), captions = data.texts.slice(0, n);
  const centre = unit(pictures[0].map((_, i) => mean([...pictures, ...captions].map((each) => each[i]))));
  const state = {collapse: 0, pull: 0};
  const tell = () => acted({...state});
  const collapse = slider({
    id: 'space-collapse', label: 'Move all vectors to one point', min: 0, max: 1, step: 0.01, value: 0, shown: percent,
    changed: (value) => { state.collapse = value; draw(); }, final: tell,
  });
  const pull = slider({
    id: 'space-pull', label: 'Move each caption to its picture', min: 0, max: 1, step: 0.01, value: 0, shown: percent,
    changed: (value) => { state.pull = value; draw(); }, final: tell,
  });
  const plot = element('div', {className: 'space-plot'});
  const [list, fill] = figures({alignment: 'Alignment (lower is better)', uniformity: 'Uniformity of the pictures (lower is better)', first: 'Own caption first'});
  box.append(controls(collapse.box, pull.box), plot, list);

  const x = (cosine) => LEFT + (WIDTH - 2 * LEFT) * (cosine - LOW) / (1 - LOW);

  function draw() {
    const v = pictures.map((each) => between(each, centre, state.collapse));
    const t = captions.map((each, i) => between(between(each, pictures[i], state.pull), centre, state.collapse));
    const s = v.map((row) => t.map((column) => dot(row, column)));
    const own = s.map((row, i) => row[i]), others = s.flatMap((row, i) => row.filter((_, j) => j !== i));
    const apart = v.flatMap((a, i) => v.slice(i + 1).map((b) => 2 - 2 * dot(a, b)));
    const alignment = mean(own.map((cosine) => 2 - 2 * cosine));
    const uniformity = Math.log(mean(apart.map((squared) => Math.exp(-2 * squared))));
    // Of equal cosines, each is as likely to be ranked first.
    const first = mean(s.map((row, i) => {
      const best = Math.max(...row);
      return row[i] < best - 1e-6 ? 0 : 1 / row.filter((each) => each >= best - 1e-6).length;
    }));
    fill({
      alignment: [alignment.toFixed(2), 'mean squared distance of a picture and its caption'],
      uniformity: [uniformity.toFixed(2).replace('-', '−'), '0: all pictures are in one point'],
      first: [percent(first), `chance: ${percent(1 / n)}`],
    });
    const mark = (cosine, row) => row
      ? `<circle class="own" cx="${x(cosine)}" cy="35" r="6"/>`
      : `<path class="other" d="M${x(cosine)} 75v22"/>`;
    plot.innerHTML = `<svg viewBox="0 0 ${WIDTH} 135" role="img" aria-label="Cosines: ${n} of a picture and its caption, mean ${mean(own).toFixed(2)}; ${others.length} of a picture and another caption, mean ${mean(others).toFixed(2)}.">
      <g fill="currentColor" font-size="13"><text x="${LEFT}" y="18">● a picture and its own caption</text><text x="${LEFT}" y="66">| a picture and another caption</text>
      ${[0, 0.5, 1].map((tick) => `<text x="${x(tick)}" y="130" text-anchor="middle">${tick}</text>`).join('')}</g>
      <path d="M${LEFT} 110H${WIDTH - LEFT}" stroke="currentColor" opacity=".4"/>
      ${others.map((cosine) => mark(cosine, false)).join('')}${own.map((cosine) => mark(cosine, true)).join('')}</svg>`;
  }
  draw();
  return {set(values) {
    if ('collapse' in values) collapse.set(Number(values.collapse));
    if ('pull' in values) pull.set(Number(values.pull));
  }};
}
