// A detector: boxes and masks of the objects, and a list of them.
import {Detector} from './iptq/detection/index.js';

const LEAST = 0.3;
const COLOURS = ['#e6194b', '#3cb44b', '#4363d8', '#f58231', '#911eb4', '#008080'];

/** Opens a detector; page.js says what it needs of a model. */
export async function open(runtime, about, bytes) {
  const name = (file) => `${about.file}/${file}`;
  const settings = JSON.parse(new TextDecoder().decode(await bytes(name('detector.json'))));
  const detector = await Detector.open(runtime, settings, (file) => bytes(name(file)));
  return {
    input: detector.inputs[0],
    run: (given) => detector.detect(given),
    close: () => detector.close(),
    numbers(given, result) {
      const described = detector.arrays(result);
      return {arrays: described.map(({data}) => data), described};
    },
    found: ({boxes, scores, labels, masks}) =>
      Array.from(labels, (label, i) => ({
        label,
        score: scores[i],
        colour: COLOURS[label % COLOURS.length],
        box: boxes.subarray(4 * i, 4 * i + 4),
        mask: masks?.[i],
      })).filter(({score}) => score >= LEAST),
  };
}

// The pixels of a mask, in a canvas of the picture's size.
function painted(mask, colour, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  context.fillStyle = colour;
  mask.forEach((inside, i) => {
    if (inside) context.fillRect(i % width, Math.floor(i / width), 1, 1);
  });
  return canvas;
}

/** Draws objects over a picture: `canvas` lies upon it, and may have more pixels. */
export function outline(canvas, objects, names, {width, height}) {
  const scale = Math.max(1, Math.round(640 / width));
  Object.assign(canvas, {width: width * scale, height: height * scale});
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.lineWidth = 4;
  context.font = '22px system-ui, sans-serif';
  for (const {mask, colour} of objects) {
    context.globalAlpha = 0.4;
    if (mask)
      context.drawImage(painted(mask, colour, width, height), 0, 0, canvas.width,
                        canvas.height);
  }
  context.globalAlpha = 1;
  for (const {box, label, score, colour} of objects) {
    const [x1, y1, x2, y2] = Array.from(box, (x) => x * scale);
    const text = `${names?.[label] ?? `class ${label}`} ${score.toFixed(2)}`;
    context.strokeStyle = context.fillStyle = colour;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const wide = context.measureText(text).width + 8;
    const left = Math.min(x1, canvas.width - wide), top = Math.max(y1, 28);
    context.fillRect(left, top - 28, wide, 28);
    context.fillStyle = '#fff';
    context.fillText(text, left + 4, top - 7);
  }
}
