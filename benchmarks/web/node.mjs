// node benchmarks/web/node.mjs FOLDER ROUNDS: see ../browser.py.
import {readFile} from 'node:fs/promises';
import {pathToFileURL} from 'node:url';

import {beside} from './beside.js';

const [folder, rounds] = process.argv.slice(2);
const at = (name) => pathToFileURL(`${folder}/${name}`);
const {available, load} = await import(at('iptq/index.js'));
const ort = await import(at('ort/ort.wasm.min.mjs'));
ort.env.wasm.wasmPaths = at('ort/').href;
const files = {};
for (const [key, name] of [['iptq', 'model.iptq'], ['floats', 'floats.onnx'], ['int8', 'int8.onnx']])
  files[key] = new Uint8Array(await readFile(at(name)));
// Of this process: others on the machine do not count.
const clock = () => {
  const {user, system} = process.cpuUsage();
  return (user + system) / 1000;
};
const times = await beside({ort, load, variants: available(), files, clock, rounds: Number(rounds)});
console.log(JSON.stringify(times));
process.exit(0);
