// Queries of different length for one picture: its rank, and how many pictures are right as well.
import {barRow, controls, element, figures, slider} from './parts.js';

export function mount(box, {data, acted}) {
  const words = data.captions.at(-1).split(/\s+/);
  let chosen = data.captions.length - 1;
  const near = (rank) => 1 - Math.log(rank) / Math.log(Math.max(2, data.size));
  const rows = element('ol', {className: 'bars lengths-bars'});
  const buttons = data.captions.map((caption, index) => {
    const button = element('button', {type: 'button', id: `lengths-${index}`});
    button.append(...barRow(`${caption} (${caption.split(/\s+/).length} words)`, near(data.ranks[index]), `rank ${data.ranks[index]}`));
    button.addEventListener('click', () => {
      chosen = index;
      draw();
      acted({caption: index === 0 ? 'shortest' : index === data.captions.length - 1 ? 'longest' : 'other', words: caption.split(/\s+/).length});
    });
    rows.append(element('li', {}, button));
    return button;
  });
  const cut = slider({
    id: 'lengths-cut', label: 'Words of the longest caption that are kept', min: 1, max: words.length, step: 1, value: words.length,
    shown: (value) => `${value} of ${words.length}`, changed: () => drawCut(), final: (value) => acted({kept: value / words.length}),
  });
  const input = cut.box.querySelector('input');
  const kept = element('p', {className: 'tool-note', ariaLive: 'polite'});
  const [list, fill] = figures({rank: 'Rank of this picture', correct: 'Pictures of which this caption is true', counted: 'R@1 counts this query as'});
  const picture = element('img', {src: data.pictures[0], alt: `The picture: ${data.captions.at(-1)}`, width: 120, height: 120});
  box.append(element('div', {className: 'anchor-row'}, picture, element('p', {textContent: 'Captions of this picture, the shortest first. Each is true. Choose one; the bar is longer where the rank is better.'})), rows, list, controls(cut.box), kept);

  function draw() {
    buttons.forEach((each, index) => { each.ariaPressed = String(index === chosen); });
    const correct = data.correct?.[chosen];
    fill({
      rank: [`${data.ranks[chosen]} of ${data.size}`],
      correct: [correct ?? 'not known', correct > 1 ? 'all of them are right answers' : ''],
      counted: [data.ranks[chosen] === 1 ? 'found' : 'a miss', correct > 1 && data.ranks[chosen] > 1 && data.ranks[chosen] <= correct ? 'though everything above it can be right' : ''],
    });
  }
  function drawCut() {
    const count = Number(input.value);
    kept.textContent = `“${words.slice(0, count).join(' ')}${count < words.length ? ' …' : ''}”: rank ${data.prefixes[count - 1]} of ${data.size}.`;
  }
  draw();
  drawCut();
}
