'use strict';
// Charts drawn by Observable Plot, again whenever the width of the page changes.
const page = JSON.parse(document.getElementById('data').textContent);
const COLOURS = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => `var(--c${i})`);
const drawings = new Map();

// A chart in the element of this id, if the page has it. `options` makes those of
// Plot.plot for a width; `words` says in a sentence what is to be seen.
function chart(id, words, options) {
  const place = document.getElementById(id);
  if (!place) return;
  const draw = () => {
    const width = Math.max(280, Math.min(1150, place.clientWidth || 800));
    const made = Plot.plot({
      width,
      marginBottom: 40,
      style: {background: 'transparent', color: 'var(--ink)', fontSize: '12px'},
      ...options(width),
    });
    const drawing = made.tagName === 'svg' ? made : made.querySelector('svg:last-of-type');
    drawing.setAttribute('role', 'img');
    drawing.setAttribute('aria-label', `${place.dataset.name}. ${words}`);
    place.replaceChildren(made);
  };
  drawings.set(id, draw);
  draw();
}

let pending = 0;
let widest = document.body.clientWidth;
addEventListener('resize', () => {
  if (document.body.clientWidth === widest) return;
  widest = document.body.clientWidth;
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(() => drawings.forEach((draw) => draw()));
});

const TITLES = {gelu: 'GELU', softmax: 'Softmax', layer_norm: 'LayerNorm'};
const title = (kind) => TITLES[kind] || kind;
const link = (site) => `#site=${encodeURIComponent(site)}`;
const known = (rows, key) => rows.filter((r) => r[key] !== null && r[key] !== undefined);
const least = (rows, key) => d3.least(known(rows, key), (r) => r[key]);
const db = (x) => (x === null || x === undefined ? '–' : `${x.toFixed(1)} dB`);

// A legend of our own: Plot's is a second svg, which readers of screens meet without
// a name.
function legend(id, names) {
  const place = document.getElementById(id);
  if (!place || names.length < 2) return;
  const list = document.createElement('ul');
  list.className = 'legend';
  names.forEach((name, i) => {
    const item = document.createElement('li');
    const mark = document.createElement('span');
    mark.style.background = COLOURS[i % COLOURS.length];
    item.append(mark, name);
    list.append(item);
  });
  place.before(list);
}

const palette = (names) => ({
  domain: names,
  range: names.map((_, i) => COLOURS[i % COLOURS.length]),
});

// Marks at places 0, 1, 2, ... of layers, in the order of execution.
const layers = (count) => ({
  label: 'layer, in the order of execution →', labelOffset: 34, domain: [-0.7, count - 0.3], ticks: 8,
  tickFormat: (i) => (Number.isInteger(i) && i >= 0 && i < count ? `${i}` : ''),
});
