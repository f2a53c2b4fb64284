#!/usr/bin/env node
// iptq-run in JavaScript: a part of what ../cli/main.cpp does.
import {readFileSync, writeFileSync} from 'node:fs';

import {available, load} from './index.js';
import {numpyBytes, readNumpy} from './numpy.js';

const USAGE = `iptq-run MODEL.iptq [INPUT.npy ...]
Runs an integer model. Without inputs it says what the model takes and gives.

  --out PREFIX     write output K to PREFIX_K.npy
  --integers       write integers, instead of floats
  --each           arrays have one dimension more: a call for each entry
  --bench N        time N calls, of zeros where no inputs are given
  --isa NAME       variant of the module, instead of the engine's best
  --levels         variants that this engine can run
`;

function parsed(words) {
  const options = {paths: []};
  while (words.length) {
    const word = words.shift();
    const name = word.slice(2);
    if (!word.startsWith('--')) options.paths.push(word);
    else if (['integers', 'each', 'levels'].includes(name)) options[name] = true;
    else if (['out', 'bench', 'isa'].includes(name) && words.length)
      options[name] = words.shift();
    else throw new Error(`unknown option ${word}\n\n${USAGE}`);
  }
  return options;
}

const joined = (arrays) => {
  const made = new arrays[0].constructor(arrays.length * arrays[0].length);
  arrays.forEach((x, i) => made.set(x, i * x.length));
  return made;
};

function describe(model) {
  console.log(`${model.name}, ${(model.workingMemory / 1e6).toFixed(1)} MB of working memory`);
  for (const [what, ports] of [['input', model.inputs], ['output', model.outputs]])
    for (const p of ports)
      console.log(`${what} ${p.name}: ${p.shape.join(' x ')}, ${p.kind}, integers ` +
                  `${p.low}..${p.high}, scale ${p.scale}`);
}

function predictEach(model, inputs, options) {
  const calls = options.each ? inputs[0].shape[0] : 1;
  const made = [];
  for (let call = 0; call < calls; ++call) {
    const given = inputs.map(({data}) => {
      const length = data.length / calls;
      return data.subarray(call * length, (call + 1) * length);
    });
    made.push(model.predict(given, {integers: Boolean(options.integers)}));
  }
  model.outputs.forEach((p, k) => {
    const shape = options.each ? [calls, ...p.shape] : p.shape;
    const data = joined(made.map((outputs) => outputs[k]));
    if (options.out) writeFileSync(`${options.out}_${k}.npy`, numpyBytes(data, shape));
    else console.log(`${p.name}: ${shape.join(' x ')}`);
  });
}

function bench(model, inputs, calls) {
  const zeros = (p) =>
    p.kind === 'pixels' ? new Uint8Array(p.elements) : new Float32Array(p.elements);
  const given = inputs.length ? inputs.map(({data}) => data) : model.inputs.map(zeros);
  const times = [];
  for (let call = 0; call < calls + 3; ++call) {
    const start = performance.now();
    model.predict(given);
    times.push(performance.now() - start);
  }
  const sorted = times.slice(3).sort((a, b) => a - b);
  console.log(`${sorted.length} calls: median ${sorted[sorted.length >> 1].toFixed(2)} ms, ` +
              `least ${sorted[0].toFixed(2)} ms`);
}

async function main() {
  const options = parsed(process.argv.slice(2));
  if (options.levels) return console.log(available().join('\n'));
  if (!options.paths.length) throw new Error(USAGE);
  const [path, ...inputPaths] = options.paths;
  const runtime = await load({variant: options.isa});
  const model = runtime.open(readFileSync(path));
  const inputs = inputPaths.map((name) => readNumpy(readFileSync(name), name));
  if (options.bench) return bench(model, inputs, Number(options.bench));
  if (!inputs.length) return describe(model);
  return predictEach(model, inputs, options);
}

main().catch((error) => {
  console.error(`iptq-run: ${error.message}`);
  process.exitCode = 1;
});
