// The page: a picture, a model, its classes.
import {load} from './iptq/index.js';
import {digest} from './digest.js';
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

async function open(about) {
  const file = await (await fetched(`models/${about.file}`)).arrayBuffer();
  state.model?.close();
  state.about = about;
  state.model = state.runtime.open(file);
  const [, , height, width] = state.model.inputs[0].shape;
  Object.assign(canvas, {width, height});
  await sample();
}

function showClasses(values) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
  const best = values[order[0]];
  const total = values.reduce((sum, x) => sum + Math.exp(x - best), 0);
  element('classes').replaceChildren(...order.slice(0, 5).map((i) => {
    const line = document.createElement('li');
    const meter = document.createElement('meter');
    meter.value = Math.exp(values[i] - best) / total;
    line.append(state.about.classes?.[i] ?? `class ${i}`, meter);
    return line;
  }));
}

function classify() {
  const given = [pixels(canvas, state.model.inputs[0])];
  state.model.predict(given);  // the engine compiles
  const start = performance.now();
  const [values] = state.model.predict(given);
  const took = performance.now() - start;
  showClasses(values);
  element('time').textContent = `${took.toFixed(1)} ms, ${state.runtime.instructions}`;
  return given;
}

async function show(picture) {
  draw(canvas, picture);
  classify();
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
    const given = classify();
    const made = await digest(state.model.predict(given, {integers: true}),
                              state.model.outputs);
    same += made === wanted;
  }
  const all = same === samples.length;
  element('digest').textContent = all
    ? `Same bits as Python: ${same} of ${samples.length} pictures`
    : `OTHER BITS THAN PYTHON: ${samples.length - same} of ${samples.length} pictures`;
  element('digest').className = all ? 'good' : 'bad';
  return all;
}

async function chosen(file) {
  if (!file) return;
  try {
    await show(await createImageBitmap(file));
  } catch {
    say(`${file.name} is no picture that this browser reads`, 'bad');
  }
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
