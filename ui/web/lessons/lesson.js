// A lesson: one step at a time, each of which waits for an answer or an action. What the learner has done is kept
// in this browser. The address fixes the seed of the pictures and what is hidden: ?open=lesson-NAME&seed=3&hide=back.
import {element as make} from './parts.js';

const STORE = 'pairscope.lessons';
const PANELS = ['matrix']; // tools that are panels of the page and stand below the lesson

function stored() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE));
    return kept && typeof kept === 'object' && !Array.isArray(kept) ? kept : {};
  } catch {
    return {};
  }
}

function store(lessons) {
  try { localStorage.setItem(STORE, JSON.stringify(lessons)); } catch { /* a browser without storage */ }
}

// Whether the values of an event of a tool are those that end a step.
export function meets(until, values) {
  return Object.entries(until).every(([name, wanted]) => {
    const value = values[name];
    if (typeof wanted !== 'object') return value === wanted;
    return typeof value === 'number' && value >= (wanted.least ?? -Infinity) && value <= (wanted.most ?? Infinity);
  });
}

// The answers of all lessons as CSV; texts that a spreadsheet would take for formulas are quoted with a '.
export function csv(lessons) {
  const cell = (value) => `"${String(value).replaceAll('"', '""').replace(/^[=+\-@\t\r]/, "'$&")}"`;
  const rows = [['lesson', 'step', 'question', 'answer', 'right answer', 'correct']];
  for (const [name, {answers = {}}] of Object.entries(lessons)) {
    for (const [step, each] of Object.entries(answers)) {
      rows.push([name, Number(step) + 1, each.question, each.answer, each.right, each.answer === each.right ? 1 : 0]);
    }
  }
  return rows.map((row) => row.map(cell).join(',') + '\r\n').join('');
}

export async function mount({element, props, server}) {
  const {acted, answerOf, register, set} = await import(new URL(props.learn, document.baseURI));
  const {lesson} = props;
  const one = (selector) => element.querySelector(selector);
  const panel = `lesson-${lesson.name}`;
  let progress = {step: 0, answers: {}, done: []};
  let loaded = null; // gallery and seed of what the tool shows
  let tool = null;
  let shownStep = -1;

  one('.lesson-sources ul').innerHTML = lesson.sources.map((each) => `<li>${each}</li>`).join('');
  one('.lesson-steps').replaceChildren(...lesson.steps.map((_, index) => make('li', {textContent: index + 1})));
  one('.lesson-teacher .seed').max = props.most_seed;
  one('.hide').append(...Object.entries(props.hidable).map(([name, text]) => {
    const box = make('input', {type: 'checkbox', value: name});
    return make('label', {}, box, ` ${text}`);
  }));

  const step = () => lesson.steps[progress.step];
  const answer = () => progress.answers[progress.step];
  const done = () => progress.done.includes(progress.step);
  const complete = () => (!step().ask || answer()) && (!step().act || done());
  const keep = () => store({...stored(), [lesson.name]: progress});

  function draw(focus = false) {
    const {ask, act, text} = step();
    const fresh = shownStep !== progress.step;
    shownStep = progress.step;
    const last = progress.step === lesson.steps.length - 1;
    one('h3').textContent = `Step ${progress.step + 1} of ${lesson.steps.length}${last ? ': check' : ''}`;
    if (fresh) one('.lesson-text').innerHTML = text;
    [...one('.lesson-steps').children].forEach((each, index) => {
      each.className = index < progress.step ? 'past' : index === progress.step ? 'now' : '';
      each.ariaCurrent = index === progress.step ? 'step' : null;
    });
    drawQuestion(ask, act, fresh);
    const acting = act && (!ask || answer());
    one('.lesson-task').hidden = !acting;
    one('.lesson-task').textContent = acting ? `${done() ? '✓' : '→'} ${act.task}` : '';
    highlight(acting && !done() ? act.control : null);
    drawAfter(ask, act);
    one('.back').disabled = progress.step === 0;
    one('.next').disabled = !complete();
    one('.next').hidden = last && complete();
    if (focus) one('h3').focus({preventScroll: true});
  }

  function drawQuestion(ask, act, fresh) {
    const box = one('.lesson-ask');
    box.hidden = !ask;
    if (!ask) return;
    box.querySelector('legend').textContent = `${act ? 'Your prediction: ' : ''}${ask.question}`;
    if (fresh) {
      box.querySelector('.options').replaceChildren(...ask.options.map((text, index) => {
        const radio = make('input', {type: 'radio', name: `${panel}-option`, value: index});
        return make('label', {}, radio, make('span', {textContent: text}));
      }));
    }
    const given = answer(), known = given && (!act || done());
    [...box.querySelectorAll('label')].forEach((label, index) => {
      const radio = label.firstChild;
      radio.disabled = Boolean(given);
      if (given) radio.checked = given.answer === ask.options[index];
      label.classList.toggle('right', Boolean(known) && index === ask.right - 1);
      label.classList.toggle('wrong', Boolean(known) && radio.checked && index !== ask.right - 1);
    });
    const button = box.querySelector('.answer');
    button.hidden = Boolean(given);
    button.textContent = act ? 'Keep this prediction' : 'Answer';
    button.disabled = !box.querySelector(':checked');
  }

  function drawAfter(ask, act) {
    const parts = [];
    if (act && done()) parts.push(act.then);
    if (ask && answer() && (!act || done())) {
      const right = answer().answer === answer().right;
      parts.push(`<p class="${right ? 'right' : 'wrong'}">${right ? '✓ Right.' : '✗ Not quite.'}</p>${ask.why}`);
    }
    const html = parts.join('');
    if (one('.lesson-after').innerHTML !== html) one('.lesson-after').innerHTML = html;
  }

  function highlight(selector) {
    document.querySelectorAll('.lesson-control').forEach((each) => each.classList.remove('lesson-control'));
    if (selector) document.querySelector(`#learn-${PANELS.includes(lesson.tool) ? lesson.tool : panel} ${selector}`)?.classList.add('lesson-control');
  }

  function go(to) {
    progress.step = Math.min(lesson.steps.length - 1, Math.max(0, to));
    keep();
    start();
    draw(true);
  }

  // Gives the tool the parameters of the step, once its control has nothing to show yet.
  function start() {
    const parameters = step().set;
    if (!Object.keys(parameters).length || done()) return;
    if (PANELS.includes(lesson.tool)) set(lesson.tool, parameters);
    else tool?.set?.(parameters);
  }

  document.addEventListener('learn:acted', ({detail}) => {
    const {act, ask} = step();
    if (detail.panel !== lesson.tool || !isOpen() || !act || (ask && !answer()) || done()) return;
    if (!meets(act.until, detail)) return;
    progress.done.push(progress.step);
    keep();
    draw();
  });
  const isOpen = () => new URLSearchParams(location.search).get('open') === panel;

  one('.lesson-ask').addEventListener('change', () => draw());
  one('.answer').addEventListener('click', () => {
    const {ask} = step();
    const chosen = Number(one('.lesson-ask :checked').value);
    progress.answers[progress.step] = {question: ask.question, answer: ask.options[chosen], right: ask.options[ask.right - 1]};
    keep();
    draw();
    one(step().act ? '.lesson-task' : '.next').focus?.();
  });
  one('.back').addEventListener('click', () => go(progress.step - 1));
  one('.next').addEventListener('click', () => go(progress.step + 1));
  one('.restart').addEventListener('click', () => {
    progress = {step: 0, answers: {}, done: []};
    shownStep = -1;
    go(0);
  });
  one('.download').addEventListener('click', () => {
    const url = URL.createObjectURL(new Blob([csv(stored())], {type: 'text/csv'}));
    make('a', {href: url, download: 'pairscope-answers.csv'}).click();
    URL.revokeObjectURL(url);
  });
  one('.forget').addEventListener('click', () => {
    store({});
    progress = {step: 0, answers: {}, done: []};
    shownStep = -1;
    go(0);
  });

  function link() {
    const parameters = new URLSearchParams(location.search);
    parameters.set('seed', one('.seed').value || '0');
    const hidden = [...element.querySelectorAll('.hide :checked')].map((each) => each.value);
    if (hidden.length) parameters.set('hide', hidden.join(','));
    else parameters.delete('hide');
    return `${location.origin}${location.pathname}?${parameters}`.replaceAll('%2C', ',');
  }
  one('.lesson-teacher').addEventListener('input', () => { one('.link').textContent = link(); });
  one('.lesson-teacher').addEventListener('toggle', () => { one('.link').textContent = link(); });
  one('.copy-link').addEventListener('click', async () => {
    await navigator.clipboard.writeText(link()).then(
      () => { one('.copy-link').textContent = 'Copied'; },
      () => { one('.copy-link').textContent = 'Select the link above and copy it'; },
    );
  });

  // The seed and the hidden controls of an address, and what is wrong with them.
  function settings(parameters) {
    const problems = [], wanted = parameters.get('seed') ?? '0';
    const valid = /^\d{1,4}$/.test(wanted);
    if (!valid) problems.push(`seed=${wanted.slice(0, 20)}: the seed must be a whole number from 0 to ${props.most_seed}. The lesson uses 0.`);
    const hide = (parameters.get('hide') ?? '').split(',').filter(Boolean);
    const unknown = hide.filter((name) => !Object.hasOwn(props.hidable, name));
    if (unknown.length) problems.push(`hide=${unknown.join(',').slice(0, 40)}: what can be hidden is ${Object.keys(props.hidable).join(', ')}.`);
    return {seed: valid ? Number(wanted) : 0, hide, problems};
  }

  function problem(texts) {
    one('.lesson-problem').textContent = texts.join(' ');
    one('.lesson-problem').hidden = !texts.length;
  }

  async function load(seed, gallery, problems) {
    const wanted = `${gallery} ${seed}`;
    if (wanted === loaded) return;
    loaded = wanted;
    const box = one('.lesson-tool');
    const data = await answerOf(server.data([gallery, seed]));
    if (wanted !== loaded) return;
    if (data.waiting) {
      box.textContent = `The gallery is being built: ${data.waiting[0]} of ${data.waiting[1] || '?'} pictures.`;
      setTimeout(() => {
        if (wanted !== loaded) return; // another gallery was chosen meanwhile
        loaded = null;
        if (isOpen()) load(seed, gallery, problems);
      }, 700);
      return;
    }
    if (data.error) {
      loaded = null;
      return problem([...problems, data.error]);
    }
    const {mount: mountTool} = await import(`./${lesson.tool}.js`);
    box.replaceChildren();
    box.ariaBusy = 'false';
    const encode = (text) => answerOf(server.encode([gallery, text]));
    tool = mountTool(box, {data, encode, longest: props.longest, acted: (values) => acted(lesson.tool, values)});
    start();
    draw();
  }

  register(panel, {
    show(parameters) {
      const {seed, hide, problems} = settings(parameters);
      const own = stored()[lesson.name];
      if (own?.answers && Array.isArray(own.done) && lesson.steps[own.step]) progress = own;
      for (const [name, selector] of Object.entries({back: '.back', restart: '.restart', answers: '.lesson-answers', teacher: '.lesson-teacher'})) {
        one(selector).toggleAttribute('data-off', hide.includes(name));
      }
      document.querySelector(`#learn-${panel} .learn-back`)?.toggleAttribute('data-off', hide.includes('list'));
      one('.seed').value = seed;
      problem(problems);
      draw();
      if (PANELS.includes(lesson.tool)) {
        one('.lesson-tool').hidden = true;
        if (!parameters.has('tau')) start();
      } else load(seed, parameters.get('g') ?? '', problems);
    },
    hide: () => highlight(null),
  });
}
