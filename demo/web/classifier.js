// A classifier: its five best classes.

/** Opens a classifier; page.js says what it needs of a model. */
export async function open(runtime, about, bytes) {
  const model = runtime.open(await bytes(about.file));
  return {
    input: model.inputs[0],
    run: (given) => model.predict([given])[0],
    close: () => model.close(),
    numbers: (given) => ({
      arrays: model.predict([given], {integers: true}),
      described: model.outputs,
    }),
    found(values) {
      const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
      const best = values[order[0]];
      const total = values.reduce((sum, x) => sum + Math.exp(x - best), 0);
      return order.slice(0, 5).map((label) => ({
        label, score: Math.exp(values[label] - best) / total,
      }));
    },
  };
}
