// A dual encoder: a picture and a text go through one tower each and meet only in the cosine of two vectors.
import {controls, dot, element, picker} from './parts.js';

const CELLS = 24; // numbers of a vector that are drawn
const SVG = `<svg viewBox="0 28 560 206" role="img" aria-label="Image tower and text tower, each with a vector on top; between them their cosine.">
  <g fill="none" stroke="currentColor" stroke-width="1.5">
    <path class="tower" d="M12 225H228L196 115H44Z"/><path class="tower" d="M332 225H548L516 115H364Z"/>
    <path d="M120 115V96M113 103l7-9l7 9M440 115V96M433 103l7-9l7 9"/>
    <path d="M224 78H244M316 78H336" stroke-dasharray="4 4"/>
  </g>
  <g fill="currentColor" text-anchor="middle" font-size="16">
    <text x="120" y="165" font-size="18" font-weight="700">image tower</text><text x="120" y="192">pixels in</text>
    <text x="440" y="165" font-size="18" font-weight="700">text tower</text><text x="440" y="192">sub-words in</text>
    <text x="280" y="58">cosine</text><text class="cosine" x="280" y="86" font-size="28" font-weight="700"></text>
    <text class="size" x="120" y="56"></text><text class="size" x="440" y="56"></text>
  </g>
  <g class="strip" transform="translate(24 68)"></g><g class="strip" transform="translate(344 68)"></g>
</svg>`;

export function mount(box, {data, encode, longest, acted}) {
  const count = Math.min(8, data.pictures.length);
  let picture = 0, text = data.texts[0], caption = 0;
  const drawing = element('div', {className: 'towers'});
  drawing.innerHTML = SVG;
  const strips = [...drawing.querySelectorAll('.strip')];
  for (const strip of strips) {
    strip.innerHTML = Array.from({length: CELLS}, (_, i) => `<rect x="${8 * i}" width="7" height="20" rx="1.5"/>`).join('');
  }
  for (const each of drawing.querySelectorAll('.size')) each.textContent = `${CELLS} of ${data.images[0].length} numbers`;

  const pictures = picker(data.pictures.slice(0, count), data.captions, (index) => {
    picture = index;
    draw();
    tell('picture');
  });
  const buttons = data.captions.slice(0, count).map((words, index) => {
    const button = element('button', {type: 'button', textContent: words});
    button.addEventListener('click', () => {
      [text, caption] = [data.texts[index], index];
      draw();
      tell('caption');
    });
    return button;
  });
  const input = element('input', {type: 'text', id: 'towers-words', maxLength: longest, placeholder: 'your own words'});
  const note = element('p', {className: 'tool-note', role: 'status'});
  const form = controls(element('label', {className: 'grow', htmlFor: 'towers-words'}, 'Your own words ', input), element('button', {type: 'submit', textContent: 'Encode'}));
  form.addEventListener('submit', async () => {
    if (!input.value.trim()) return;
    const found = await encode(input.value);
    note.textContent = found.error ?? '';
    if (found.error) return;
    [text, caption] = [found.text, -1];
    draw();
    tell('typed');
  });

  const cosine = () => dot(data.images[picture], text);
  const tell = (changed) => acted({changed, own: caption === picture, cosine: cosine()});

  function draw() {
    pictures.mark(picture);
    buttons.forEach((each, index) => { each.ariaPressed = String(index === caption); });
    [data.images[picture], text].forEach((vector, side) => {
      const largest = Math.max(...vector.slice(0, CELLS).map(Math.abs));
      [...strips[side].children].forEach((cell, i) => {
        cell.setAttribute('class', vector[i] < 0 ? 'negative' : 'positive');
        cell.style.opacity = 0.12 + 0.88 * Math.abs(vector[i]) / largest;
      });
    });
    drawing.querySelector('.cosine').textContent = cosine().toFixed(2);
  }

  box.append(pictures.box, drawing, element('div', {className: 'captions-to-choose', role: 'group', ariaLabel: 'Captions'}, ...buttons), form, note);
  draw();
}
