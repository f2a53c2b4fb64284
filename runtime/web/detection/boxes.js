// Boxes (x1, y1, x2, y2), four numbers each: anchors, decoding, and the choice among those
// that overlap.
import {clip, exponential} from './exact.js';

/** The anchors of a map: row by row, and at each place all base anchors. */
export function anchors(base, stride, [height, width]) {
  const made = new Float64Array(height * width * base.length * 4);
  let at = 0;
  for (let y = 0; y < height; ++y)
    for (let x = 0; x < width; ++x)
      for (const box of base)
        for (let i = 0; i < 4; ++i)
          made[at++] = (i % 2 ? y * stride[1] : x * stride[0]) + box[i];
  return made;
}

/** Boxes that deltas have moved and resized, within the image. */
export function decoded(boxes, deltas, {means, stds, limit}, size) {
  const made = new Float64Array(boxes.length);
  for (let at = 0; at < boxes.length; at += 4)
    for (let axis = 0; axis < 2; ++axis) {
      const low = boxes[at + axis], high = boxes[at + axis + 2];
      const shift = deltas[at + axis] * stds[axis] + means[axis];
      const growth = deltas[at + axis + 2] * stds[axis + 2] + means[axis + 2];
      const extent = high - low;
      const middle = (low + high) * 0.5 + extent * shift;
      const half = extent * exponential(clip(growth, -limit, limit)) * 0.5;
      const bound = size[1 - axis];
      made[at + axis] = clip(middle - half, 0, bound) + 0;  // no -0
      made[at + axis + 2] = clip(middle + half, 0, bound) + 0;
    }
  return made;
}

/** The order of falling scores, in which equal ones keep theirs. */
export function byScore(scores) {
  return Uint32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
}

/** Some of the boxes. */
export function chosen(boxes, order) {
  const made = new Float64Array(4 * order.length);
  order.forEach((from, i) => made.set(boxes.subarray(4 * from, 4 * from + 4), 4 * i));
  return made;
}

/**
 * Which boxes remain, by falling score, `most` of them at most (non-maximum suppression).
 *
 * Only boxes of one group compete. A box goes if its intersection over union with one of a
 * higher score is larger than the threshold.
 */
export function kept(boxes, scores, groups, threshold, most) {
  const gone = new Uint8Array(scores.length), made = [];
  const area = (i) =>
    (boxes[4 * i + 2] - boxes[4 * i]) * (boxes[4 * i + 3] - boxes[4 * i + 1]);
  const areas = Float64Array.from(scores, (_, i) => area(i));
  const order = byScore(scores);
  const side = (a, b, axis) =>
    Math.max(Math.min(boxes[a + axis + 2], boxes[b + axis + 2]) -
             Math.max(boxes[a + axis], boxes[b + axis]), 0);
  for (let n = 0; n < order.length && made.length < most; ++n) {
    const i = order[n];
    if (gone[i]) continue;
    made.push(i);
    for (let m = n + 1; m < order.length; ++m) {
      const j = order[m];
      if (gone[j] || groups[i] !== groups[j]) continue;
      const common = side(4 * i, 4 * j, 0) * side(4 * i, 4 * j, 1);
      if (common / (areas[i] + areas[j] - common) > threshold) gone[j] = 1;
    }
  }
  return made;
}
