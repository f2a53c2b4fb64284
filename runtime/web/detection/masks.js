// Masks of objects, from a grid over a box to the pixels of an image.

// The cell before each pixel, from 0, the border, on; and how far it is away.
function places(low, high, pixels, cells) {
  const first = new Int32Array(pixels), away = new Float64Array(pixels);
  if (high <= low) return {first, away};
  for (let i = 0; i < pixels; ++i) {
    const at = (i + 0.5 - low) / (high - low) * cells + 0.5;
    if (!(at >= 0 && at < cells + 1)) continue;
    first[i] = Math.floor(at);
    away[i] = at - first[i];
  }
  return {first, away};
}

/**
 * Which pixels belong to an object.
 *
 * @param grid Probabilities over the box, cells by cells; the values between them are
 *     interpolated.
 * @param box (x1, y1, x2, y2).
 * @param size Height and width of the image.
 * @param threshold The least probability.
 */
export function pasted(grid, cells, box, [height, width], threshold) {
  const wide = cells + 2, bordered = new Float64Array(wide * wide);
  for (let y = 0; y < cells; ++y)
    bordered.set(grid.subarray(y * cells, (y + 1) * cells), (y + 1) * wide + 1);
  const rows = places(box[1], box[3], height, cells);
  const columns = places(box[0], box[2], width, cells);
  const made = new Int8Array(height * width);
  for (let y = 0; y < height; ++y)
    for (let x = 0; x < width; ++x) {
      const at = rows.first[y] * wide + columns.first[x];
      const right = columns.away[x], down = rows.away[y];
      const over = bordered[at] * (1 - right) + bordered[at + 1] * right;
      const under = bordered[at + wide] * (1 - right) + bordered[at + wide + 1] * right;
      made[y * width + x] = over * (1 - down) + under * down >= threshold;
    }
  return made;
}
