// RoIAlign in whole numbers, from the integers of a map to those that a head takes.
// ../../python/iptq_runtime/detection/pooling.py says why it is exact.
import {clip, rounded} from './exact.js';

const EXACT = 52;
export const TYPES = {int8: Int8Array, int16: Int16Array, int32: Int32Array};

/** Which map a box is cut from: the next one with each doubling of its side. */
export function level(boxes, at, finest, count) {
  const area = (boxes[at + 2] - boxes[at]) * (boxes[at + 3] - boxes[at + 1]);
  const side = Math.sqrt(area) / finest + 1e-6;
  let made = 0;
  while (made < count - 1 && side >= 2 ** (made + 1)) ++made;
  return made;
}

/**
 * How much each row of a map belongs to each cell, times 2**bits.
 *
 * @return {shares, first, last}: shares by cell and row, and which rows are not 0.
 */
export function weights(low, high, cells, samples, extent, bits) {
  const size = (high - low) / cells;
  const number = samples || Math.ceil(size);
  const shares = new Float64Array(cells * extent);
  const first = new Int32Array(cells).fill(extent), last = new Int32Array(cells).fill(-1);
  for (let cell = 0; cell < cells; ++cell) {
    const start = low + cell * size, from = cell * extent;
    for (let sample = 0; sample < number; ++sample) {
      let at = start + (sample + 0.5) * size / number;
      if (!(at >= -1 && at <= extent)) continue;
      at = Math.max(at, 0);
      const row = Math.min(Math.floor(at), extent - 1);
      const part = row < extent - 1 ? at - row : 0;
      const after = Math.min(row + 1, extent - 1);
      shares[from + row] += 1 - part;
      shares[from + after] += part;
      first[cell] = Math.min(first[cell], row);
      last[cell] = Math.max(last[cell], after);
    }
    for (let row = first[cell]; row <= last[cell]; ++row)
      shares[from + row] = rounded(shares[from + row] / Math.max(number, 1) * 2 ** bits);
  }
  return {shares, first, last};
}

// The cells of one box: rows first, then columns.
function cut(map, [, channels, height, width], rows, columns, cells, finish) {
  const left = Math.min(...columns.first), right = Math.max(...columns.last);
  const sums = new Float64Array(width);
  for (let channel = 0; channel < channels; ++channel) {
    const plane = channel * height * width;
    for (let y = 0; y < cells; ++y) {
      sums.fill(0, left, right + 1);
      for (let row = rows.first[y]; row <= rows.last[y]; ++row) {
        const share = rows.shares[y * height + row], from = plane + row * width;
        for (let x = left; x <= right; ++x) sums[x] += share * map[from + x];
      }
      for (let x = 0; x < cells; ++x) {
        let sum = 0;
        for (let column = columns.first[x]; column <= columns.last[x]; ++column)
          sum += columns.shares[x * width + column] * sums[column];
        finish((channel * cells + y) * cells + x, sum);
      }
    }
  }
}

/**
 * A head's integers for boxes.
 *
 * @param maps The integers of the maps.
 * @param ports What they stand for.
 * @param boxes Four numbers each, in the image.
 * @param pool {cells, samples, strides, finest}.
 * @param target The input of the head.
 */
export function pooled(maps, ports, boxes, {cells, samples, strides, finest}, target) {
  const count = boxes.length / 4, each = ports[0].shape[1] * cells * cells;
  const made = new TYPES[target.integers](count * each);
  for (let box = 0; box < count; ++box) {
    const which = level(boxes, 4 * box, finest, strides.length);
    const port = ports[which], [, , height, width] = port.shape;
    const largest = Math.max(-port.low, port.high);
    const bits = Math.floor((EXACT - (32 - Math.clz32(largest))) / 2);
    const at = (i) => boxes[4 * box + i] * (1 / strides[which]) - 0.5;
    const rows = weights(at(1), at(3), cells, samples, height, bits);
    const columns = weights(at(0), at(2), cells, samples, width, bits);
    const ratio = port.scale / target.scale / 2 ** (2 * bits);
    cut(maps[which], port.shape, rows, columns, cells, (i, sum) => {
      made[box * each + i] = clip(rounded(sum * ratio), target.low, target.high);
    });
  }
  return made;
}
