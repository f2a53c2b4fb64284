'use strict';
// The report of one run: its charts, and the details of the layer that is selected.
const sites = page.sites;
const place = new Map(sites.map((s, i) => [s.name, i]));
const kinds = Array.from(new Set(sites.map((s) => s.kind)));
const nonlinear = ['layer_norm', 'softmax', 'gelu'].filter((k) => kinds.includes(k));

const measured = known(sites, 'sqnr_db');
if (measured.length) {
  const worst = least(sites, 'sqnr_db');
  legend('strip', kinds);
  chart('strip', `Lowest: ${worst.name} with ${db(worst.sqnr_db)}.`, (width) => ({
    width, height: 260, marginLeft: 45,
    x: layers(sites.length), y: {label: '↑ SQNR at the output, dB', grid: true, zero: true},
    color: palette(kinds),
    marks: [
      Plot.ruleX(measured, {x: (s) => place.get(s.name), y: 'sqnr_db', stroke: 'kind',
        strokeWidth: Math.max(1.5, (0.6 * width) / sites.length),
        href: (s) => link(s.name), ariaLabel: (s) => `${s.name}: ${db(s.sqnr_db)}`}),
      Plot.ruleY([0]),
      Plot.tip(measured, Plot.pointerX({x: (s) => place.get(s.name), y: 'sqnr_db', fill: 'var(--raised)',
        title: (s) => `${s.name}\n${s.kind} ${s.function}\nSQNR ${db(s.sqnr_db)}, of its input ${db(s.input_sqnr_db)}\nclipped ${(100 * s.clipped).toFixed(4)} %`})),
    ],
  }));
}

// The candidates of each kind, as the analysis measured them; a ring is the choice.
for (const kind of nonlinear) {
  const own = sites.filter((s) => s.kind === kind);
  const tried = own.flatMap((s, i) =>
    known(s.candidates || [], 'sqnr_db').map((c) => ({...c, i, site: s.name})));
  const names = Array.from(new Set(tried.map((c) => c.name))).sort();
  if (tried.length) {
    legend(`candidates-${kind}`, names);
    const chosen = d3.rollups(tried.filter((c) => c.chosen), (v) => v.length, (c) => c.name);
    chart(`candidates-${kind}`, `Chosen: ${chosen.map(([n, k]) => `${n} ${k} times`).join(', ')}.`, () => ({
      height: 220, marginLeft: 45, x: layers(own.length), y: {label: '↑ SQNR, dB', grid: true},
      color: palette(names),
      marks: [
        Plot.lineY(tried, {x: 'i', y: 'sqnr_db', z: 'name', stroke: 'name', strokeOpacity: 0.6}),
        Plot.dot(tried, {x: 'i', y: 'sqnr_db', fill: 'name', r: 2.5}),
        Plot.dot(tried.filter((c) => c.chosen), {x: 'i', y: 'sqnr_db', stroke: 'name', r: 6, strokeWidth: 2, href: (c) => link(c.site),
          ariaLabel: (c) => `${c.site}: ${c.name}, ${db(c.sqnr_db)}, chosen`}),
        Plot.tip(tried, Plot.pointer({x: 'i', y: 'sqnr_db', fill: 'var(--raised)',
          title: (c) => `${c.site}\n${c.name}${c.chosen ? ' (chosen)' : ''}\nSQNR ${db(c.sqnr_db)}`})),
      ],
    }));
  }
  const seen = own.map((s, i) => ({...s, i})).filter((s) => s.sqnr_db !== null);
  if (!seen.length) continue;
  const most = d3.greatest(seen, (s) => s.lost_db);
  const number = kinds.indexOf(kind);
  chart(`lost-${kind}`, `Largest: ${most.name} with ${db(most.lost_db)}.`, () => ({
    height: 200, marginLeft: 45, x: layers(own.length), y: {label: '↑ SQNR of input − output, dB', grid: true},
    marks: [
      Plot.ruleX(seen, {x: 'i', y: 'lost_db', stroke: COLOURS[number], strokeWidth: 5, href: (s) => link(s.name), ariaLabel: (s) => `${s.name}: ${db(s.lost_db)}`}),
      Plot.ruleY([0]),
      Plot.tip(seen, Plot.pointerX({x: 'i', y: 'lost_db', fill: 'var(--raised)', title: (s) => `${s.name}\nloses ${db(s.lost_db)}`})),
    ],
  }));
  const lowest = least(seen, 'sqnr_db');
  chart(`level-${kind}`, `Lowest: ${lowest.name} with ${db(lowest.sqnr_db)}.`, () => ({
    height: 200, marginLeft: 45, x: layers(own.length), y: {label: '↑ SQNR, dB', grid: true},
    marks: [
      Plot.lineY(seen, {x: 'i', y: 'input_sqnr_db', stroke: 'var(--soft)', strokeDasharray: '4 3'}),
      Plot.lineY(seen, {x: 'i', y: 'sqnr_db', stroke: COLOURS[number], marker: 'dot'}),
      Plot.tip(seen, Plot.pointerX({x: 'i', y: 'sqnr_db', fill: 'var(--raised)', title: (s) => `${s.name}\nSQNR ${db(s.sqnr_db)}, of its input ${db(s.input_sqnr_db)}`})),
    ],
  }));
}

const spent = Object.entries(page.seconds).map(([phase, seconds]) => ({phase, seconds}));
const all = d3.sum(spent, (s) => s.seconds);
chart('seconds', spent.map((s) => `${s.phase} ${s.seconds} seconds`).join(', ') + '.', () => ({
  height: 26 * spent.length + 40, marginLeft: 95, marginRight: 85,
  x: {label: 'seconds →', grid: true}, y: {label: null, domain: spent.map((s) => s.phase)},
  marks: [
    Plot.barX(spent, {x: 'seconds', y: 'phase', fill: 'var(--c0)'}),
    Plot.text(spent, {x: 'seconds', y: 'phase', dx: 4, textAnchor: 'start', fill: 'var(--ink)',
      text: (s) => `${s.seconds} (${Math.round((100 * s.seconds) / (all || 1))} %)`}),
  ],
}));

const alone = page.alone;
if (alone.length) {
  const parts = Array.from(new Set(alone.flatMap((s) => Object.keys(s.parts))));
  const errors = parts.length
    ? alone.flatMap((s) => parts.map((part) => ({...s, part, error: s.parts[part]?.error ?? 0})))
    : alone.map((s) => ({...s, part: 'all of it'}));
  const named = parts.length ? parts : ['all of it'];
  const worst = d3.greatest(alone, (s) => s.error);
  legend('alone-chart', named);
  chart('alone-chart', `Largest: ${worst.name}, which alone leaves ${db(worst.db)}.`, (width) => ({
    height: 240, marginLeft: 60, x: layers(sites.length), y: {label: '↑ error of the outputs', grid: true}, color: palette(named),
    marks: [
      Plot.rectY(errors, Plot.stackY({x1: (s) => s.place - 0.35, x2: (s) => s.place + 0.35, y: 'error', fill: 'part',
        href: (s) => link(s.name), ariaLabel: (s) => `${s.name}, ${s.part}`, title: (s) => `${s.name}\n${s.part}: ${s.error.toPrecision(3)}`})),
      Plot.ruleY([0]),
    ],
  }));
}

const timed = page.steps.map((s) => ({...s, kind: s.kinds[0] || 'moves'}));
if (timed.length) {
  const named = Array.from(new Set(timed.map((s) => s.kind)));
  const slowest = d3.greatest(timed, (s) => s.seconds);
  const words = (s) => `${s.sites.join(', ') || s.command}: ${(1000 * s.seconds).toPrecision(3)} ms, ${(100 * s.share).toFixed(1)} % of the time${s.peak === null ? '' : `, ${(100 * s.peak).toFixed(0)} % of the peak`}`;
  legend('steps', named);
  chart('steps', `Longest: ${words(slowest)}.`, (width) => ({
    height: 220, marginLeft: 45, x: {...layers(timed.length), label: 'step, in the order of execution →'}, y: {label: '↑ ms', grid: true},
    color: palette(named),
    marks: [
      Plot.ruleX(timed, {x: 'number', y: (s) => 1000 * s.seconds, stroke: 'kind', strokeWidth: Math.max(1.5, (0.6 * width) / timed.length),
        href: (s) => (s.sites.length ? link(s.sites[0]) : null), ariaLabel: words}),
      Plot.ruleY([0]),
      Plot.tip(timed, Plot.pointerX({x: 'number', y: (s) => 1000 * s.seconds, fill: 'var(--raised)', title: words})),
    ],
  }));
}

// Counts of equal bins as rectangles.
const bins = (h, counts) => counts.map((n, i) => {
  const width = (h.high - h.low) / counts.length || 1;
  return {x1: h.low + i * width, x2: h.low + (i + 1) * width, n};
}).filter((b) => b.n > 0);

function drawDetail(site) {
  drawings.delete('calibrated');
  drawings.delete('seen');
  const c = site.calibrated;
  if (c) {
    const ends = [site.range.low, site.range.high];
    chart('calibrated', `Values from ${c.low.toPrecision(3)} to ${c.high.toPrecision(3)}, range from ${ends[0].toPrecision(3)} to ${ends[1].toPrecision(3)}.`, () => ({
      height: 210, marginLeft: 55, x: {label: 'value →'}, y: {type: 'log', label: '↑ values', grid: true, tickFormat: '~s', ticks: 4},
      marks: [
        Plot.rect(bins(c, c.counts), {x1: 'x1', x2: 'x2', y1: 0.8, y2: 'n', fill: 'var(--c0)', fillOpacity: 0.65}),
        Plot.ruleX(ends, {stroke: 'var(--c1)', strokeWidth: 2, strokeDasharray: '5 3'}),
      ],
    }));
  }
  const s = site.seen;
  if (s && s.float) {
    chart('seen', `SQNR ${db(site.sqnr_db)}.`, () => ({
      height: 210, marginLeft: 55, x: {label: 'value →'}, y: {type: 'log', label: '↑ values', grid: true, tickFormat: '~s', ticks: 4},
      marks: [
        Plot.rect(bins(s, s.float), {x1: 'x1', x2: 'x2', y1: 0.8, y2: 'n', fill: 'var(--c0)', fillOpacity: 0.45}),
        Plot.rect(bins(s, s.integer), {x1: 'x1', x2: 'x2', y1: 0.8, y2: 'n', fill: 'none', stroke: 'var(--c1)', strokeWidth: 1.2}),
      ],
    }));
  }
}

const detail = document.getElementById('detail');
function select() {
  const name = decodeURIComponent(location.hash.replace(/^#site=/, ''));
  const site = location.hash.startsWith('#site=') ? sites[place.get(name)] : null;
  document.querySelectorAll('#sites tr').forEach((row) =>
    row.classList.toggle('selected', !!site && row.dataset.site === site.name));
  if (!site) return;
  const text = (tag, content, parent) => {
    const element = document.createElement(tag);
    element.textContent = content;
    parent.append(element);
    return element;
  };
  detail.replaceChildren();
  text('h3', site.name, detail).id = 'detail-name';
  const list = text('ul', '', detail);
  const q = site.range;
  text('li', `${site.kind}${site.function ? `, computed by ${site.function}` : ''}`, list);
  text('li', `output: ${q.bits} bits${q.levels ? ` (${q.levels} levels)` : ''}, ${q.low.toPrecision(4)} to ${q.high.toPrecision(4)} in steps of ${q.scale.toPrecision(4)}`, list);
  Object.entries(site.takes).forEach(([i, t]) =>
    text('li', `operand ${i} is requantized to ${t.bits} bits, ${t.low.toPrecision(4)} to ${t.high.toPrecision(4)}`, list));
  if (site.weight) text('li', `weight ${site.weight.name}: ${site.weight.bits} bits${site.weight.group ? `, a factor for each ${site.weight.group} inputs` : ''}`, list);
  page.steps.filter((s) => s.sites.includes(site.name)).forEach((s) =>
    text('li', `native: ${(1000 * s.seconds).toPrecision(3)} ms${s.sites.length > 1 ? ` together with ${s.sites.filter((n) => n !== site.name).join(', ')}` : ''}, ${(100 * s.share).toFixed(1)} % of the program${s.peak === null ? '' : `, ${(100 * s.peak).toFixed(0)} % of the machine’s peak`}`, list));
  if (site.sqnr_db !== null) text('li', `SQNR at the output ${db(site.sqnr_db)}, at the input ${db(site.input_sqnr_db)}: the site loses ${db(site.lost_db)}`, list);
  text('li', site.clips.length ? `clipped in the evaluation: ${site.clips.map((c) => `${(100 * c.share).toFixed(4)} % by up to ${Math.max(...c.farthest)} steps of a range of ${c.width}`).join('; ')}` : 'nothing was clipped where the evaluation counted', list);
  site.left.forEach((clause) => text('li', `left its calibration: ${clause}`, list));
  const pair = text('div', '', detail);
  pair.className = 'pair';
  const figure = (id, name, caption) => {
    const made = text('figure', '', pair);
    const box = text('div', '', made);
    box.className = 'chart';
    box.id = id;
    box.dataset.name = name;
    text('figcaption', caption, made);
  };
  if (site.calibrated) figure('calibrated', 'What calibration saw, and the range', `Calibration: ${site.calibrated.count} values in ${site.calibrated.counts.length} bins (logarithmic), and the ends of the range (dashed).`);
  if (site.seen && site.seen.float) figure('seen', 'Float and integer output', 'The output on the images of the report: float (filled) and integer (outline).');
  const tried = site.candidates || [];
  if (tried.length) {
    const scroll = text('div', '', detail);
    scroll.className = 'scroll';
    const table = text('table', '', scroll);
    text('caption', page.criterion ? `Candidates. The score of the criterion '${page.criterion}' decides: the highest one wins, and of those as good the cheapest.` : 'Candidates', table);
    const head = text('tr', '', text('thead', '', table));
    ['function', 'SQNR, dB (plotted)', 'score (decides)', 'error of the region’s outputs', 'operations by element'].forEach((h) => { text('th', h, head).scope = 'col'; });
    const body = text('tbody', '', table);
    const shown = (x) => (x === null || x === undefined ? '–' : `${Number.isInteger(x) ? x : +x.toPrecision(5)}`);
    tried.forEach((c) => {
      const row = text('tr', '', body);
      if (c.chosen) row.className = 'selected';
      text('td', c.name + (c.chosen ? ' (chosen)' : ''), row);
      if (c.refused) text('td', `cannot be used: ${c.refused}`, row).colSpan = 4;
      else [c.sqnr_db, c.score, c.output_error, c.cost].forEach((x) => { text('td', shown(x), row).className = 'number'; });
    });
  }
  detail.hidden = false;
  drawDetail(site);
  detail.focus({preventScroll: true});
  detail.scrollIntoView();
}
addEventListener('hashchange', select);
select();
