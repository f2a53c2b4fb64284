'use strict';
// Several runs, a line for each.
const runs = page.names;
const series = (key, rows) => rows.flatMap((s, i) =>
  s[key].map((y, n) => ({i, y, run: runs[n], site: s.name})).filter((d) => d.y !== null));

function lines(id, rows, key, label, unit) {
  const shown = series(key, rows);
  if (!shown.length) return;
  legend(id, runs);
  const means = runs.map((r) => `${r} ${d3.mean(shown.filter((d) => d.run === r), (d) => d.y)?.toFixed(1) ?? '–'}`);
  chart(id, `Mean in ${unit}: ${means.join(', ')}.`, () => ({
    height: 240, marginLeft: 45, x: layers(rows.length), y: {label, grid: true}, color: palette(runs),
    marks: [
      Plot.ruleY([0]),
      Plot.lineY(shown, {x: 'i', y: 'y', z: 'run', stroke: 'run', marker: 'dot'}),
      Plot.tip(shown, Plot.pointer({x: 'i', y: 'y', fill: 'var(--raised)', title: (d) => `${d.site}\n${d.run}: ${d.y.toFixed(2)} ${unit}`})),
    ],
  }));
}
lines('levels', page.sites, 'sqnr_db', '↑ SQNR, dB', 'dB');
for (const kind of ['layer_norm', 'softmax', 'gelu']) {
  lines(`lost-${kind}`, page.sites.filter((s) => s.kind === kind), 'lost_db', '↑ SQNR of input − output, dB', 'dB');
}
