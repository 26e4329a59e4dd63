// Draws an answer of the server: picture, things, options of the chosen thing, captions and trail.
const part = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];

function make(tag, settings = {}, ...children) {
  const made = Object.assign(document.createElement(tag), settings);
  made.append(...children);
  return made;
}

function fill(select, values, chosen) {
  const wanted = values.map((each) => (Array.isArray(each) ? each : [each, each]));
  if (JSON.stringify(wanted) !== select.dataset.values) {
    select.replaceChildren(...wanted.map(([value, text]) => make('option', {value, textContent: text})));
    select.dataset.values = JSON.stringify(wanted);
  }
  if (chosen !== undefined) select.value = chosen;
  const label = select.closest('label');
  if (label) label.hidden = values.length < 2;
}

function fillSwitch(field, values, chosen) {
  const wanted = JSON.stringify(values);
  if (wanted !== field.dataset.values) {
    field.dataset.values = wanted;
    field.querySelector('span').replaceChildren(...values.map((value) => make('label', {},
      make('input', {type: 'radio', name: `stage-${field.dataset.set}`, value}), make('span', {textContent: value}))));
  }
  for (const input of field.querySelectorAll('input')) input.checked = input.value === chosen;
}

const percent = (share) => `${100 * share}%`;

function place(node, [left, top, right, bottom]) {
  Object.assign(node.style, {
    left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top),
  });
}

function viewPicture(answer) {
  const picture = part('.stage-picture');
  picture.src = answer.picture;
  picture.alt = answer.alt;
  picture.hidden = false;
  const {place: where, time, weather} = answer.setting;
  fill(part('[data-set=place]'), where.values, where.chosen);
  fillSwitch(part('[data-set=time]'), time.values, time.chosen);
  fillSwitch(part('[data-set=weather]'), weather.values, weather.chosen);
  fill(part('.stage-add select'), answer.kinds);
  for (const node of all('.stage-add select, .stage-add button')) node.disabled = answer.full;
}

function viewThings(answer, selected) {
  const things = part('.stage-things');
  while (things.children.length > answer.things.length) things.lastChild.remove();
  answer.things.forEach((thing, index) => {
    const handle = things.children[index] ?? things.appendChild(make('button', {type: 'button'}));
    handle.dataset.thing = index;
    handle.setAttribute('aria-label', thing.label);
    handle.setAttribute('aria-pressed', String(index === selected));
    handle.title = thing.words;
    place(handle, thing.box);
    const holder = thing.on === null ? null : answer.things[thing.on];
    handle.style.zIndex = Math.round(1000 * (holder ? holder.y + 0.001 : thing.y));
  });
}

function viewThing(thing) {
  const panel = part('.stage-thing');
  panel.hidden = !thing;
  if (!thing) return;
  panel.querySelector('legend').textContent = thing.words;
  for (const select of panel.querySelectorAll('[data-attribute]')) {
    const {values, chosen} = thing.attributes[select.dataset.attribute];
    fill(select, values, chosen);
  }
  fill(part('[data-number]'), Array.from({length: thing.most}, (_, i) => String(i + 1)), String(thing.number));
  const holders = thing.holders.map(({index, name}) => [String(index), name]);
  fill(part('[data-on]'), [['', 'the ground'], ...holders], thing.on === null ? '' : String(thing.on));
}

const MARKS = new Map([[true, ['✓ true', 'is-true']], [false, ['✗ false', 'is-false']], [null, ['? unknown', 'is-unknown']]]);

function newBar(text) {
  const button = make('button', {type: 'button', title: 'Make it your caption'},
    make('span', {className: 'stage-mark'}), make('span', {className: 'stage-text', textContent: text}),
    make('span', {className: 'stage-bar'}, make('i')), make('span', {className: 'stage-score'}));
  const bar = make('li', {}, button);
  bar.dataset.text = text;
  bar.querySelector('.stage-bar').setAttribute('aria-hidden', 'true');
  return bar;
}

function viewCaptions(captions, own) {
  const list = part('.stage-bars');
  const bars = new Map([...list.children].map((bar) => [bar.dataset.text, bar]));
  const before = new Map([...bars].map(([text, bar]) => [text, bar.getBoundingClientRect().top]));
  const focused = document.activeElement;
  const shown = captions.some(({text}) => text === own.text) ? captions
    : [...captions, own].sort((a, b) => b.score - a.score);
  const ordered = shown.map((caption) => {
    const bar = bars.get(caption.text) ?? newBar(caption.text);
    const [word, name] = MARKS.get(caption.true ?? null);
    const mark = bar.querySelector('.stage-mark');
    mark.textContent = word;
    mark.className = `stage-mark ${name}`;
    bar.querySelector('i').style.width = percent(Math.max(0, caption.score));
    bar.querySelector('.stage-score').textContent = caption.score.toFixed(2);
    bar.classList.toggle('is-own', caption.text === own.text);
    bar.firstChild.setAttribute('aria-pressed', String(caption.text === own.text));
    return bar;
  });
  if (ordered.some((bar, i) => list.children[i] !== bar) || list.children.length !== ordered.length) {
    list.replaceChildren(...ordered);
    if (list.contains(focused)) focused.focus({preventScroll: true});
  }
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  for (const bar of ordered) {
    const moved = before.has(bar.dataset.text) ? before.get(bar.dataset.text) - bar.getBoundingClientRect().top : null;
    if (moved === null) bar.animate([{opacity: 0}, {opacity: 1}], 250);
    else if (moved) bar.animate([{transform: `translateY(${moved}px)`}, {transform: 'none'}], {duration: 320, easing: 'ease-out'});
  }
}

function viewOwn(own) {
  const box = part('#stage-caption');
  if (document.activeElement !== box) box.value = own.text;
  const [word, name] = MARKS.get(own.true ?? null);
  part('.stage-rank').replaceChildren(
    make('b', {textContent: own.before === own.rank ? `${own.rank}` : `${own.before} → ${own.rank}`}),
    ` is this picture’s rank for “${own.text}” among ${own.of.toLocaleString('en')} pictures `,
    make('span', {className: `stage-mark ${name}`, textContent: own.true === null ? '? truth unknown for this wording' : word}));
}

function viewTrail(trail) {
  part('.stage-trail').hidden = trail.steps.length < 2;
  part('.stage-trail ol').replaceChildren(...trail.steps.map(({done}, index) => {
    const button = make('button', {type: 'button', textContent: done});
    button.dataset.step = index;
    if (index === trail.at) button.setAttribute('aria-current', 'step');
    return make('li', {}, button);
  }));
  part('[data-go=undo]').disabled = trail.at === 0;
  part('[data-go=redo]').disabled = trail.at === trail.steps.length - 1;
}

function viewNotes(notes) {
  const note = part('.stage-note');
  note.textContent = notes.join(' ');
  note.hidden = !notes.length;
}
