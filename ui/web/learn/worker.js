// Trains the heads of "Train it": the page stays responsive, and a hidden tab goes on training.
// In: {features}, {run, settings}, {play: pause in ms}, {step}, {pause}. Out: {starter}, then {run, point}.
import {readFeatures, STEPS, Training} from './heads.js';

const EVERY = 5; // steps between two points
let features, training, run, playing;

function advance(steps) {
  let loss = null;
  for (let i = 0; i < steps && training.done < STEPS; i++) loss = training.step();
  postMessage({run, point: {step: training.done, loss, ...training.measure()}});
}

async function play(pause) {
  const mine = (playing = {});
  while (playing === mine && training.done < STEPS) {
    advance(EVERY - (training.done % EVERY));
    await new Promise((resume) => setTimeout(resume, pause));
  }
}

onmessage = ({data}) => {
  if (data.features) {
    features = readFeatures(data.features);
    postMessage({starter: features.starter});
  } else if (data.settings) {
    [playing, run, training] = [null, data.run, new Training(features, data.settings)];
    advance(0);
  } else if ('play' in data) play(data.play);
  else {
    playing = null;
    if (data.step) advance(1);
  }
};
