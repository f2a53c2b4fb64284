// node benchmarks/web/modules.mjs ROUNDS MODEL.iptq BEFORE.wasm AFTER.wasm ...: modules of
// the runtime in turn, in milliseconds of the CPU; all have to give the same integers.
import {readFileSync} from 'node:fs';

import {load} from '../../runtime/web/index.js';

const [rounds, path, ...names] = process.argv.slice(2);
const runs = [];
for (const name of names) {
  const runtime = await load({variant: 'simd128', module: readFileSync(name)});
  const model = runtime.open(readFileSync(path));
  const {elements} = model.inputs[0];
  const image = Uint8Array.from({length: elements}, (_, i) => (i * 7919) & 255);
  runs.push(() => String(model.predict([image], {integers: true})[0]));
}
const clock = () => {
  const {user, system} = process.cpuUsage();
  return (user + system) / 1000;
};
const median = (x) => [...x].sort((a, b) => a - b)[x.length >> 1];
const times = names.map(() => []), made = [];
for (let round = -3; round < Number(rounds); ++round)
  runs.forEach((run, i) => {
    const start = clock();
    made[i] = run();
    if (round >= 0) times[i].push(clock() - start);
  });
names.forEach((name, i) => {
  const ratio = median(times[0].map((t, k) => t / times[i][k]));
  const same = made[i] === made[0] ? 'the same integers' : 'OTHER INTEGERS';
  console.log(`${name}: ${median(times[i]).toFixed(1)} ms, ${ratio.toFixed(3)} times as fast ` +
              `as the first, ${same}`);
});
