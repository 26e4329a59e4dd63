// The targets of one picture: the label 1 for its own caption, or soft labels from the similarity of pictures.
import {barRow, controls, dot, element, figures, percent, slider, softmax} from './parts.js';

const TAU = 0.07; // temperature of the model's own probabilities

export function mount(box, {data, acted}) {
  const twin = data.pictures.length - 1;
  const state = {soft: false, tau: 0.2, found: false};
  const soft = element('button', {type: 'button', id: 'labels-soft', ariaPressed: 'false', textContent: 'Use soft labels'});
  const tau = slider({
    id: 'labels-tau', label: 'Temperature of the teacher τ_s', min: 0.02, max: 1, step: 0.01, value: state.tau,
    changed: (value) => { state.tau = value; draw(); }, final: (value) => acted({tau: value, soft: state.soft}),
  });
  soft.addEventListener('click', () => {
    state.soft = !state.soft;
    draw();
    acted({soft: state.soft});
  });
  const anchor = element('img', {src: data.pictures[0], alt: `The picture: ${data.captions[0]}`, width: 120, height: 120});
  const rows = element('ol', {className: 'bars labels-bars'});
  const buttons = data.captions.map((caption, index) => {
    const button = element('button', {type: 'button'});
    button.addEventListener('click', () => {
      state.found ||= index === twin;
      acted({clicked: index === twin ? 'also-true' : index === 0 ? 'own' : 'other'});
      button.classList.add('tried');
      button.title = index === twin ? 'Also true of this picture' : index === 0 ? 'The caption of this picture' : 'False of this picture';
      draw();
    });
    rows.append(element('li', {}, button, element('img', {src: data.pictures[index], alt: '', width: 40, height: 40})));
    return button;
  });
  const [list, fill] = figures({target: 'Target of the false negative', push: 'What the loss does with it', own: 'Target of its own caption'});
  box.append(element('div', {className: 'anchor-row'}, anchor, element('p', {textContent: 'Captions of the batch. Bar: the target of the loss for the picture on the left. Number: what the model gives, minus the target. Above 0 pushes away, below 0 pulls closer.'})), controls(soft, tau.box), rows, list);

  function draw() {
    const given = softmax(data.texts.map((text) => dot(data.images[0], text) / TAU));
    const target = state.soft
      ? softmax(data.images.map((image) => dot(data.images[0], image) / state.tau))
      : data.captions.map((_, index) => (index === 0 ? 1 : 0));
    soft.ariaPressed = String(state.soft);
    soft.textContent = state.soft ? 'Use hard labels' : 'Use soft labels';
    tau.box.hidden = !state.soft;
    buttons.forEach((button, index) => {
      const push = given[index] - target[index];
      const known = button.classList.contains('tried');
      const mark = !known ? '' : index === twin ? '✓ also true: ' : index === 0 ? '✓ its own: ' : '✗ false: ';
      button.replaceChildren(...barRow(mark + data.captions[index], target[index], `${push < 0 ? '−' : '+'}${Math.abs(push).toFixed(2)}`));
    });
    const push = given[twin] - target[twin];
    fill({
      target: state.found || state.soft ? [percent(target[twin]), `“${data.captions[twin]}”`] : ['?', 'find it first'],
      push: !state.found && !state.soft ? ['?'] : [Math.abs(push) < 0.005 ? 'nearly nothing' : push > 0 ? 'pushes it away' : 'pulls it closer', `gradient ${push.toFixed(2)} (times 1/τ)`],
      own: [percent(target[0]), state.soft ? 'the rest is spread over the others' : 'all others: 0 %'],
    });
  }
  draw();
  return {set(values) {
    if ('soft' in values) { state.soft = values.soft === '1'; draw(); }
    if ('tau' in values) tau.set(Number(values.tau));
  }};
}
