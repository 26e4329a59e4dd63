// The page of the stage. The address names the picture that the edits started from (`item`), the scene if it
// was edited (`scene`), the visitor's caption (`q`) and the gallery (`g`). The trail of edits is kept with it
// in the browser's history, so that Back, reloading and a second tab each have their own.
const MOST_STEPS = 10;
const STEP = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
// After such an edit a thing may have another index.
const renumbers = (edit) => ['remove', 'count'].includes(edit?.do) || edit?.name === 'place';

let wanted; // what is shown, or asked for: {item, scene, g, caption}
let trail; // {steps: [{scene, done, gesture}], at}
let shown = null; // the last answer
let selected = null; // index of the chosen thing
let visit = 0; // counts addresses: an answer to an earlier one is not shown
let inFlight = null;
let waiting = []; // requests, sent one after the other
let gesture = 0; // a drag, or a run of arrow keys: one step of the trail
let lastKey = 0;
const targets = new Map(); // index of a thing -> where the arrow keys have moved it

function readAddress() {
  const parameters = new URLSearchParams(location.search);
  const [item, scene, g, caption] = ['item', 'scene', 'g', 'q'].map((name) => parameters.get(name) ?? '');
  wanted = {item, scene, g, caption};
  trail = history.state?.trail ?? null;
  visit += 1;
  waiting = [];
  targets.clear();
  request({});
}

function writeAddress(another) {
  const {item, scene, g, caption} = wanted;
  const edited = scene === shown.start ? '' : scene;
  const parameters = Object.entries({item, scene: edited, q: caption, g}).filter(([, value]) => value);
  const link = `${location.pathname}${parameters.length ? '?' : ''}${new URLSearchParams(parameters)}`;
  if (another) history.pushState({trail}, '', link);
  else history.replaceState({trail}, '', link);
  const search = new URLSearchParams({...(edited ? {scene} : {item: shown.item}), ...(g && {g})});
  part('.stage-search').href = `./?${search}`;
}

// ---- requests

function request(each) {
  const pending = [inFlight, ...waiting].some((other) => renumbers(other?.edit));
  if (pending && each.edit?.thing !== undefined) return; // its thing might be another one by then
  const last = waiting.at(-1)?.edit;
  const again = each.edit?.do === 'move' && last?.do === 'move' && last.thing === each.edit.thing;
  if (again) waiting.pop(); // the latest position wins
  waiting.push(each);
  send();
}

async function send() {
  if (inFlight || !waiting.length) return;
  inFlight = waiting.shift();
  const asked = inFlight;
  const now = visit;
  // A server that is busy or gone answers with an error of Gradio's, or with nothing.
  const answer = await server.stage({...wanted, edit: asked.edit ?? null}).catch(() => null);
  inFlight = null;
  if (!answer) {
    if (now === visit) {
      viewNotes(['The server did not answer, perhaps because of too many edits at once. Trying again.']);
      waiting.unshift(asked);
    }
    setTimeout(send, 1500);
    return;
  }
  if (now === visit) show(answer, asked);
  if (!waiting.length) targets.clear();
  send();
}

const edit = (each, of = (gesture += 1)) => request({edit: each, gesture: of});

// ---- answers

function show(answer, {edit: made, gesture: of, done, said}) {
  const before = shown;
  const changed = answer.scene !== wanted.scene;
  const first = !trail;
  shown = answer;
  wanted = {...wanted, scene: answer.scene, item: wanted.item && answer.item};
  if (answer.notes.length) targets.clear();
  let another = Boolean(done);
  if (first) {
    trail = {steps: [{scene: answer.scene, done: 'Start'}], at: 0};
  } else if ((made || done) && changed || done) {
    const step = {scene: answer.scene, done: done ?? answer.done, gesture: of};
    const continued = of !== undefined && trail.steps[trail.at].gesture === of;
    const kept = trail.steps.slice(0, trail.at + !continued);
    trail = {steps: [...kept, step].slice(-MOST_STEPS - 1), at: Math.min(kept.length, MOST_STEPS)};
    another = !continued;
  }
  if (made && answer.thing !== null && changed) selected = answer.thing;
  if (made?.do === 'remove' && changed) selected = null;
  if (selected >= answer.things.length) selected = null;
  writeAddress(another);
  view();
  if (made?.do === 'remove' && changed) (part('.stage-things button') ?? part('.stage-add select')).focus();
  say(before, made && changed ? answer.done : done ?? said);
  if (answer.loading) setTimeout(() => visit && !waiting.length && request({}), 700);
}

function view() {
  viewPicture(shown);
  viewThings(shown, selected);
  viewThing(shown.things[selected]);
  viewTrail(trail);
  viewNotes(shown.notes);
  const wait = part('.stage-wait');
  wait.hidden = !shown.loading;
  if (shown.loading) wait.textContent = `The gallery is being built (${shown.loading.join(' of ')} pictures). The picture can be edited meanwhile.`;
  if (!shown.own) return;
  viewOwn(shown.own);
  viewCaptions(shown.captions, shown.own);
  part('.stage-time').textContent = `drawn and ranked in ${Math.round(shown.milliseconds)} ms`;
}

// What a screen reader says after an edit: the edit, the captions that it made true or false, and the rank.
function say(before, done) {
  if (!done && !shown.notes.length) return;
  const parts = [...shown.notes, done];
  if (before?.own && shown.own && done) {
    const was = new Map(before.captions.map((each) => [each.text, each.true]));
    const now = (value) => shown.captions.filter((each) => each.true === value && was.get(each.text) === !value).map((each) => each.text);
    const fresh = shown.captions.filter((each) => each.true && !was.has(each.text)).map((each) => each.text);
    const [right, wrong] = [[...now(true), ...fresh], now(false)];
    if (right.length) parts.push(`Now true: ${right.join('; ')}`);
    if (wrong.length) parts.push(`No longer true: ${wrong.join('; ')}`);
    parts.push(`Rank ${shown.own.rank} for ${shown.own.text}`);
  }
  part('.stage-said').textContent = parts.filter(Boolean).join('. ');
}

// ---- what the visitor does

function choose(index) {
  selected = index;
  viewThings(shown, selected);
  viewThing(shown.things[selected]);
}

function go(at) {
  if (!trail || !(at in trail.steps)) return;
  const said = at < trail.at ? `Undone: ${trail.steps[at + 1].done}` : `Redone: ${trail.steps[at].done}`;
  trail = {...trail, at};
  visit += 1;
  waiting = [];
  wanted = {...wanted, scene: trail.steps[at].scene};
  writeAddress(true);
  request({said});
}

const GO = {
  undo: () => go(trail.at - 1),
  redo: () => go(trail.at + 1),
  reset: () => {
    wanted = {...wanted, scene: shown.start};
    request({done: 'Reset'});
  },
};

function moveByKeys(index, [right, down], size) {
  const thing = targets.get(index) ?? shown.things[index];
  const to = {x: thing.x + size * right, y: thing.y + size * down};
  targets.set(index, to);
  const now = performance.now();
  if (now - lastKey > 1500) gesture += 1;
  lastKey = now;
  edit({do: 'move', thing: index, ...to}, gesture);
}

part('.stage-things').addEventListener('pointerdown', (event) => {
  const handle = event.target.closest('button');
  if (!handle || event.button) return;
  const index = Number(handle.dataset.thing);
  gesture += 1;
  choose(index);
  dragged(part('.stage-board'), handle, event, {
    thing: shown.things[index],
    moved: (x, y) => edit({do: 'move', thing: index, x, y}, gesture),
    dropped: () => handle.focus({preventScroll: true}),
  });
});
part('.stage-things').addEventListener('keydown', (event) => {
  const index = Number(event.target.dataset.thing);
  if (STEP[event.key]) moveByKeys(index, STEP[event.key], event.shiftKey ? 0.1 : 0.02);
  else if (event.key === 'Delete' || event.key === 'Backspace') edit({do: 'remove', thing: index});
  else return;
  event.preventDefault();
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const {thing, go: where, do: what, step} = button.dataset;
  if (thing !== undefined) choose(Number(thing));
  else if (where) GO[where]();
  else if (what) edit({do: what, thing: selected});
  else if (step !== undefined) go(Number(step));
  else if (button.closest('.stage-bars')) caption(button.closest('li').dataset.text);
  else if (button.classList.contains('stage-copy')) copy(button);
});
element.addEventListener('change', ({target}) => {
  const {attribute, number, on} = target.dataset;
  const set = target.closest('[data-set]')?.dataset.set;
  if (set) edit({do: 'set', name: set, value: target.value});
  else if (attribute) edit({do: 'change', thing: selected, attribute, value: target.value});
  else if (number !== undefined) edit({do: 'count', thing: selected, number: Number(target.value)});
  else if (on !== undefined) edit({do: 'stand', thing: selected, on: target.value === '' ? null : Number(target.value)});
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  if (event.target.matches('.stage-add')) edit({do: 'add', kind: part('.stage-add select').value});
  else caption(part('#stage-caption').value.trim());
});
element.addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.matches('input[type=text]')) return;
  const key = event.key.toLowerCase();
  if (key !== 'z' && key !== 'y') return;
  event.preventDefault();
  GO[key === 'y' || event.shiftKey ? 'redo' : 'undo']();
});

function caption(text) {
  part('#stage-caption').value = text;
  wanted = {...wanted, caption: text};
  request({});
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'The address is the link';
  }
  setTimeout(() => { button.textContent = 'Copy link'; }, 2000);
}

addEventListener('popstate', readAddress);
readAddress();
