// Pictures to the bytes that a model takes.

/** Draws a picture, scaled to cover a canvas, its middle. */
export function draw(canvas, picture) {
  const {width, height} = canvas;
  const scale = Math.max(width / picture.width, height / picture.height);
  const wide = picture.width * scale, high = picture.height * scale;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high);
}

/** The bytes of a canvas for an input: planes, in its order of channels. */
export function pixels(canvas, port) {
  const {width, height} = canvas;
  const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
  const channels = port.shape[1], plane = width * height;
  const made = new Uint8Array(channels * plane);
  for (let c = 0; c < channels; ++c) {
    const from = channels === 3 && port.order === 'BGR' ? 2 - c : c;
    for (let i = 0; i < plane; ++i) made[c * plane + i] = data[4 * i + from];
  }
  return made;
}
