// Switches above the pictures, and guessing: the visitor taps pictures, then the marks are shown.
document.addEventListener('click', (event) => {
  const option = event.target.closest('#results button[data-option]');
  if (option) window.pairscope.search({[option.dataset.option]: option.value});
  const guess = event.target.closest('#results button[data-guess]');
  if (guess) guess.ariaPressed = guess.ariaPressed === 'true' ? 'false' : 'true';
  if (event.target.closest('#results button[data-reveal]')) reveal(event.target.closest('.results'));
});

function reveal(results) {
  const cards = [...results.querySelectorAll('button[data-guess]')];
  const isRight = (card) => !card.closest('.card').querySelector('.mark.wrong');
  const held = cards.filter((card) => card.ariaPressed === 'true');
  const right = cards.filter(isRight);
  const found = held.filter(isRight);
  const wrong = held.length - found.length;
  results.querySelector('.guess').textContent = right.length
    ? `You found ${found.length} of ${right.length} right ${right.length === 1 ? 'picture' : 'pictures'}` +
      (wrong ? `, and ${wrong} of your picks ${wrong === 1 ? 'is' : 'are'} wrong.` : '.')
    : `No picture shown is right${wrong ? `, but you picked ${wrong}.` : ', and you picked none.'}`;
  for (const hidden of results.querySelectorAll('[hidden]')) hidden.hidden = false;
  for (const card of cards) {
    card.dataset.item = card.dataset.guess; // from now on, a click searches with the picture
    delete card.dataset.guess;
    if (card.ariaPressed === 'true') card.closest('.card').classList.add('held');
    card.removeAttribute('aria-pressed');
  }
}
