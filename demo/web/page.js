// The page: a picture, a model, what it finds.
import {load} from './iptq/index.js';
import {digest} from './iptq/digest.js';
import * as classifier from './classifier.js';
import * as detector from './detector.js';
import {draw, pixels} from './image.js';

const element = (id) => document.getElementById(id);
const canvas = element('picture');
const state = {runtime: null, about: null, model: null};

function say(text, kind = '') {
  element('status').textContent = text;
  element('status').className = kind;
}

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response;
}

/*
 * What a kind of model gives: `open(runtime, about, bytes)`, and of that a promise of
 * {input, run(pixels), found(result), numbers(pixels, result), close()}. `found` lists
 * {label, score}, with a box where there are objects; `numbers` are what has a digest.
 */
const KINDS = {classifier, detector};

async function open(about) {
  const bytes = async (file) => (await fetched(`models/${file}`)).arrayBuffer();
  state.wanted = about;
  const model = await KINDS[about.kind].open(state.runtime, about, bytes);
  if (state.wanted !== about) return model.close();  // another one was chosen meanwhile
  state.model?.close();
  Object.assign(state, {about, model});
  const [, , height, width] = state.model.input.shape;
  Object.assign(canvas, {width, height});
  await sample();
}

function list(found) {
  element('classes').replaceChildren(...found.map(({label, score, colour}) => {
    const line = document.createElement('li');
    const meter = document.createElement('meter');
    meter.value = score;
    if (colour) line.style.color = colour;
    line.append(state.about.classes?.[label] ?? `class ${label}`, meter);
    return line;
  }));
}

function run() {
  const given = pixels(canvas, state.model.input);
  state.model.run(given);  // the engine compiles
  const start = performance.now();
  const result = state.model.run(given);
  const took = performance.now() - start;
  const found = state.model.found(result);
  list(found);
  detector.outline(element('objects'), found.filter(({box}) => box), state.about.classes, canvas);
  element('time').textContent = `${took.toFixed(1)} ms, ${state.runtime.instructions}`;
  return state.model.numbers(given, result);
}

async function show(picture) {
  draw(canvas, picture);
  run();
  element('digest').textContent = '';
  say('Done: nothing left this page.');
}

async function sample() {
  const blob = await (await fetched(`models/${state.about.samples[0].file}`)).blob();
  // Bytes as they are in the file: no colour profile is applied.
  await show(await createImageBitmap(blob, {colorSpaceConversion: 'none'}));
  await compare(state.about.samples.slice(0, 1));
}

/** Runs samples whose digests Python stored; returns whether all are the same. */
async function compare(samples) {
  let same = 0;
  for (const {file, digest: wanted} of samples) {
    const blob = await (await fetched(`models/${file}`)).blob();
    draw(canvas, await createImageBitmap(blob, {colorSpaceConversion: 'none'}));
    const {arrays, described} = run();
    same += (await digest(arrays, described)) === wanted;
  }
  const all = same === samples.length;
  element('digest').textContent = all
    ? `Same bits as Python: ${same} of ${samples.length} pictures`
    : `OTHER BITS THAN PYTHON: ${samples.length - same} of ${samples.length} pictures`;
  element('digest').className = all ? 'good' : 'bad';
  return all;
}

async function chosen(file) {
  if (!file || !state.model) return;
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return say(`${file.name} is no picture that this browser reads`, 'bad');
  }
  await show(picture).catch((error) => say(error.message, 'bad'));
}

async function start() {
  state.runtime = await load();
  const models = await (await fetched('models/models.json')).json();
  const select = element('model');
  select.append(...models.map(({name}) => new Option(name)));
  const guarded = (act) => () => act().catch((error) => say(error.message, 'bad'));
  select.onchange = guarded(() => open(models[select.selectedIndex]));
  element('sample').onclick = guarded(sample);
  element('check').onclick = guarded(() => compare(state.about.samples));
  element('file').onchange = (event) => chosen(event.target.files[0]);
  const drop = element('drop');
  drop.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add('over');
  };
  drop.ondragleave = () => drop.classList.remove('over');
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    chosen(event.dataTransfer.files[0]);
  };
  await open(models[0]);
}

start().catch((error) => say(error.message, 'bad'));
