// The page shows the search of its address. Every action asks for another address; the server answers it, and
// an answer to an address that is no longer wanted changes neither the address nor what is being typed.
const SEARCHES = ['q', 'item', 'scene', 'picture', 'surprise', 'only', 'but', 'instead']; // an address has one of the first five
let wanted = location.search;
let options = {}; // number of results, gallery, label ... as chosen or last answered; refused ones are forgotten
let pictureAsked; // path of the visitor's picture in the last search

function ask(link, state) {
  wanted = link;
  const another = link !== location.search || state !== history.state; // such as another picture of the visitor
  if (another) history.pushState(state, '', location.pathname + link);
  answer();
}

function answer() {
  pictureAsked = own()?.path;
  const results = document.querySelector('#results');
  results?.setAttribute('aria-busy', 'true');
  if (results?.contains(document.activeElement)) focusNext(results);
  trigger('search');
}

// When the results are replaced, the focused one is removed: the heading of the new results gets the focus.
function focusNext(results) {
  new MutationObserver((changes, observer) => {
    const heading = results.querySelector('h2');
    const lost = document.activeElement === document.body;
    if (results.contains(document.activeElement) || (lost && !heading)) return;
    observer.disconnect();
    if (!lost) return; // the visitor went on to something else
    heading.tabIndex = -1;
    heading.focus({preventScroll: true});
  }).observe(results, {childList: true, subtree: true});
}

function search(changes, state = null) {
  const another = SEARCHES.some((name) => name in changes);
  const shown = [...new URLSearchParams(wanted)].filter(([name]) => SEARCHES.includes(name));
  if (another) typing = false;
  else options = {...options, ...changes};
  const parameters = {...(another ? changes : Object.fromEntries(shown)), ...options};
  const given = Object.entries(parameters).filter(([name, value]) => value !== '' || name === 'q');
  ask(`?${new URLSearchParams(given)}`, another ? state : history.state);
}

document.addEventListener('click', (event) => {
  const button = event.target.closest(':is(#examples, #results, #status) button:is([data-query], [data-item], [data-more], [data-surprise])');
  if (!button) return;
  const {query, item, more, surprise} = button.dataset;
  if (query !== undefined) search({q: query});
  else if (more !== undefined) search({item: more, only: 'pictures'});
  else search(item !== undefined ? {item} : {surprise});
  document.querySelector('#status').scrollIntoView({block: 'nearest'});
});
addEventListener('popstate', () => {
  if (location.search === wanted && own()?.path === pictureAsked) return; // only a side sheet was opened or closed
  wanted = location.search;
  typing = false;
  answer();
});

watch('value', () => {
  const answered = props.value;
  if (answered.wanted !== wanted) return;
  options = answered.options;
  if (answered.loading) {
    setTimeout(() => answered.wanted === wanted && answer(), 700);
    return;
  }
  document.querySelector('#results')?.setAttribute('aria-busy', 'false');
  wanted = answered.link;
  trigger('picture');
  document.title = answered.query ? `${answered.query} - Pairscope` : 'Pairscope';
  if (wanted !== location.search) history.replaceState(history.state, '', location.pathname + wanted + location.hash);
  fill(answered.query);
});

window.pairscope = {search, choose, wanted: () => [wanted, own()], picture: shownPicture};
begin('#query textarea');
