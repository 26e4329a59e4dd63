// A dictionary of negatives for one picture: its size, the weights of hard negatives, and the momentum of the keys.
import {barRow, controls, element, figures, mean, percent, slider} from './parts.js';

const TAU = 0.07, SHOWN = 6;

export function mount(box, {data, acted}) {
  const most = data.cosines.length;
  const sizes = [...new Set([7, 31, 127, most].filter((each) => each <= most))];
  const state = {size: sizes[0], beta: 0, momentum: 0.99};
  const size = slider({
    id: 'queue-size', label: 'Negatives in the dictionary', min: 0, max: sizes.length - 1, step: 1, value: 0,
    shown: (index) => String(sizes[index]), changed: (index) => { state.size = sizes[index]; draw(); },
    final: () => acted({size: state.size, full: state.size === most}),
  });
  const beta = slider({
    id: 'queue-beta', label: 'Weight of hard negatives β', min: 0, max: 4, step: 0.1, value: 0,
    shown: (value) => value.toFixed(1), changed: (value) => { state.beta = value; draw(); }, final: (value) => acted({beta: value}),
  });
  const momentum = slider({
    id: 'queue-momentum', label: 'Momentum m of the key encoder', min: 1, max: 3.3, step: 0.1, value: 2,
    shown: (value) => (1 - 10 ** -value).toFixed(4), changed: (value) => { state.momentum = 1 - 10 ** -value; draw(); },
    final: () => acted({momentum: state.momentum}),
  });
  const rows = element('ol', {className: 'bars queue-bars'});
  const [list, fill] = figures({loss: 'Loss of this picture', effective: 'Effective negatives', hardest: 'Push on the hardest negative', lag: 'Keys lag behind by'});
  const picture = element('img', {src: data.pictures[0], alt: `The picture: ${data.caption}`, width: 120, height: 120});
  box.append(element('div', {className: 'anchor-row'}, picture, element('p', {textContent: `Its caption: “${data.caption}”, cosine ${data.positive.toFixed(2)}. Below: the ${SHOWN} hardest captions of other pictures in the dictionary. Bar: share of the push on negatives. Number: cosine.`})), controls(size.box, beta.box, momentum.box), rows, list);

  function draw() {
    const cosines = data.cosines.slice(0, state.size);
    const average = mean(cosines), deviation = Math.sqrt(mean(cosines.map((each) => (each - average) ** 2))) || 1;
    const raw = cosines.map((each) => Math.exp(state.beta * (each - average) / deviation));
    const scale = mean(raw);
    const weights = raw.map((each) => each / scale); // mean 1
    const powers = cosines.map((each, i) => weights[i] * Math.exp((each - data.positive) / TAU));
    const sum = powers.reduce((all, each) => all + each, 0);
    const order = cosines.map((_, i) => i).sort((a, b) => cosines[b] - cosines[a]).slice(0, SHOWN);
    rows.replaceChildren(...order.map((i) => {
      const also = data.true?.[i];
      return element('li', {}, ...barRow(`${also ? '✓ also true: ' : ''}${data.captions[i]}`, powers[i] / sum, cosines[i].toFixed(2).replace('-', '−'), also ? 'unsure' : ''));
    }));
    const effective = weights.reduce((all, each) => all + each, 0) ** 2 / weights.reduce((all, each) => all + each * each, 0);
    fill({
      loss: [Math.log1p(sum).toFixed(2), `τ = ${TAU}; chance: ${Math.log(1 + state.size).toFixed(2)}`],
      effective: [effective.toFixed(0), `of ${state.size}, by their weights`],
      hardest: [percent(powers[order[0]] / sum), data.true?.[order[0]] ? 'a false negative' : `cosine ${cosines[order[0]].toFixed(2)}`],
      lag: [`${Math.round(Math.log(2) / -Math.log(state.momentum))} steps`, 'until a change of the encoder is half in the keys'],
    });
  }
  draw();
  return {set(values) {
    if ('size' in values) size.set(values.size === 'full' ? sizes.length - 1 : 0);
    if ('beta' in values) beta.set(Number(values.beta));
  }};
}
