"use strict";
// How far the figures can be trusted.

function makeEvidenceView(page) {
  const draw = () => {
    const { run } = page;
    fill(
      "trust-body",
      page.several ? element("p.note", {}, run.name) : null,
      tabulateChoices(run),
      tabulateTables(run),
      element("div.charts", {}, ...listEvidence(run).map(({ id, title, text }) =>
        element("figure", {}, element("figcaption", {}, title), makeChartPlace(id), element("p.hint", {}, text)))),
      run.progress.length ? tabulateProgress(run) : null,
    );
    for (const { id, title, make } of listEvidence(run)) drawChart(id, title, make);
  };
  page.listen((changed) => changed && draw());
  draw();
}

/** Returns the charts that a run has data for. */
function listEvidence(run) {
  const charts = run.tables
    .filter((table) => run.measured.some((event) => event.device === table.device))
    .map((table, at) => ({
      id: `measured-${at}`,
      title: `Predicted and measured latency on ${table.device}`,
      text: "Every network of the archive that was run. On the line, the prediction is right. Measured latencies are levelled: corrected for the speed of the device while they were measured.",
      make: () => chartMeasured(run, table),
    }));
  if (run.predictions.length) {
    charts.push({
      id: "predictor",
      title: "Predicted and evaluated top-1, by iteration",
      text: "Each candidate was predicted before it was evaluated on validation images.",
      make: () => chartPredictor(run),
    });
  }
  if (run.progress.length > 1) {
    charts.push({
      id: "hypervolume",
      title: "Hypervolume by iteration",
      text: `The volume that the archive dominates, relative to the box between the reference point (${describeReference(run)}) and the best values of the first archive.`,
      make: () => chartHypervolume(run),
    });
  }
  return charts;
}

function describeReference(run) {
  return Object.entries(run.reference ?? {}).map(([name, value]) => {
    const axis = findAxis(run, name);
    return axis ? `${axis.label} ${formatOn(axis, value)}` : `${name} ${formatTop1(value)}`;
  }).join(", ");
}

function chartMeasured(run, table) {
  const events = run.measured.filter((event) => event.device === table.device);
  const predicted = events.map((event) => run.architectures.columns[`latency:${table.device}`][event.place]);
  const measured = events.map((event) => event.ms);
  const ends = [0.95 * Math.min(...predicted, ...measured), 1.05 * Math.max(...predicted, ...measured)];
  const line = (name, factor, dash) => ({
    type: "scatter", mode: "lines", name, x: ends, y: ends.map((ms) => factor * ms), line: { color: color("muted"), dash, width: 1.5 }, hoverinfo: "skip",
  });
  const bound = table.correction ? [line(`upper bound, ${formatNumber(100 * table.correction.coverage, 2)} % of networks`, table.upper_ratio, "dash")] : [];
  const text = events.map((event, at) => plain(`Row ${run.architectures.row[event.place]}: predicted ${formatMs(predicted[at])}, measured ${formatMs(event.ms)}${describeLevel(event)}`));
  const points = { type: "scatter", mode: "markers", name: "networks", x: predicted, y: measured, text, hovertemplate: "%{text}<extra></extra>", marker: { size: 11, color: color("series-0"), symbol: table.estimated ? "circle-open" : "circle" } };
  const axis = findAxis(run, `latency:${table.device}`);
  return { traces: [line("prediction is right", 1, "solid"), ...bound, points], layout: { xaxis: baseAxis(nameAxis(axis)), yaxis: baseAxis("measured latency (ms)") } };
}

function describeLevel(event) {
  if (event.level === null) return ", not levelled";
  return ` (ran ${formatMs(event.raw_ms)}, at ${event.level.toFixed(2)} of the speed when the table was made)`;
}

function chartPredictor(run) {
  const symbols = ["circle", "square", "diamond", "cross", "triangle-up", "x"];
  const traces = run.predictions.map(({ iteration, predicted, evaluated }, at) => ({
    type: "scatter",
    mode: "markers",
    name: `iteration ${iteration}`,
    x: predicted.map((top1) => 100 * top1),
    y: evaluated.map((top1) => 100 * top1),
    marker: { size: 8, color: runColor(at), symbol: symbols[Math.floor(at / 6) % symbols.length] },
    hovertemplate: "predicted %{x:.2f} %, evaluated %{y:.2f} %<extra></extra>",
  }));
  const all = traces.flatMap((trace) => [...trace.x, ...trace.y]);
  const ends = [Math.min(...all), Math.max(...all)];
  const line = { type: "scatter", mode: "lines", name: "prediction is right", x: ends, y: ends, line: { color: color("muted"), width: 1.5 }, hoverinfo: "skip" };
  return { traces: [line, ...traces], layout: { xaxis: baseAxis("predicted top-1 (%)"), yaxis: baseAxis("evaluated top-1 (%)") } };
}

function chartHypervolume(run) {
  const x = run.progress.map((event) => event.iteration);
  const curve = { type: "scatter", mode: "lines+markers", name: "hypervolume", x, y: run.progress.map((event) => event.hypervolume), line: { color: color("series-0") }, hovertemplate: "iteration %{x}: %{y:.4f}<extra></extra>" };
  return { traces: [curve], layout: { showlegend: false, xaxis: baseAxis("iteration", { dtick: Math.ceil(x.length / 10), range: [0.5, x.length + 0.5] }), yaxis: baseAxis("hypervolume") } };
}

function tabulateChoices(run) {
  const { images } = run;
  const heads = ["choice", "file", "top-1 on test", "95 % interval", "top-1 on validation", ...run.tables.flatMap(({ device }) => [`predicted on ${device}`, `upper bound on ${device}`, `measured on ${device}`])];
  const rows = run.choices.map((choice) => [
    describeTarget(run, choice) || "no limit",
    choice.file,
    choice.top1_source === "test" ? formatTop1(choice.top1) : `${formatTop1(choice.top1)}, ${choice.top1_source}`,
    choice.top1_interval ? formatInterval(findAxis(run, "top1"), choice.top1_interval) : "–",
    formatTop1(choice.validation_top1),
    ...run.tables.flatMap(({ device }) => {
      const latency = choice.latency_ms[device];
      const mark = latency.provenance === "estimated" ? "~" : "";
      return [mark + formatMs(latency.predicted), latency.upper === null ? "–" : mark + formatMs(latency.upper), formatMs(latency.measured)];
    }),
  ]);
  const counts = images ? `Choices: ${images.test.toLocaleString("en")} test images of ${images.dataset}, ${images.validation.toLocaleString("en")} validation images` : "Choices";
  return makeTable(counts, heads, rows);
}

function tabulateTables(run) {
  if (!run.tables.length) return element("p", {}, "No latency table was used: latency was no objective of this run.");
  const heads = ["device", "provenance", "runtime", "made", "rows", "networks checked", "mean error", "largest error", "Kendall tau", "upper bound"];
  const percent = (value) => (value === null || value === undefined ? "–" : `${formatFigure(value)} %`);
  const rows = run.tables.map((table) => [
    table.device,
    makeProvenance(table),
    `${table.runtime} ${table.runtime_version ?? ""} ${table.precision}, batch ${table.batch}, ${table.threads} thread${table.threads === 1 ? "" : "s"}`,
    `${table.created.slice(0, 10) || "–"}, ${table.method}`,
    String(table.rows),
    table.validation ? String(table.validation.networks) : "–",
    percent(table.validation?.mape_percent),
    percent(table.validation?.max_error_percent),
    formatFigure(table.validation?.kendall_tau),
    table.correction ? `+${formatNumber(100 * (table.upper_ratio - 1))} %, holds for ${formatNumber(100 * table.correction.coverage, 2)} %` : "none",
  ]);
  return makeTable("Latency tables", heads, rows);
}

function tabulateProgress(run) {
  const heads = ["iteration", "best top-1", "hypervolume", "predictor", "RMSE", "Spearman", "Kendall tau"];
  const rows = run.progress.map((event) => [
    String(event.iteration),
    formatTop1(event.best_top1),
    formatFigure(event.hypervolume),
    event.predictor ?? "–",
    event.rmse === null ? "–" : `${formatNumber(100 * event.rmse)} points`,
    formatFigure(event.spearman),
    formatFigure(event.kendall),
  ]);
  return makeTable("Iterations", heads, rows);
}
