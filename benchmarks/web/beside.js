// The runtime and onnxruntime-web in turn, on one thread; in browsers and in node.

function filled(elements) {
  const made = new Uint8Array(elements);
  for (let i = 0, x = 1; i < elements; ++i) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    made[i] = x >>> 24;
  }
  return made;
}

async function session(ort, bytes) {
  const made = await ort.InferenceSession.create(bytes, {executionProviders: ['wasm']});
  const shape = [1, 3, 224, 224];
  const image = Float32Array.from(filled(3 * 224 * 224), (x) => (x - 127.5) / 64);
  const feeds = {[made.inputNames[0]]: new ort.Tensor('float32', image, shape)};
  return () => made.run(feeds);
}

/** Returns milliseconds of each round by name; `clock` gives them, else the wall's. */
export async function beside({ort, load, variants, files, rounds, clock}) {
  const now = clock ?? (() => performance.now());
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const runs = {};
  for (const variant of variants) {
    const model = (await load({variant})).open(files.iptq);
    const image = filled(model.inputs[0].elements);
    runs[variant] = () => model.predict([image]);
  }
  runs['ort float32'] = await session(ort, files.floats);
  runs['ort int8'] = await session(ort, files.int8);
  const times = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  for (let round = -3; round < rounds; ++round)
    for (const [name, run] of Object.entries(runs)) {
      const start = now();
      await run();
      if (round >= 0) times[name].push(now() - start);
    }
  return times;
}
