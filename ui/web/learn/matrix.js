// Matrix and temperature: one request for the cosines of a batch; everything else is computed here.
import {acted, answerOf, record, register} from './learn.js';
import {hardestShares, infoNce, logSoftmax} from './objective.js';

const LETTERS = 'ABCDEFGH';
const N = LETTERS.length;
const DEFAULT = {tau: 0.07, cells: 'probability'};

const percent = (p) => `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`;
const limited = (value, low, high, fallback) =>
  Number.isFinite(value) && value > 0 ? Math.min(high, Math.max(low, value)) : fallback;

export function mount({element, props, server}) {
  const one = (selector) => element.querySelector(selector);
  const [slider, twin, table] = ['#matrix-tau', '#matrix-twin', 'table'].map(one);
  let state = {...DEFAULT, twin: false, gallery: props.galleries[0]};
  let batch = null; // of the server: pictures, captions, cosines, twin
  let loaded = ''; // gallery of the batch
  let cells = []; // of the table, row by row
  let at = 0; // the cell that is traced
  let drawing = 0;

  // Rows of the batch that are shown: with the false negative, the last pair makes room for it.
  const rows = () => [...Array(N - 1).keys(), state.twin && batch.twin ? N : N - 1];
  const cosines = () => Float64Array.from(rows().flatMap((i) => rows().map((j) => batch.cosines[i][j])));

  async function load() {
    const wanted = state.gallery;
    if (wanted === loaded) return draw();
    one('.matrix-tool').ariaBusy = 'true';
    const answer = await answerOf(server.batch(wanted));
    if (wanted !== state.gallery) return; // another gallery was chosen meanwhile
    if (answer.waiting) {
      const [done, total] = answer.waiting;
      say(`The gallery ${wanted} is being built: ${done} of ${total || '?'} pictures.`);
      setTimeout(() => wanted === state.gallery && load(), 700);
      return;
    }
    if (answer.error) {
      one('.matrix-tool').ariaBusy = 'false';
      return say(answer.error);
    }
    [batch, loaded] = [answer, wanted];
    say('');
    one('.synthetic').style.visibility = batch.synthetic ? '' : 'hidden'; // keeps its place
    twin.hidden = !batch.twin;
    fill();
    draw();
    one('.matrix-tool').ariaBusy = 'false';
  }

  function say(text) {
    one('.state').textContent = text;
    for (const each of ['.matrix-cells', '.figures', '.trace']) one(each).hidden = Boolean(text);
    one('.trace').textContent = one('.twin-note').textContent = '';
  }

  // Makes the cells and their headings, for another batch or another last pair.
  function fill() {
    const shown = rows();
    const heading = (j) => {
      const th = Object.assign(document.createElement('th'), {scope: 'col', title: batch.captions[shown[j]]});
      th.append(Object.assign(document.createElement('b'), {textContent: LETTERS[j]}));
      th.append(Object.assign(document.createElement('span'), {textContent: batch.captions[shown[j]]}));
      return th;
    };
    const head = document.createElement('tr');
    head.append(document.createElement('td'), ...shown.map((_, j) => heading(j)));
    one('thead').replaceChildren(head);
    cells = [];
    one('tbody').replaceChildren(...shown.map((row, i) => {
      const tr = document.createElement('tr');
      const th = Object.assign(document.createElement('th'), {scope: 'row'});
      const picture = Object.assign(document.createElement('img'), {
        src: batch.pictures[row], alt: `Picture ${i + 1}: ${batch.captions[row]}`, width: 56, height: 56,
      });
      th.append(Object.assign(document.createElement('b'), {textContent: i + 1}), picture);
      tr.append(th, ...shown.map((column, j) => {
        const td = Object.assign(document.createElement('td'), {tabIndex: -1});
        td.role = 'gridcell';
        if (i === j) td.className = 'own';
        else if (Math.max(row, column) === N && Math.min(row, column) === 0) td.className = 'also';
        cells.push(td);
        return td;
      }));
      return tr;
    }));
    one('.matrix-captions').replaceChildren(...shown.map((row) =>
      Object.assign(document.createElement('li'), {textContent: batch.captions[row]})));
    trace(Math.min(at, cells.length - 1));
  }

  // At most once per frame, however fast the slider moves.
  function draw() {
    drawing ||= requestAnimationFrame(() => {
      drawing = 0;
      if (batch) paint();
    });
  }

  function paint() {
    const s = cosines();
    const logits = s.map((value) => value / state.tau);
    const logP = logSoftmax(logits, N), {loss, gradient} = infoNce(s, N, state.tau);
    const largest = gradient.reduce((top, value) => Math.max(top, Math.abs(value)), 0) || 1;
    const shown = {
      probability: (k) => [Math.exp(logP[k]), (100 * Math.exp(logP[k])).toFixed(0)],
      cosine: (k) => [Math.max(0, s[k]), s[k].toFixed(2)],
      gradient: (k) => [Math.abs(gradient[k]) / largest, `${gradient[k] < 0 ? '−' : '+'}${Math.abs(gradient[k]).toFixed(2).replace(/^0/, '')}`],
    }[state.cells];
    cells.forEach((td, k) => {
      const [strength, text] = shown(k);
      td.style.setProperty('--strength', strength.toFixed(3));
      td.textContent = text;
    });
    const shares = hardestShares(logP, N);
    const first = rows().filter((_, i) => cells.every((_, k) => Math.floor(k / N) !== i || s[k] <= s[i * N + i])).length;
    const figures = {
      loss: `${loss.toFixed(3)} nats`,
      chance: `both directions; ${Math.log(N).toFixed(2)} if every caption were as likely`,
      hardest: percent(shares.reduce((sum, share) => sum + share, 0) / N),
      first: `${first} of ${N}`,
    };
    for (const [name, text] of Object.entries(figures)) one(`[data-figure=${name}]`).textContent = text;
    one('#matrix-tau-value').textContent = slider.ariaValueText = state.tau.toFixed(3);
    describe(s, logP, gradient);
    if (!state.twin || !batch.twin) return;
    const push = Math.exp(logP[N - 1]) / (1 - Math.exp(logP[0]));
    one('.twin-note').textContent = batch.twin === 'scene'
      ? `Captions A and H are both true of pictures 1 and 8, yet the loss treats A8 and H1 as wrong: ${percent(push)} of the push on the negatives of picture 1 falls on a true caption.`
      : `Pictures 1 and 8 are the same picture, so captions A and H are true of both, yet the loss treats them as wrong: ${percent(push)} of the push on the negatives of picture 1 falls on a true caption.`;
  }

  function describe(s, logP, gradient) {
    const i = Math.floor(at / N), j = at % N;
    const kind = i === j ? 'a pair, pulled together' : cells[at].className === 'also'
      ? 'also true, but pushed apart as a negative' : 'a negative, pushed apart';
    one('.trace').textContent = `Picture ${i + 1}, caption ${LETTERS[j]} “${batch.captions[rows()[j]]}”: cosine ${s[at].toFixed(2)}, ` +
      `probability ${percent(Math.exp(logP[at]))}, gradient ${gradient[at].toFixed(3)} (${kind}).`;
  }

  // Marks the row and the column of a cell.
  function trace(k) {
    cells[at]?.setAttribute('tabindex', '-1');
    at = k;
    cells[at].tabIndex = 0;
    table.querySelectorAll('.traced').forEach((each) => each.classList.remove('traced'));
    for (let m = 0; m < N; m++) {
      cells[Math.floor(at / N) * N + m].classList.add('traced');
      cells[m * N + (at % N)].classList.add('traced');
    }
    draw();
  }

  const tauOf = () => Number((10 ** Number(slider.value)).toFixed(3));

  slider.addEventListener('input', () => {
    state.tau = tauOf();
    draw();
  });
  const remember = (values) => {
    record({
      tau: state.tau === DEFAULT.tau ? null : state.tau, cells: state.cells === DEFAULT.cells ? null : state.cells,
      twin: state.twin ? 1 : null,
    });
    acted('matrix', values);
  };
  slider.addEventListener('change', () => remember({tau: state.tau}));
  one('#matrix-view').addEventListener('change', (event) => {
    state.cells = event.target.value;
    draw();
    remember({cells: state.cells});
  });
  twin.addEventListener('click', () => {
    state.twin = !state.twin;
    apply();
    remember({twin: state.twin});
  });
  one('form').addEventListener('submit', (event) => event.preventDefault());
  table.addEventListener('pointerover', (event) => {
    const k = cells.indexOf(event.target);
    if (k >= 0) trace(k);
  });
  table.addEventListener('focusin', (event) => cells.includes(event.target) && trace(cells.indexOf(event.target)));
  table.addEventListener('keydown', (event) => {
    const move = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!move) return;
    event.preventDefault();
    const within = (value) => Math.min(N - 1, Math.max(0, value));
    cells[within(Math.floor(at / N) + move[0]) * N + within((at % N) + move[1])].focus();
  });

  // Shows the state in the controls, and another last pair.
  function apply() {
    twin.ariaPressed = String(state.twin);
    twin.textContent = state.twin ? 'Remove the false negative' : 'Insert a false negative';
    one('.twin-note').textContent = '';
    if (batch) fill();
    draw();
  }

  register('matrix', {
    show(parameters) {
      state = {
        tau: limited(Number(parameters.get('tau')), 0.01, 1, DEFAULT.tau),
        cells: ['cosine', 'gradient'].includes(parameters.get('cells')) ? parameters.get('cells') : DEFAULT.cells,
        twin: parameters.get('twin') === '1',
        gallery: props.galleries.includes(parameters.get('g')) ? parameters.get('g') : props.galleries[0],
      };
      slider.value = Math.log10(state.tau);
      one(`#matrix-view [value=${state.cells}]`).checked = true;
      apply();
      load();
    },
  });
}
