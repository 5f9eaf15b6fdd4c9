"use strict";
// The selected network: its architecture, and where its milliseconds, multiply-adds and parameters are.

const HEAD_LAYERS = 2;
const OP_NAMES = { stem: "stem", final_expand: "final expand", pooling: "pooling", feature_mix: "feature mix", classifier: "classifier" };

function makeNetworkView(page) {
  const draw = () => {
    const networks = compareNetworks(page);
    fill(
      "network-body",
      drawArchitecture(page.run, networks[0]),
      element("h3", {}, "Where its time, multiply-adds and parameters are"),
      element("p.hint", {}, `The parts of a bar add up to its total. Point at a part to read it; the colours are those of the stages above.${describeHatching(page.run)}`),
      element("div.bars", {}, ...listQuantities(page.run).map((quantity) => drawBars(quantity, networks))),
      element("details", {}, element("summary", {}, "Layer by layer"), tabulateLayers(page.run, networks[0])),
    );
  };
  page.listen(draw);
  draw();
}

function describeHatching(run) {
  const lowered = Object.values(run.constants_ms).some((ms) => ms < 0);
  return lowered ? " The hatched end is what the correction of the latency table takes off every network." : "";
}

/** Returns the selected network, the one selected before it and the largest of the space, with their parts. */
function compareNetworks(page) {
  const { run } = page;
  const networks = [describeNetwork(run, run.architectures.layers[page.place], `selected: row ${run.architectures.row[page.place]}`)];
  networks[0].architecture = run.architectures.architecture[page.place];
  if (page.previous) {
    const [index, place] = page.previous;
    const other = page.document.runs[index];
    const name = page.several ? `before: row ${other.architectures.row[place]} of ${other.name}` : `before: row ${other.architectures.row[place]}`;
    networks.push(describeNetwork(other, other.architectures.layers[place], name, other.architectures.architecture[place]));
  }
  networks.push(describeNetwork(run, run.largest.layers, "largest of the space", run.largest.architecture));
  return networks;
}

/** Returns a network's layers with name, stage and costs. Stage null is what every network has: stem and tail. */
function describeNetwork(run, indices, name, architecture) {
  const shape = architecture ?? run.architectures.architecture[run.architectures.layers.indexOf(indices)];
  const stages = [null, null, ...shape.d.flatMap((depth, stage) => Array(depth).fill(stage))];
  let block = 0;
  const layers = indices.map((index, at) => {
    const layer = run.layers[index];
    const called = layer.op === "block" ? `block ${block++}` : OP_NAMES[layer.op];
    return { ...layer, name: called, stage: stages[at] ?? null };
  });
  return { run, name, layers, architecture: shape };
}

function drawArchitecture(run, network) {
  const { layers, architecture } = network;
  const widest = Math.max(...layers.map((layer) => Math.max(layer.mid_channels, layer.out_channels)));
  const column = (title, size, slots, own) =>
    element(
      "li",
      {},
      element("h4", {}, title),
      element("div.size", {}, size),
      ...own.map((layer) => drawBlock(layer, widest)),
      ...Array(Math.max(0, slots - own.length)).fill().map(() => element("div.block.skipped", {}, element("div.label", {}, "skipped"))),
    );
  const size = (own) => (own.length ? `${own[0].in_size} × ${own[0].in_size} → ${own.at(-1).out_size} × ${own.at(-1).out_size}` : "");
  const head = layers.slice(0, HEAD_LAYERS);
  const tail = layers.slice(HEAD_LAYERS + architecture.d.reduce((a, b) => a + b, 0));
  const stages = run.space.stages.map((slots, stage) => {
    const own = layers.filter((layer) => layer.stage === stage);
    return column(`stage ${stage + 1}`, size(own), slots, own);
  });
  const described = `Input of ${architecture.r} × ${architecture.r} pixels, width ${architecture.w}; ${architecture.d.join(" + ")} blocks in its stages.`;
  return element(
    "div",
    {},
    element("p", {}, described),
    element("p.hint", {}, "A bar is as wide as a block's channels: pale inside the block, dark at its output. It is as high as its kernel. A label names the kernel, the expand ratio e and the output channels."),
    element("ol.stages", { "aria-label": "Stages" }, column("start", size(head), 0, head), ...stages, column("end", size(tail), 0, tail)),
  );
}

function drawBlock(layer, widest) {
  const inside = Math.max(layer.mid_channels, layer.out_channels);
  const made = element("div.block", { title: describeLayer(layer) });
  const bar = element("div.channels", {}, element("div.output"));
  bar.style.width = `${(100 * inside) / widest}%`;
  bar.style.height = `${4 + 3 * layer.kernel}px`;
  bar.firstChild.style.width = `${(100 * layer.out_channels) / inside}%`;
  bar.style.setProperty("--part", partColor(layer));
  made.append(element("div.label", {}, labelLayer(layer)), bar);
  return made;
}

function labelLayer(layer) {
  const kernel = `${layer.kernel}×${layer.kernel}`;
  if (layer.op !== "block") return layer.op === "pooling" ? "pooling" : `${OP_NAMES[layer.op]} ${layer.op === "stem" ? kernel : ""} → ${layer.out_channels}`;
  const expand = layer.mid_channels / layer.in_channels;
  return `${kernel}, e ${formatNumber(expand, 2)} → ${layer.out_channels}`;
}

function describeLayer(layer) {
  const parts = [`${layer.name}: ${layer.in_size} × ${layer.in_size} pixels, ${layer.in_channels} → ${layer.out_channels} channels`];
  if (layer.op === "block") parts.push(`${layer.mid_channels} inside`, `kernel ${layer.kernel}`);
  if (layer.stride > 1) parts.push(`stride ${layer.stride}`);
  if (layer.se) parts.push("squeeze-and-excitation");
  if (layer.skip) parts.push("skip connection");
  return parts.join(", ");
}

function partColor(layer) {
  return layer.stage === null ? "var(--muted)" : `var(--part-${layer.stage % 7})`;
}

/** Returns what is drawn by layer: latency on each device, multiply-adds and parameters. */
function listQuantities(run) {
  const latencies = run.tables.map((table) => ({
    axis: findAxis(run, `latency:${table.device}`),
    table,
    of: (layer) => layer.latency_ms[table.device],
    constant: (network) => network.run.constants_ms[table.device],
  }));
  const counts = ["madds", "params"].map((name) => ({ axis: findAxis(run, name), of: (layer) => layer[name], constant: () => 0 }));
  return [...latencies, ...counts];
}

/** Returns the parts of a network in one quantity: its layers, and what the correction of the table adds to any network. */
function listParts(quantity, network) {
  const parts = network.layers.map((layer) => ({ layer, name: layer.name, value: quantity.of(layer) }));
  const constant = quantity.constant(network);
  return constant ? [...parts, { layer: { stage: null }, name: "correction of the table", value: constant }] : parts;
}

function drawBars(quantity, networks) {
  const known = networks.filter((network) => quantity.of(network.layers[0]) !== undefined);
  const most = Math.max(...known.map((network) => sum(listParts(quantity, network).map((part) => Math.max(0, part.value)))));
  const readout = element("p.readout", { role: "status" }, " ");
  const drawn = known.map((network) => drawBar(quantity, network, most, readout));
  const heading = element("h4", {}, quantity.axis.label, quantity.table ? " " : null, quantity.table ? makeProvenance(quantity.table) : null);
  return element("div", {}, heading, ...drawn, readout);
}

/** Returns the bar of a network. What the correction of a table takes off every network is hatched at its end. */
function drawBar(quantity, network, most, readout) {
  const parts = listParts(quantity, network);
  const total = sum(parts.map((part) => part.value));
  const bar = element(quantity.axis.estimated ? "div.bar.estimated" : "div.bar", { role: "img", "aria-label": `${network.name}: ${formatOn(quantity.axis, total)}` });
  for (const part of parts) {
    const text = `${network.name}, ${part.name}: ${formatOn(quantity.axis, part.value)}, ${formatNumber((100 * part.value) / total, 2)} % of ${formatOn(quantity.axis, total)}`;
    const made = element("span", { title: text, onpointerenter: () => (readout.textContent = text) });
    made.style.width = `${(100 * Math.abs(part.value)) / most}%`;
    if (part.value < 0) {
      made.classList.add("off");
      made.style.marginLeft = `-${made.style.width}`;
    } else made.style.background = partColor(part.layer);
    bar.append(made);
  }
  const label = element("div.label", {}, element("span", {}, network.name), element("b", {}, formatOn(quantity.axis, total)));
  return element("div.bar-row", {}, label, bar);
}

function tabulateLayers(run, network) {
  const quantities = listQuantities(run);
  const heads = ["layer", "stage", "input", "channels", "inside", "kernel", ...quantities.map(({ axis }) => nameAxis(axis))];
  const totals = new Map(quantities.map((quantity) => [quantity, sum(listParts(quantity, network).map((part) => part.value))]));
  const cell = (quantity, value) => (value * quantity.axis.factor).toFixed(decimalsFor(totals.get(quantity) * quantity.axis.factor));
  const rows = network.layers.map((layer) => [
    layer.name,
    layer.stage === null ? "–" : String(layer.stage + 1),
    `${layer.in_size}${JOINED}×${JOINED}${layer.in_size}`,
    `${layer.in_channels}${JOINED}→${JOINED}${layer.out_channels}`,
    layer.mid_channels ? String(layer.mid_channels) : "–",
    String(layer.kernel),
    ...quantities.map((quantity) => cell(quantity, quantity.of(layer))),
  ]);
  const blank = ["", "", "", "", ""];
  if (quantities.some((quantity) => quantity.constant(network))) {
    rows.push(["correction of the table", ...blank, ...quantities.map((quantity) => cell(quantity, quantity.constant(network)))]);
  }
  rows.push(["total", ...blank, ...quantities.map((quantity) => cell(quantity, totals.get(quantity)))]);
  return makeTable(`Layers of the network, ${network.name}`, heads, rows);
}
