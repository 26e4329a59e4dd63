// Which panel is open stands in the address, ?open=NAME, with the parameters of the panel and of its tools.
// Every panel has parameter names of its own. A panel that is not in the list shows the list.
const panels = new Map(); // name -> {show(parameters), hide()} of the panels whose scripts have started
let known = {}; // name -> {title, tools}
let shown = [];

const parameters = () => new URLSearchParams(location.search);

// Starts the page; `props.panels` has the title of each panel and the tools that are shown below it.
export function mount({props}) {
  known = props.panels;
  addEventListener('popstate', render);
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[data-learn]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(link.search);
  });
  render();
}

// Connects the script of a panel. `show` gets the parameters when the panel opens, and whenever Back, a link or
// a lesson change them; `hide` is called when it closes.
export function register(name, panel) {
  panels.set(name, panel);
  if (shown.includes(name)) panel.show(parameters());
}

// Opens another address of the page, such as '?open=matrix&tau=0.2' or '' for the list.
export function open(search) {
  const wanted = window.pairscopeWithGallery(search);
  history.pushState(null, '', location.pathname + (wanted.size ? `?${wanted}` : ''));
  render();
  const heading = document.querySelector(shown.length ? `#learn-${shown[0]} h2` : '#learn-list h2');
  heading?.focus({preventScroll: true});
  scrollTo(0, 0);
}

// Writes parameters into the address; an empty one is left out. `step` makes a new entry of the history.
export function record(values, {step = false} = {}) {
  const changed = parameters();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === '') changed.delete(name);
    else changed.set(name, value);
  }
  if (String(changed) === String(parameters())) return;
  history[step ? 'pushState' : 'replaceState'](null, '', `${location.pathname}?${changed}`);
}

// Lets a lesson set the parameters of a tool, as the visitor would.
export function set(name, values) {
  record(values);
  panels.get(name)?.show(parameters());
}

// Tells lessons what the visitor has done: an event `learn:acted` of the document, detail {panel, ...values}.
export function acted(panel, values) {
  document.dispatchEvent(new CustomEvent('learn:acted', {detail: {panel, ...values}}));
}

function render() {
  const name = parameters().get('open');
  const before = shown;
  shown = Object.hasOwn(known, name) ? [name, ...known[name].tools] : [];
  document.querySelector('#learn-list').hidden = shown.length > 0;
  for (const panel of document.querySelectorAll('.learn-panel')) {
    const place = shown.indexOf(panel.id.replace('learn-', ''));
    panel.toggleAttribute('data-open', place >= 0);
    panel.toggleAttribute('data-tool', place > 0);
  }
  document.title = `${shown.length ? known[name].title : 'Learn'} - Pairscope`;
  for (const each of before) if (!shown.includes(each)) panels.get(each)?.hide?.();
  for (const each of shown) panels.get(each)?.show(parameters());
}

// Waits for an answer of the server. One that is busy or gone answers with an error of Gradio's, or with nothing.
export async function answerOf(call) {
  return (await call.catch(() => null)) ?? {error: 'The server did not answer. Try again, or reload the page.'};
}
