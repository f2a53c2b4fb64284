#!/usr/bin/env node
// Detects objects in images: a line of JSON for each.
import {readFileSync} from 'node:fs';
import {join} from 'node:path';

import {digest} from '../digest.js';
import {load} from '../index.js';
import {readNumpy} from '../numpy.js';
import {Detector} from './index.js';

const USAGE = `iptq-detect FOLDER IMAGES.npy [--isa NAME]
Detects objects. FOLDER has detector.json and its programs; IMAGES.npy has bytes of shape
(images, channels, height, width), in the order of channels that the program takes. The milliseconds are those of the CPU.

  --isa NAME       variant of the module, instead of the engine's best
`;

async function main(words) {
  const variant = words[2] === '--isa' ? words[3] : undefined;
  if (words.length !== (variant ? 4 : 2)) throw new Error(USAGE);
  const [folder, path] = words;
  const settings = JSON.parse(readFileSync(join(folder, 'detector.json'), 'utf-8'));
  const contents = (name) => readFileSync(join(folder, name));
  const detector = await Detector.open(await load({variant}), settings, contents);
  const {data, shape} = readNumpy(readFileSync(path), path);
  const each = detector.inputs[0].elements;
  if (shape.length !== 4 || data.length !== shape[0] * each)
    throw new Error(`images have the shape (n, ${detector.inputs[0].shape.slice(1)}), ` +
                    `not (${shape})`);
  for (let i = 0; i < shape[0]; ++i) {
    const start = process.cpuUsage();
    const found = detector.detect(data.subarray(i * each, (i + 1) * each));
    const {user, system} = process.cpuUsage(start);
    const arrays = detector.arrays(found);
    const made = await digest(arrays.map((x) => x.data), arrays);
    const [boxes, scores, labels] = ['boxes', 'scores', 'labels'].map((k) => [...found[k]]);
    console.log(JSON.stringify({digest: made, ms: (user + system) / 1000, boxes, scores, labels}));
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`iptq-detect: ${error.message}`);
  process.exitCode = 1;
});
