// The chosen gallery is the parameter `g` of the address: a set of pictures with one of its models.
const [sets, models] = element.querySelectorAll('select');
const galleries = [...props.galleries];
const find = (name) => galleries.find((each) => each.name === name);
const [first] = galleries;
// Parameters that name something of one set of pictures.
const ofSet = ['item', 'label', 'words', 'picture', 'open', 'caption', 'confused', 'concept'];

const named = () => new URLSearchParams(location.search).get('g');
const chosen = () => find(named()) ?? first;

function show() {
  const {set, model, synthetic} = chosen();
  sets.value = set;
  const own = galleries.filter((each) => each.set === set);
  models.replaceChildren(...own.map((each) => new Option(each.model, each.name, false, each.model === model)));
  element.querySelector('.synthetic').hidden = !synthetic;
  const search = named() === null ? '' : `?${new URLSearchParams({g: named()})}`;
  for (const link of element.querySelectorAll('a[data-page]'))
    link.href = link.dataset.page + search;
  element.querySelector('[name=g]').value = chosen().name;
}

function choose(name) {
  const parameters = new URLSearchParams(location.search);
  const kept = location.pathname.endsWith('/learn') ? 'open' : ''; // there it is a panel of the page
  if (find(name).set !== chosen().set) ofSet.forEach((each) => each === kept || parameters.delete(each));
  parameters.delete('g');
  parameters.set('g', name);
  history.pushState(history.state, '', `${location.pathname}?${parameters}`);
  dispatchEvent(new PopStateEvent('popstate', {state: history.state}));
}

sets.addEventListener('change', () => {
  const own = galleries.filter((each) => each.set === sets.value);
  choose((own.find((each) => each.model === chosen().model) ?? own[0]).name);
});
models.addEventListener('change', () => choose(models.value));
// Without photos among the sets, About says how to use some.
element.querySelector('.photos').addEventListener('click', () => (props.photos ? choose(props.photos) : showAbout()));

// Pages write the address themselves, which triggers no event.
for (const name of ['pushState', 'replaceState']) {
  const original = history[name].bind(history);
  history[name] = (...values) => {
    original(...values);
    show();
  };
}
addEventListener('popstate', show);
show();

// The visitor's own pictures are one more set, which nobody else sees. The server deletes them some time after
// the last page of the visitor was closed, so every page asks for them.
let ownState = 'none';
addEventListener('own-pictures', ({detail}) => {
  if (detail.state === ownState) return;
  ownState = detail.state;
  const place = galleries.findIndex((each) => each.name === props.own);
  if (place >= 0) galleries.splice(place, 1);
  [...sets.options].find((option) => option.value === props.own)?.remove();
  if (ownState === 'ready') {
    galleries.push({name: props.own, set: props.own, model: detail.model, synthetic: false});
    sets.append(new Option(props.own));
  }
  show();
});
async function askForOwn() {
  const answer = await fetch('own/state').catch(() => null);
  if (answer?.ok) dispatchEvent(new CustomEvent('own-pictures', {detail: await answer.json()}));
}
setInterval(() => ownState !== 'none' && askForOwn(), 20_000);
addEventListener('pagehide', () => ownState !== 'none' && navigator.sendBeacon('own/leave'));
askForOwn();

// About is open while the fragment of the address says so, so that a link can open it.
const about = element.querySelector('dialog');
const setFragment = (hash) => history.replaceState(history.state, '', location.pathname + location.search + hash);
const openAbout = () => location.hash === '#about' && !about.open && about.showModal();
const showAbout = () => {
  setFragment('#about');
  openAbout();
};
element.querySelector('.open-about').addEventListener('click', showAbout);
about.addEventListener('close', () => location.hash === '#about' && setFragment(''));
addEventListener('hashchange', openAbout);
openAbout();
about.addEventListener('click', (event) => {
  if (event.target === about || event.target.closest('.close')) about.close();
});

// Both settings are kept in the browser; the head of the page applies them before anything is shown.
const large = element.querySelector('.large');
const dark = element.querySelector('.dark-theme');
const pressed = () => {
  large.setAttribute('aria-pressed', String('large' in document.documentElement.dataset));
  dark.setAttribute('aria-pressed', String(document.body.classList.contains('dark')));
};
large.addEventListener('click', () => {
  window.pairscopeDisplay.large(!('large' in document.documentElement.dataset));
  dispatchEvent(new Event('resize')); // plots fit their new width
});
dark.addEventListener('click', () => window.pairscopeDisplay.dark(!document.body.classList.contains('dark')));
for (const each of [document.documentElement, document.body])
  new MutationObserver(pressed).observe(each, {attributes: true, attributeFilter: ['class', 'data-large']});
pressed();
