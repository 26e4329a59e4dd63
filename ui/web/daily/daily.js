// The picture of the day. The guesses of each day are kept in this browser; the server only computes ranks.
const STORE = 'pairscope.daily.';
const SQUARES = [[10, '🟨'], [100, '🟧'], [1000, '🟥'], [Infinity, '⬛']]; // by rank, for ranks that do not solve

export async function mount({element, props, server}) {
  const {answerOf, register, record} = await import(new URL(props.learn, document.baseURI));
  const one = (selector) => element.querySelector(selector);
  const [input, form, note, list] = ['#daily-guess', '.daily-form', '.daily-note', '.daily-guesses'].map(one);
  let wanted = null; // day of the address; '' is today
  let game = null; // of the server: day, today, size, solving
  let played = {guesses: [], end: ''};
  let answer = null;
  input.maxLength = props.longest;

  const say = (text) => { note.textContent = text; };
  const number = (value) => value.toLocaleString('en');
  const square = (rank) => rank <= game.solving ? '🟩' : SQUARES.find(([most]) => rank <= most)[1];

  function load() {
    try {
      const stored = JSON.parse(localStorage.getItem(STORE + game.day));
      if (Array.isArray(stored?.guesses)) return {guesses: stored.guesses.filter((each) => typeof each?.words === 'string' && each.rank > 0), end: stored.end};
    } catch { /* no storage, or something else wrote it */ }
    return {guesses: [], end: ''};
  }
  function keep() {
    try { localStorage.setItem(STORE + game.day, JSON.stringify(played)); } catch { /* a browser without storage */ }
  }

  async function ask(call, argument) {
    const found = await answerOf(call(argument));
    if (found.error) say(found.error);
    return found.error ? null : found;
  }

  async function show(parameters) {
    const day = parameters.get('day') ?? '';
    if (day === wanted && game) return;
    wanted = day;
    game = answer = null;
    form.inert = true;
    const found = await ask(server.start, day);
    if (!found || day !== wanted) return;
    if (found.waiting) {
      say(`The gallery is being built: ${found.waiting[0]} of ${found.waiting[1] || '?'} pictures.`);
      setTimeout(() => day === wanted && !game && show(parameters), 700);
      return;
    }
    game = found;
    form.inert = false;
    say('');
    one('.synthetic').hidden = !game.synthetic;
    const first = game.solving === 1 ? 'in first place' : `among the first ${game.solving}`;
    one('.task').textContent = `One of ${number(game.size)} pictures is hidden. Describe what it may show: you get the rank of the hidden picture in a search with your words${game.synthetic ? ', and which of your facts are true of it' : ''}. It is found when your words bring it ${first}. Day: ${game.day} (UTC), the same picture for everyone.`;
    const before = new Date(Date.parse(game.day) - 864e5).toISOString().slice(0, 10);
    const link = one('.other-day');
    link.textContent = game.day === game.today ? 'Play yesterday’s picture' : 'Play today’s picture';
    link.search = game.day === game.today ? `?open=daily&day=${before}` : '?open=daily';
    await resume();
  }

  // Shows what the browser has kept of the game.
  async function resume() {
    const now = game;
    played = load();
    draw();
    if (!played.end) return;
    const found = await ask(server.reveal, now.day);
    if (game === now) finish(found);
  }

  function draw() {
    list.replaceChildren(...played.guesses.map((guess, index) => {
      const item = document.createElement('li');
      item.value = index + 1;
      const part = (name, text) => Object.assign(document.createElement('span'), {className: name, textContent: text});
      const bar = part('bar', '');
      bar.style.setProperty('--near', 1 - Math.log(guess.rank) / Math.log(Math.max(2, game.size)));
      const words = part('words', guess.words);
      for (const [text, true_] of Array.isArray(guess.facts) ? guess.facts : []) {
        words.append(part(true_ ? 'fact true' : 'fact false', `${true_ ? '✓' : '✗'} ${text}`));
      }
      item.append(words, part('rank', `rank ${number(guess.rank)}`), bar);
      if (typeof guess.best === 'string' && guess.best.startsWith('thumbnails/')) {
        const picture = Object.assign(new Image(48, 48), {src: guess.best, alt: 'The first picture for these words', title: 'The first picture for these words'});
        item.append(picture);
      }
      return item;
    }).reverse());
    one('.give-up').hidden = Boolean(played.end);
    form.hidden = Boolean(played.end);
    if (!played.end) {
      one('.daily-result').hidden = true;
      const hidden = one('.daily-hidden');
      hidden.replaceChildren(Object.assign(document.createElement('span'), {textContent: '?'}));
      hidden.ariaLabel = 'The hidden picture';
    }
  }

  function share() {
    const squares = played.guesses.map((guess) => square(guess.rank)).join('');
    const count = played.guesses.length;
    const how = `${played.end === 'solved' ? '' : 'not '}found with ${count} ${count === 1 ? 'guess' : 'guesses'}`;
    return `Pairscope picture of the day ${game.day}: ${how} ${squares}`.trim();
  }

  function finish(found, focus = false) {
    if (!found) return;
    answer = found.answer;
    const hidden = one('.daily-hidden');
    hidden.replaceChildren(Object.assign(new Image(), {src: answer.url, alt: answer.captions.at(-1) ?? ''}));
    hidden.removeAttribute('aria-label');
    const title = one('#daily-result-title');
    title.textContent = played.end === 'solved' ? 'Found. This is the picture, and what its captions say:' : 'This was the picture, and what its captions say:';
    one('.daily-captions').replaceChildren(...answer.captions.map((text) => Object.assign(document.createElement('li'), {textContent: text})));
    one('.daily-share').textContent = share();
    one('.search-with').href = `./?item=${encodeURIComponent(answer.item)}`;
    one('.daily-result').hidden = false;
    draw();
    if (focus) title.focus({preventScroll: true});
  }

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const words = input.value.trim();
    if (!words) return say('Type what the picture may show.');
    form.inert = true;
    const asked = game;
    const found = await ask(server.guess, [asked.day, words]);
    if (game !== asked) return; // another day was opened meanwhile
    form.inert = false;
    if (!found) return input.focus();
    const last = played.guesses.at(-1);
    played.guesses.push({words, rank: found.rank, facts: found.facts, best: found.best});
    if (found.answer) played.end = 'solved';
    keep();
    draw();
    input.value = '';
    if (found.answer) return finish(found, true);
    const closer = !last ? '' : found.rank < last.rank ? ' Closer than before.' : found.rank > last.rank ? ' Farther than before.' : '';
    say(`Rank ${number(found.rank)} of ${number(game.size)}.${closer}`);
    input.focus();
  });
  one('.give-up').addEventListener('click', async () => {
    if (!game) return;
    const asked = game;
    const found = await ask(server.reveal, asked.day);
    if (!found || game !== asked) return;
    played.end = 'given up';
    keep();
    say('');
    finish(found, true);
  });
  one('.copy').addEventListener('click', async () => {
    await navigator.clipboard.writeText(share()).then(() => say('Copied.'), () => say('Select the line above and copy it.'));
  });
  addEventListener('storage', ({key}) => game && key === STORE + game.day && resume()); // of another tab
  register('daily', {show});
}
