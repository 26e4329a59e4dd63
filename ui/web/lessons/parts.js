// Parts of the tools of the lessons: elements, controls, and the arithmetic of unit vectors.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A labelled slider; `shown` turns its value into text and `changed` gets it, `final` when the slider is let go.
export function slider({id, label, min, max, step, value, shown = (each) => each.toFixed(2), changed, final}) {
  const input = element('input', {type: 'range', id, min, max, step, value});
  const output = element('output', {htmlFor: id});
  const read = () => Number(input.value);
  const show = () => { output.textContent = input.ariaValueText = shown(read()); };
  input.addEventListener('input', () => { show(); changed(read()); });
  input.addEventListener('change', () => final(read()));
  show();
  const box = element('label', {className: 'grow'}, `${label} `, output, input);
  return {box, set(next) { input.value = next; show(); changed(read()); }};
}

export function controls(...children) {
  const form = element('form', {className: 'tool-controls'}, ...children);
  form.addEventListener('submit', (event) => event.preventDefault());
  return form;
}

// Named figures; returns the list and a function that fills in {name: [value, hint]}.
export function figures(names) {
  const values = Object.entries(names).map(([name, title]) => {
    const value = element('dd'), hint = element('dd', {className: 'hint'});
    return [name, {value, hint, box: element('div', {}, element('dt', {textContent: title}), value, hint)}];
  });
  const list = element('dl', {className: 'figures'}, ...values.map(([, each]) => each.box));
  const at = Object.fromEntries(values);
  return [list, (shown) => {
    for (const [name, [value, hint = '']] of Object.entries(shown)) {
      at[name].value.textContent = value;
      at[name].hint.textContent = hint;
    }
  }];
}

// Thumbnails as buttons; `chosen` gets the index.
export function picker(pictures, captions, chosen) {
  const buttons = pictures.map((src, index) => {
    const button = element('button', {type: 'button', className: 'pick'}, element('img', {src, alt: `Picture ${index + 1}: ${captions[index]}`}));
    button.addEventListener('click', () => chosen(index));
    return button;
  });
  const box = element('div', {className: 'picker', role: 'group', ariaLabel: 'Pictures'}, ...buttons);
  return {box, mark: (index) => buttons.forEach((each, i) => { each.ariaPressed = String(i === index); })};
}

// A row of a bar chart: text, bar of a share from 0 to 1, number.
export function barRow(text, share, number, kind = '') {
  const bar = element('span', {className: `bar ${kind}`});
  bar.style.setProperty('--share', Math.min(1, Math.max(0, share)));
  return [element('span', {className: 'words', textContent: text}), bar, element('span', {className: 'number', textContent: number})];
}

export const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

export function unit(vector) {
  const length = Math.sqrt(dot(vector, vector)) || 1;
  return vector.map((value) => value / length);
}

// (1 - share) a + share b, scaled to unit length.
export const between = (a, b, share) => unit(a.map((value, i) => (1 - share) * value + share * b[i]));

export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - top));
  const sum = powers.reduce((all, value) => all + value, 0);
  return powers.map((value) => value / sum);
}
