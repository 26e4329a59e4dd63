// The page shows the comparison of its address. Every action asks for another address; the server answers it,
// and an answer to an address that is no longer wanted changes nothing.
const QUERIES = ['q', 'item', 'scene', 'picture']; // an address has one of these
let wanted = location.search;
let shownMeasures = ''; // the models, and whether their names are hidden, of the measures that are shown
let query = '';
let voting = false; // a vote was given that is not counted yet; one of the history is no new vote

const find = (selector) => document.querySelector(selector);

function ask(link, state = history.state) {
  wanted = link;
  if (link !== location.search || state !== history.state) history.pushState(state, '', location.pathname + link);
  answer();
}

function answer() {
  find('#results')?.setAttribute('aria-busy', 'true');
  trigger('search');
}

// Changes parameters of the address: a list gives several of one name, null removes one. Another query or
// other models end a vote.
function search(changes, state) {
  const parameters = new URLSearchParams(wanted);
  const another = QUERIES.some((name) => name in changes);
  if (another) for (const name of QUERIES) parameters.delete(name);
  if (another) typing = false;
  if (!('vote' in changes)) parameters.delete('vote');
  if ('m' in changes) parameters.delete('g');
  for (const [name, value] of Object.entries(changes)) {
    parameters.delete(name);
    for (const each of [value].flat()) if (each !== null) parameters.append(name, each);
  }
  ask(`?${parameters}`, another ? state ?? null : history.state);
}

const seed = () => String(Math.floor(Math.random() * 1e6));
const queries = () => [...document.querySelectorAll('#telling [data-query]')].map((button) => button.dataset.query);

function changeMode(mode) {
  if (mode === 'votes') return saveVotes();
  if (mode === 'open') return search({blind: null});
  const others = queries().filter((each) => each !== query);
  const next = mode === 'next' && others.length ? {q: others[Math.floor(Math.random() * others.length)]} : {};
  search({...next, blind: seed()});
}

function showModes() {
  const parameters = new URLSearchParams(wanted);
  const blind = parameters.has('blind');
  find('[data-mode=blind]').hidden = blind;
  find('[data-mode=open]').hidden = !blind;
  find('[data-mode=next]').hidden = !parameters.has('vote');
  find('[data-mode=votes]').hidden = !votes.length;
  find('#tally').textContent = blind && parameters.has('vote') && votes.length ? tally() : '';
}

// While other models are loaded, the measures of the last ones are not shown.
function showMeasures(shown) {
  for (const id of ['#telling', '#measures']) find(id).hidden = !shown;
}

// The same picture is marked in all columns while it is pointed at or has the focus.
function mark(item) {
  for (const each of document.querySelectorAll('#results .on')) each.classList.remove('on');
  if (item === undefined) return;
  for (const each of document.querySelectorAll(`#results [data-item="${CSS.escape(item)}"]`)) each.classList.add('on');
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('#results button, #telling button, #measures button, #modes button');
  if (!button) return;
  const {query: words, item, vote, mode} = button.dataset;
  if (mode) return changeMode(mode);
  if (vote !== undefined) {
    voting = true;
    return search({vote});
  }
  if (words === undefined && item === undefined) return;
  search(words !== undefined ? {q: words} : {item});
  find('#status').scrollIntoView({block: 'nearest'});
});
for (const type of ['pointerover', 'focusin']) {
  document.addEventListener(type, (event) => mark(event.target.closest?.('#results li')?.dataset.item));
}
addEventListener('popstate', () => {
  wanted = location.search;
  typing = voting = false;
  answer();
});

watch('value', () => {
  const answered = props.value;
  if (answered.wanted !== wanted) return;
  showMeasures(!answered.loading);
  if (answered.loading) {
    setTimeout(() => answered.wanted === wanted && answer(), 700);
    return;
  }
  find('#results')?.setAttribute('aria-busy', 'false');
  if (voting && answered.voted) count(answered.asked, answered.models, answered.voted);
  voting = false;
  showModes();
  fill(answered.query);
  if (answered.error) return;
  wanted = answered.link;
  query = answered.query;
  trigger('picture');
  document.title = query ? `${query} - Compare - Pairscope` : 'Compare - Pairscope';
  if (wanted !== location.search) history.replaceState(history.state, '', location.pathname + wanted);
  const models = JSON.stringify([answered.names, answered.hidden]);
  if (models !== shownMeasures) {
    shownMeasures = models;
    trigger('measure');
  }
});

// The noise band may have become known.
const measured = () => { if (query && !props.value.noise && !props.value.hidden) answer(); };

window.pairscope = {search, choose, wanted: () => [wanted, own()], measuring: () => wanted, measured, picture: shownPicture};
begin('#query textarea', '#modes button');
