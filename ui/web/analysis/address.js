// The address names the open tab, the galleries and the tab's parameters; what has its default is left out.
// `props.tabs`: name of the tab -> parameters with their defaults, the first of them the galleries.
const [first] = Object.keys(props.tabs);
const longest = 2000; // characters of a parameter, more than a selection of some hundred points
const tabOf = (search) => {
  const tab = new URLSearchParams(search).get('tab');
  return Object.hasOwn(props.tabs, tab) ? tab : first;
};
let current = tabOf(location.search);
let restoring = false;
let untouched = true; // Gradio itself opens the first tab once

function record(tab, values) {
  if (tab !== current || restoring) return;
  const parameters = new URLSearchParams(tab === first ? {} : {tab});
  Object.entries(props.tabs[tab]).forEach(([name, byDefault], i) => {
    const text = [values[i] ?? ''].flat();
    if (text.join() === [byDefault].flat().join() || text.join().length > longest) return;
    for (const each of text) parameters.append(name, each);
  });
  if (String(parameters) === String(new URLSearchParams(location.search))) return;
  history.pushState(null, '', location.pathname + (parameters.size ? `?${parameters}` : ''));
}

const busy = (yes) => document.querySelector('#tabs')?.setAttribute('aria-busy', String(yes));

function update() {
  busy(true);
  const heading = current[0].toUpperCase() + current.slice(1).replaceAll('-', ' ');
  document.title = `${heading} - Pairscope`;
  trigger(current);
}

function open(tab, values) {
  const byGradio = untouched && tab === first;
  untouched = false;
  if (byGradio || tab === current) return;
  current = tab;
  record(tab, values);
  update();
}

function restore() {
  restoring = true;
  current = tabOf(location.search);
  busy(true);
  trigger('restore');
}

function restored() {
  restoring = false;
  update();
}

function changed(tab, values) {
  if (tab !== current) return;
  record(tab, values);
  update();
}

window.pairscope = {record, open, restored, changed, updated: () => busy(false)};
addEventListener('popstate', restore);
restore();
// An event that is triggered before Gradio listens is lost.
const untilHeard = setInterval(() => restoring ? trigger('restore') : clearInterval(untilHeard), 1000);
