// The box for words and the picture of a page whose address names a query. The script of the page follows this one;
// it has `search(changes, state)`, which asks for another address, and `answer()`, which asks for that of the page.
let typing = false; // the visitor has typed since the last search began

const box = () => document.querySelector('#query textarea');

document.addEventListener('input', (event) => {
  if (event.target === box() && event.isTrusted) typing = true;
});
// Not Gradio's event: that reads the box later, when the visitor may have typed on.
document.addEventListener('keydown', (event) => {
  if (event.target === box() && event.key === 'Enter' && !event.isComposing) search({q: box().value});
}, true);
document.addEventListener('click', (event) => {
  if (event.target.closest('#query .submit-button')) search({q: box().value});
});

function fill(words) {
  if (typing || box().value === words) return;
  box().value = words;
  box().dispatchEvent(new Event('input', {bubbles: true})); // so that Gradio knows the new text
  if (document.activeElement === box()) box().select(); // what the visitor types next replaces it
}

// A picture of the visitor is not in the address, but in the browser's history.
const own = () => history.state?.picture ?? null;
const shownPicture = () => {
  const {picture} = props.value; // "" if the query is no picture of the gallery
  return own() ?? (picture ? {path: picture, url: picture} : null);
};

// The box is empty while a camera is being opened, and Gradio still sends a picture that is removed.
const choose = (picture) => {
  if (picture && picture.path !== shownPicture()?.path) search({picture: 'own'}, {picture});
};

// The browser builds the parts of a page one by one; an answer changes the given ones.
function begin(...parts) {
  if (!parts.every((part) => document.querySelector(part))) return setTimeout(begin, 20, ...parts);
  fill(new URLSearchParams(wanted).get('q') ?? '');
  answer();
  // An event that is triggered before Gradio listens is lost.
  const untilHeard = setInterval(() => props.value ? clearInterval(untilHeard) : trigger('search'), 1000);
}
