// The visitor's own pictures: sent in parts, embedded on the server, and then searched like a gallery.
const {own, first, most} = props; // name of the visitor's gallery, name of the first gallery, most pictures
const LARGE = 300_000, SIDE = 1024; // bytes from which a photo is sent smaller, and its longer side in pixels
const PART_BYTES = 8e6, PART_FILES = 40; // of one request
const INTERRUPTED = 'Another page of yours is sending pictures, or this was interrupted. Drop them again.';
const UNREACHED = 'The server cannot be reached. Drop your pictures again in a moment.';
const find = (selector) => element.querySelector(selector);
const [drop, work, ready, problem, skipped] =
  ['.own-drop', '.own-work', '.own-ready', '.own-problem', '.own-skipped'].map(find);
const input = find('input');
let state = {state: 'none'};
let sending = null; // AbortController of the upload
let before = first; // the gallery to go back to

const shown = () => new URLSearchParams(location.search).get('g') || first;
const count = (n, one, more = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : more}`;

async function request(path, settings = {}) {
  const answer = await fetch(path, settings).catch((error) => { // the browser's own words say less
    throw error.name === 'AbortError' ? error : new Error(UNREACHED);
  });
  if (answer.status === 429) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * (answer.headers.get('Retry-After') || 1)));
    return request(path, settings);
  }
  const value = answer.status === 204 ? null : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.detail || `The server answered with ${answer.status}.`);
  return value;
}

const post = (path, value) => request(path, {
  method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(value ?? {}),
});

// A photo of a camera is sent as a smaller one: no model looks at more. What the browser cannot decode is sent
// as it is, and the server says why it cannot be used.
async function smaller(file) {
  if (file.size < LARGE || !file.type.startsWith('image/')) return file;
  try {
    const full = await createImageBitmap(file);
    const scale = Math.min(1, SIDE / Math.max(full.width, full.height));
    const canvas = new OffscreenCanvas(Math.max(1, full.width * scale), Math.max(1, full.height * scale));
    const context = canvas.getContext('2d');
    context.fillStyle = 'white'; // behind transparent pixels, as the server does it
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(full, 0, 0, canvas.width, canvas.height);
    full.close();
    return await canvas.convertToBlob({type: 'image/jpeg', quality: 0.9});
  } catch {
    return file;
  }
}

async function send(files) {
  sending?.abort();
  const {signal} = sending = new AbortController();
  if (shown() !== own) before = shown();
  const gallery = before;
  show({state: 'sending', done: 0, total: files.length});
  try {
    let set = '', form = new FormData(), bytes = 0, number = 0;
    for (const [index, file] of files.entries()) {
      const content = await smaller(file);
      if (signal.aborted) return;
      form.append('files', content, file.name);
      bytes += content.size;
      number += 1;
      if (bytes < PART_BYTES && number < PART_FILES && index < files.length - 1) continue;
      const answer = await request(`own/pictures?${set ? `set=${set}` : 'begin'}`, {method: 'POST', body: form, signal});
      set = answer.set;
      [form, bytes, number] = [new FormData(), 0, 0];
      show({state: 'sending', done: index + 1, total: files.length});
    }
    await post(`own/build?set=${set}`, {gallery});
    await follow(true);
  } catch (error) {
    if (!signal.aborted) show({state: 'failed', problem: error.message});
  } finally {
    if (sending?.signal === signal) sending = null;
  }
}

// Show the work until it is done; then search the pictures, if the visitor has just sent them.
async function follow(search) {
  show(await request('own/state'));
  while (state.state === 'building') {
    await new Promise((resolve) => setTimeout(resolve, 500));
    if (state.state !== 'building') return; // cancelled meanwhile
    show(await request('own/state'));
  }
  if (search && state.state === 'ready') open(own);
}

// Search another gallery. Of the address, only the words and the number of results mean something there.
function open(gallery) {
  const kept = [...new URLSearchParams(location.search)].filter(([name]) => ['q', 'k'].includes(name));
  history.pushState(null, '', `${location.pathname}?${new URLSearchParams([...kept, ['g', gallery]])}`);
  dispatchEvent(new PopStateEvent('popstate', {state: null}));
}

async function remove() {
  sending?.abort();
  show({state: 'none'});
  await post('own/remove');
  if (shown() === own) open(before);
}

function show(next) {
  const changed = next.state !== state.state;
  state = next;
  if (changed) dispatchEvent(new CustomEvent('own-pictures', {detail: next}));
  const busy = ['sending', 'building'].includes(state.state);
  drop.hidden = busy;
  work.hidden = !busy;
  ready.hidden = state.state !== 'ready';
  find('.hint').hidden = !ready.hidden;
  const bar = find('progress');
  if (state.total) [bar.max, bar.value] = [state.total, state.done]; else bar.removeAttribute('value');
  const steps = `${state.done} of ${state.total}`;
  find('.own-work p').textContent = state.state === 'sending' ? `Sending your pictures: ${steps}`
    : state.waiting ? 'Waiting: the server is busy with other pictures.'
    : state.total ? `Embedding your pictures: ${steps}` : 'Loading the model for your pictures.';
  if (state.state === 'ready') {
    const captions = state.captions ? ` with ${count(state.captions, 'caption')}` : '';
    find('.own-ready p').textContent = `${count(state.pictures, 'picture')} of yours${captions}, embedded by ${state.model}`;
  }
  showGallery();
  // A page that opens while pictures are sent was reloaded, or is another one.
  problem.textContent = state.problem || (state.state === 'collecting' ? INTERRUPTED : '');
  problem.hidden = !problem.textContent;
  const reasons = [...(state.skipped || []).map(({name, reason}) => `${name}: ${reason}`), ...(state.notes || [])];
  skipped.hidden = !reasons.length || busy;
  const left = (state.skipped || []).length + (state.more || 0);
  skipped.querySelector('summary').textContent = left ? `${count(left, 'file')} cannot be used` : 'Notes on your files';
  skipped.querySelector('ul').replaceChildren(...reasons.map((reason) => {
    const item = document.createElement('li');
    item.textContent = reason;
    return item;
  }));
}

function showGallery() {
  const searched = shown() === own;
  if (!searched) before = shown();
  find('[data-do=search]').hidden = searched;
  find('[data-do=back]').hidden = !searched;
  find('[data-do=back]').textContent = `Back to ${before}`;
}

async function filesOf(transfer) {
  const found = [];
  const walk = async (entry) => {
    if (found.length > 2 * most) return;
    if (entry.isFile) {
      if (!entry.name.startsWith('.')) found.push(await new Promise((done, fail) => entry.file(done, fail)));
      return;
    }
    const reader = entry.createReader(); // it returns the entries in parts
    for (let part; (part = await new Promise((done, fail) => reader.readEntries(done, fail))).length;) {
      for (const each of part) await walk(each);
    }
  };
  for (const entry of [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean)) await walk(entry);
  return found;
}

input.addEventListener('change', () => {
  const files = [...input.files];
  input.value = ''; // so that the same files can be chosen again
  if (files.length) send(files);
});
element.addEventListener('click', (event) => {
  const action = event.target.closest('button')?.dataset.do;
  if (action === 'cancel' || action === 'remove') remove();
  if (action === 'search') open(own);
  if (action === 'back') open(before);
});

// Files can be dropped on the panel. Elsewhere on the page, the browser would leave the page to show them.
const hasFiles = (event) => [...event.dataTransfer?.types || []].includes('Files');
document.addEventListener('dragover', (event) => {
  if (!hasFiles(event) || event.target.closest('#picture')) return;
  event.preventDefault();
  drop.classList.add('own-over');
});
for (const end of ['dragleave', 'drop']) {
  document.addEventListener(end, (event) => {
    if (end === 'drop' || !event.relatedTarget) drop.classList.remove('own-over');
  });
}
document.addEventListener('drop', async (event) => {
  if (!hasFiles(event) || event.target.closest('#picture')) return;
  event.preventDefault();
  if (!event.target.closest('.own-drop')) return;
  const files = await filesOf(event.dataTransfer);
  if (files.length) send(files);
});

setInterval(showGallery, 500); // the visitor may go back, or choose another gallery
addEventListener('own-pictures', ({detail}) => { // of the top of the page, which asks from time to time
  if (detail.state !== state.state && !sending) show(detail);
});
addEventListener('pageshow', (event) => {
  if (event.persisted && state.state !== 'none') request('own/state').then(show);
});
follow(false).catch((error) => show({state: 'failed', problem: error.message}));
