// The side sheet: a dialog whose item stands in the fragment of the address, so that Back closes it.
const dialog = element.querySelector('dialog');
const still = matchMedia('(prefers-reduced-motion: reduce)');
let shown; // what the sheet shows: {request, pictures, rankings, words}
let opener; // the button that opened the sheet
let latest = 0; // number of the last request; answers to earlier ones are ignored

const fragment = () => new URLSearchParams(location.hash.slice(1));
const part = (selector) => dialog.querySelector(selector);

document.addEventListener('click', (event) => {
  const button = event.target.closest('#results button[data-why]');
  if (!button) return;
  opener = button;
  const {why, minus} = button.dataset;
  const sheet = new URLSearchParams(minus ? {why, minus} : {why});
  history.pushState(history.state, '', `${location.pathname}${location.search}#${sheet}`);
  open();
});

addEventListener('popstate', open);

async function open() {
  const item = fragment().get('why');
  if (!item) return dialog.close();
  const request = {address: window.pairscope.wanted()[0], item, minus: fragment().get('minus') ?? ''};
  const number = ++latest;
  dialog.innerHTML = '<header><h2 id="why-title">Why this picture?</h2><button type="button" class="close" aria-label="Close">✕</button></header><p class="hint">Ranking without each word …</p>';
  if (!dialog.open) dialog.showModal();
  const answer = await ask('explain', request);
  if (number !== latest) return;
  if (answer.error) return fail(answer.error);
  dialog.innerHTML = answer.html;
  part('.close').focus();
  shown = {request, ...answer, struck: new Set()};
  if (!answer.rankings.length) return;
  shown.words = answer.rankings[0].text.split(/\s+/);
  show(answer.rankings[0]);
  const {words} = await ask('patches', request);
  if (number === latest && words) addPatches(words);
}

// A server that is busy or gone answers with an error of Gradio's, or with nothing.
async function ask(name, request) {
  const answer = await server[name](request).catch(() => null);
  return answer ?? {error: 'The server did not answer. Try again.'};
}

function fail(message) {
  const line = document.createElement('p');
  line.className = 'note';
  line.setAttribute('role', 'alert');
  line.textContent = message;
  part(':scope > .hint')?.remove(); // that it is being computed
  part('.note')?.remove();
  dialog.append(line);
}

// Closing goes back to the entry of the history before the sheet, unless Back closed it.
dialog.addEventListener('close', () => {
  latest += 1;
  if (fragment().get('why')) opener?.isConnected ? history.back() : history.replaceState(history.state, '', location.pathname + location.search);
  (opener?.isConnected ? opener : document.querySelector('#results h2'))?.focus({preventScroll: true});
  opener = undefined;
});

dialog.addEventListener('click', (event) => {
  if (event.target === dialog || event.target.closest('.close')) return dialog.close();
  const word = event.target.closest('[data-word]');
  if (word) strike(Number(word.dataset.word));
  if (event.target.closest('.reset')) restore();
  const {swap} = event.target.closest('[data-swap]')?.dataset ?? {};
  if (swap) {
    part('.text').value = swap;
    rank(swap);
  }
});
for (const [type, on] of [['pointerover', true], ['focusin', true], ['pointerout', false], ['focusout', false]])
  dialog.addEventListener(type, (event) => {
    const word = event.target.closest('[data-word]');
    if (word) shade(on && word);
  });

let typed;
dialog.addEventListener('input', (event) => {
  if (!event.target.matches('.text')) return;
  clearTimeout(typed);
  typed = setTimeout(() => rank(event.target.value), 200);
});

function strike(index) {
  const {struck, words, rankings} = shown;
  struck.has(index) ? struck.delete(index) : struck.add(index);
  for (const button of dialog.querySelectorAll('[data-word]'))
    button.setAttribute('aria-pressed', String(struck.has(Number(button.dataset.word))));
  const text = words.filter((_, each) => !struck.has(each)).join(' ');
  part('.text').value = text;
  const [only] = struck;
  const known = struck.size === 0 ? rankings[0] : struck.size === 1 ? rankings[only + 1] : undefined;
  if (known && text) {
    latest += 1;
    show(known);
  } else rank(text);
}

function restore() {
  shown.struck.clear();
  for (const button of dialog.querySelectorAll('[data-word]')) button.setAttribute('aria-pressed', 'false');
  part('.text').value = shown.rankings[0].text;
  latest += 1;
  show(shown.rankings[0]);
}

async function rank(text) {
  const number = ++latest;
  const answer = await ask('rank', {...shown.request, text});
  if (number !== latest) return;
  if (answer.error) {
    part('.now').textContent = answer.error;
    return;
  }
  Object.assign(shown.pictures, answer.pictures);
  show(answer.rankings[0]);
}

function show({text, rank, best}) {
  const {item} = shown.request;
  const before = shown.rankings[0].rank;
  part('.now').textContent = text === shown.rankings[0].text
    ? `Your words: this picture is number ${before.toLocaleString('en')}.`
    : `“${text}”: this picture is number ${rank.toLocaleString('en')}, ${rank === before ? 'as before' : `before ${before.toLocaleString('en')}`}.`;
  const places = best.map((each, index) => [each, index + 1]);
  if (!best.includes(item)) places.push([item, rank]);
  const strip = part('.strip');
  const was = new Map([...strip.children].map((each) => [each.dataset.item, [each, each.getBoundingClientRect()]]));
  const tiles = places.map(([each, place]) => tile(was.get(each)?.[0], each, place));
  strip.replaceChildren(...tiles);
  if (!still.matches && was.size) slide(tiles, was);
}

function tile(existing, item, place) {
  const one = existing ?? document.createElement('li');
  if (!existing) {
    const {thumbnail, caption} = shown.pictures[item] ?? {thumbnail: part('.image img').getAttribute('src'), caption: part('.image img').alt};
    const image = new Image(96, 96);
    image.src = thumbnail;
    image.alt = caption;
    one.append(image, document.createElement('span'));
    one.dataset.item = item;
    one.classList.toggle('this', item === shown.request.item);
  }
  one.lastChild.textContent = `${place.toLocaleString('en')}${item === shown.request.item ? ' · this' : ''}`;
  return one;
}

// First, last, invert, play: each tile starts where it was and moves to its new place.
function slide(tiles, was) {
  for (const each of tiles) {
    const [, from] = was.get(each.dataset.item) ?? [];
    const to = each.getBoundingClientRect();
    const start = from ? {transform: `translate(${from.left - to.left}px, ${from.top - to.top}px)`} : {transform: 'scale(.7)', opacity: 0};
    each.animate([start, {transform: 'none', opacity: 1}], {duration: 380, easing: 'cubic-bezier(.2, .7, .3, 1)'});
  }
}

function addPatches(found) {
  const buttons = [...dialog.querySelectorAll('[data-word]')];
  let next = 0;
  for (const {word, located, shades} of found) {
    const button = buttons.slice(next).find((each) => shown.words[each.dataset.word] === word);
    if (!button) continue;
    next = buttons.indexOf(button) + 1;
    button.dataset.shades = (located ? shades : shades.map(() => 1)).join(' ');
    button.dataset.found = located ? `Bright: where the model finds “${word}”.` : `The model does not find “${word}” in one place.`;
  }
}

function shade(word) {
  const patches = part('.patches');
  const shades = (word && word.dataset.shades?.split(' ')) || [];
  patches.style.setProperty('--side', Math.sqrt(shades.length));
  patches.replaceChildren(...shades.map((each) => {
    const patch = document.createElement('i');
    patch.style.setProperty('--shade', each);
    return patch;
  }));
  part('.found').textContent = (word && word.dataset.found) || '';
}

// A link to a sheet opens it once the results are there.
if (fragment().get('why')) {
  const results = document.querySelector('#results');
  const waiting = new MutationObserver(() => {
    if (!results.querySelector('.results')) return;
    waiting.disconnect();
    setTimeout(open); // the address of the results is known after them
  });
  waiting.observe(results, {childList: true, subtree: true});
}
