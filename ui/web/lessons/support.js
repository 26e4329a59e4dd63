// The support set of a picture: the captions of the batch that share a label with it, weighted by similarity.
import {barRow, controls, dot, element, figures, percent, picker, slider, unit} from './parts.js';

export function mount(box, {data, acted}) {
  const state = {anchor: 0, tau: 0.2};
  const pictures = picker(data.pictures, data.captions, (index) => {
    state.anchor = index;
    draw();
    acted({picture: index});
  });
  const tau = slider({
    id: 'support-tau', label: 'Temperature of the support set T_s', min: 0.02, max: 1, step: 0.01, value: state.tau,
    changed: (value) => { state.tau = value; draw(); }, final: (value) => acted({tau: value}),
  });
  const rows = element('ol', {className: 'bars support-bars'});
  const note = element('p', {className: 'tool-note'});
  const [list, fill] = figures({supporters: 'Captions in the support set', own: 'Weight of its own caption', cosine: 'Cosine with its support', one: 'Cosine with its own caption'});
  box.append(pictures.box, note, controls(tau.box), rows, list);

  function draw() {
    const {anchor} = state, image = data.images[anchor];
    pictures.mark(anchor);
    note.textContent = `Labels of this picture: ${data.labels[anchor].join(', ')}. Bar: weight in its support set.`;
    const shared = data.labels.map((labels) => labels.filter((each) => data.labels[anchor].includes(each)));
    const powers = data.texts.map((text, j) => shared[j].length * Math.exp(dot(image, text) / state.tau));
    const sum = powers.reduce((all, each) => all + each, 0);
    const weights = powers.map((each) => each / sum);
    const support = unit(image.map((_, i) => data.texts.reduce((all, text, j) => all + weights[j] * text[i], 0)));
    rows.replaceChildren(...data.captions.map((caption, j) => {
      const labels = shared[j].length ? `shares ${shared[j].join(', ')}` : 'shares no label';
      return element('li', {}, ...barRow(`${caption} (${j === anchor ? 'its own' : labels})`, weights[j], percent(weights[j])));
    }));
    fill({
      supporters: [`${shared.filter((each) => each.length).length} of ${data.captions.length}`, 'its own included'],
      own: [percent(weights[anchor])],
      cosine: [dot(image, support).toFixed(2), 'L_ss raises this'],
      one: [dot(image, data.texts[anchor]).toFixed(2)],
    });
  }
  draw();
  return {set: (values) => 'tau' in values && tau.set(Number(values.tau))};
}
