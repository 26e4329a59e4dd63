// Train it: controls, and the course of a run that a worker trains or that was recorded.
import {STEPS} from './heads.js';
import {acted, record, register} from './learn.js';
import {drawCurve, drawPlane} from './plane.js';

const LIVE = ['infonce', 'cusa', 'pairs'];
const RECORDED = {infonce: 'InfoNCE', crcgs: 'CRCGS', coder: 'CODER', ascl: 'AsCL', cusa: 'CUSA'};
const BATCHES = [4, 8, 16, 32, 64, 128];
const DEFAULT = {method: 'infonce', temp: 0.07, batch: 64, soft: 1, seed: 0};
const PAUSE = 60, RECORDED_PAUSE = 250; // ms between two points
const COLUMNS = {step: 'Step', loss: 'Loss', alignment: 'Alignment', uniformity: 'Uniformity', r1: 'R@1 in %'};
const still = matchMedia('(prefers-reduced-motion: reduce)');

const text = (name, value) =>
  value === null ? '–' : name === 'step' ? String(value) : name === 'r1' ? value.toFixed(1) : value.toFixed(3);
const bounded = (given, low, high, fallback) => {
  const value = given === null || given === '' ? NaN : Number(given);
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : fallback;
};

// Settings of an address; what it does not name, or names wrongly, has its default.
export function settingsOf(parameters) {
  const [method, batch] = [parameters.get('method'), Number(parameters.get('batch'))];
  const known = LIVE.includes(method) || Object.keys(RECORDED).some((name) => `recorded-${name}` === method);
  return {
    method: known ? method : DEFAULT.method,
    temp: bounded(parameters.get('temp'), 0.01, 1, DEFAULT.temp),
    batch: BATCHES.includes(batch) ? batch : DEFAULT.batch,
    soft: bounded(parameters.get('soft'), 0.1, 10, DEFAULT.soft),
    seed: Math.round(bounded(parameters.get('seed'), 0, 9999, DEFAULT.seed)),
  };
}

export function mount({element, props}) {
  const one = (selector) => element.querySelector(selector);
  const controls = Object.fromEntries(Object.keys(DEFAULT).map((name) => [name, one(`#train-${name}`)]));
  let settings = DEFAULT;
  let worker = null, starter, recordings; // there once the panel has been opened
  let run = [], ghost = []; // points {step, loss, alignment, uniformity, r1}
  let number = 0; // of the run; points of an older one are dropped
  let playing = false, drawing = 0, timer = 0;

  one('.recorded').append(...Object.entries(RECORDED).map(([name, title]) => new Option(title, `recorded-${name}`)));
  controls.batch.append(...BATCHES.map((size) => new Option(size)));

  const recorded = () => recordings.runs[settings.method.replace('recorded-', '')].points;
  const isRecorded = () => settings.method.startsWith('recorded-');
  const lastStep = () => (isRecorded() ? recorded().at(-1).step : STEPS);
  const isDone = () => run.length > 0 && run.at(-1).step >= lastStep();

  async function load() {
    worker = new Worker(new URL('./worker.js', import.meta.url), {type: 'module'});
    worker.onmessage = ({data}) => {
      if (data.starter) {
        starter = data.starter;
        one('.train-tool').ariaBusy = 'false';
        say('');
        restart();
      } else if (data.run === number) add(data.point);
    };
    worker.onerror = () => say('The training cannot run in this browser.');
    try {
      const [features, runs] = await Promise.all([props.features, props.runs].map(async (address) => {
        const answer = await fetch(address);
        if (!answer.ok) throw new Error(answer.status);
        return answer;
      }));
      recordings = await runs.json();
      worker.postMessage({features: await features.arrayBuffer()});
    } catch {
      say('The features could not be loaded. Reload the page.');
    }
    one('.recorded-command').textContent = recordings?.command ?? '';
  }

  function say(message) {
    one('.state').textContent = message;
  }

  // Begins the run of the settings, before its first step; the run before becomes the ghost.
  function restart() {
    if (!starter) return;
    pause();
    if (run.length > 1) ghost = run;
    run = [];
    number++;
    if (isRecorded()) add(recorded()[0]);
    else {
      const {method, temp, batch, soft, seed} = settings;
      worker.postMessage({run: number, settings: {method, tau: temp, batch, soft, seed}});
    }
  }

  function add(point) {
    run.push({loss: null, ...point});
    if (isDone() && playing) {
      pause();
      acted('train', {finished: true, settings, ...run.at(-1)});
      const {step, r1, alignment, uniformity} = run.at(-1);
      say(`The run has ended after ${step} steps: R@1 ${text('r1', r1)} %, alignment ${text('alignment', alignment)}, uniformity ${text('uniformity', uniformity)}.`);
    }
    if (!still.matches || !playing) draw();
    buttons();
  }

  function play() {
    if (isDone()) restart();
    playing = true;
    say('');
    buttons();
    acted('train', {playing: true, settings});
    if (isRecorded()) timer = setInterval(() => add(recorded()[run.length]), RECORDED_PAUSE);
    else worker.postMessage({play: still.matches ? 0 : PAUSE});
  }

  function pause() {
    playing = false;
    clearInterval(timer);
    worker.postMessage({pause: true});
    draw();
    buttons();
  }

  function buttons() {
    one('#train-play').textContent = playing ? 'Pause' : isDone() ? 'Play again' : 'Play';
    one('#train-step').disabled = !starter || isDone();
    one('#train-play').disabled = one('#train-restart').disabled = !starter;
  }

  function draw() {
    drawing ||= requestAnimationFrame(() => {
      drawing = 0;
      if (!run.length || !element.clientWidth) return;
      drawPlane(one('#train-plane'), run, ghost, starter, 400);
      drawCurve(one('#train-curve'), run, ghost, lastStep(), 400);
      const last = run.at(-1);
      for (const name of Object.keys(COLUMNS)) one(`[data-figure=${name}]`).textContent = text(name, last[name]);
      one('[data-figure=step]').textContent = `${last.step} of ${lastStep()}`;
      one('[data-figure=r1]').textContent = `${text('r1', last.r1)} %`;
      const summary = `step ${last.step}, alignment ${text('alignment', last.alignment)}, uniformity ${text('uniformity', last.uniformity)}, R@1 ${text('r1', last.r1)} %`;
      one('#train-plane').ariaLabel = `Alignment-uniformity plane: ${summary}`;
      one('#train-curve').ariaLabel = `Curve of R@1: ${summary}`;
      if (one('.points').open) table();
    });
  }

  function table() {
    const row = (tag, values) => {
      const tr = document.createElement('tr');
      tr.append(...values.map((value) => Object.assign(document.createElement(tag), {textContent: value})));
      return tr;
    };
    one('.points table').replaceChildren(
      row('th', Object.values(COLUMNS)), ...run.map((point) => row('td', Object.keys(COLUMNS).map((name) => text(name, point[name])))));
  }

  // Shows the settings in the controls. Those that the run does not use are disabled.
  function apply() {
    const {method, temp, batch, soft, seed} = settings;
    Object.assign(controls.method, {value: method});
    Object.assign(controls.batch, {value: batch, disabled: isRecorded()});
    Object.assign(controls.seed, {value: seed, disabled: isRecorded()});
    Object.assign(controls.temp, {value: Math.log10(temp), disabled: isRecorded() || method === 'pairs'});
    Object.assign(controls.soft, {value: Math.log10(soft), disabled: method !== 'cusa'});
    label();
  }

  function label() {
    for (const [name, digits] of [['temp', 3], ['soft', 2]]) {
      one(`#train-${name}-value`).textContent = controls[name].ariaValueText = (10 ** controls[name].value).toFixed(digits);
    }
  }

  one('form').addEventListener('submit', (event) => event.preventDefault());
  one('form').addEventListener('input', label);
  one('form').addEventListener('change', ({target}) => {
    const name = Object.keys(controls).find((each) => controls[each] === target);
    const value = target.type === 'range' ? (10 ** target.value).toFixed(3) : target.value;
    settings = settingsOf(new URLSearchParams({...settings, [name]: value}));
    record(Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, value === DEFAULT[name] ? null : value])));
    say('');
    apply();
    restart();
    acted('train', {settings});
  });
  one('#train-play').addEventListener('click', () => (playing ? pause() : play()));
  one('#train-restart').addEventListener('click', () => {
    say('');
    restart();
  });
  one('#train-step').addEventListener('click', () => {
    if (playing) pause();
    if (isRecorded()) add(recorded()[run.length]);
    else worker.postMessage({step: true});
  });
  one('.points').addEventListener('toggle', table);
  new ResizeObserver(draw).observe(one('.train-plots'));
  buttons();

  register('train', {
    show(parameters) {
      const before = JSON.stringify(settings);
      settings = settingsOf(parameters);
      apply();
      if (!worker) load();
      else if (before !== JSON.stringify(settings)) restart();
      draw();
    },
    hide: () => playing && pause(),
  });
}
