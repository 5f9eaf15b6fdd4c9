"use strict";
// The front: any two quantities as axes, and a third as colour.

// Intervals of larger fronts cover the points; they can be switched on.
const MOST_WHISKERS = 60;

function makeFrontView(page) {
  const axes = uniteAxes(page.document.runs);
  page.view = { x: chooseCost(page), y: "top1", color: "", archive: !page.several, whiskers: page.run.architectures.front <= MOST_WHISKERS };
  const names = axes.map((axis) => [axis.column, nameAxis(axis)]);
  const choose = (key) => (value) => {
    page.view[key] = value;
    drawFront(page, axes);
  };
  const hasArchive = page.document.runs.some((run) => run.architectures.row.length > run.architectures.front);
  const hasWhiskers = page.document.runs.some((run) => run.top1_interval || run.tables.some((table) => table.correction));
  fill(
    "front-controls",
    makeSelect("Across", "axis-x", names, page.view.x, choose("x")),
    makeSelect("Up", "axis-y", names, page.view.y, choose("y")),
    makeSelect("Colour", "axis-color", [["", "archive and front"], ...names], "", choose("color")),
    hasArchive ? makeCheckbox("archive", "show-archive", page.view.archive, choose("archive")) : null,
    hasWhiskers ? makeCheckbox("intervals", "show-whiskers", page.view.whiskers, choose("whiskers")) : null,
  );
  page.listen(() => Plotly.relayout("front-chart", { shapes: markSelection(page) }));
  const place = drawFront(page, axes);
  place.on("plotly_click", ({ points }) => points[0].customdata && page.select(...points[0].customdata));
  place.tabIndex = 0;
  place.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (way) page.step(way);
    if (way) event.preventDefault();
  });
}

/** Returns the cost to begin with: a latency if it is an objective, one that every run has if there is any. */
function chooseCost(page) {
  const costs = [...page.run.goal.objectives.filter((name) => !name.startsWith("top1")), "madds"];
  const ordered = [...costs.filter((name) => name.startsWith("latency:")), ...costs];
  return ordered.find((name) => page.document.runs.every((run) => findAxis(run, name))) ?? ordered[0];
}

/** Returns the axes of all runs, each once. Its label says what it is in any run, such as measured or predicted. */
function uniteAxes(runs) {
  const known = new Map();
  for (const axis of runs.flatMap((run) => run.axes)) {
    const before = known.get(axis.column) ?? axis;
    const label = before.label.split(" or ").includes(axis.label) ? before.label : `${before.label} or ${axis.label}`;
    known.set(axis.column, { ...before, label, estimated: before.estimated || axis.estimated });
  }
  return [...known.values()];
}

function drawFront(page, axes) {
  const [x, y] = [page.view.x, page.view.y].map((column) => axes.find((axis) => axis.column === column));
  const missing = page.document.runs.filter((run) => !findAxis(run, x.column) || !findAxis(run, y.column)).map((run) => run.name);
  document.getElementById("front-missing").textContent = missing.length ? `Not drawn, since they do not have both quantities: ${missing.join(", ")}.` : "";
  const description = `Scatter chart of ${nameAxis(y)} over ${nameAxis(x)}; the table of architectures below has the same figures.`;
  return drawChart("front-chart", description, () => ({
    traces: frontTraces(page, axes, x, y),
    layout: { xaxis: baseAxis(nameAxis(x)), yaxis: baseAxis(nameAxis(y)), shapes: markSelection(page) },
  }));
}

/** Returns marks around the selected network and the one before it. Shapes move quickly, however many points there are. */
function markSelection(page) {
  const marked = [["selected", "circle", page.runIndex, page.place]];
  if (page.previous) marked.push(["selected before", "rect", ...page.previous]);
  return marked.flatMap(([name, type, index, place]) => {
    const run = page.document.runs[index];
    const [x, y] = [page.view.x, page.view.y].map((column) => findAxis(run, column));
    if (!x || !y) return [];
    const { columns } = run.architectures;
    const size = { xsizemode: "pixel", ysizemode: "pixel", x0: -11, x1: 11, y0: -11, y1: 11 };
    const at = { xanchor: columns[x.column][place] * x.factor, yanchor: columns[y.column][place] * y.factor };
    return [{ type, name, showlegend: true, line: { color: color("text"), width: 2.5 }, ...size, ...at }];
  });
}

function frontTraces(page, axes, x, y) {
  const colored = axes.find((axis) => axis.column === page.view.color);
  const traces = [];
  page.document.runs.forEach((run, index) => {
    const [ownX, ownY] = [findAxis(run, x.column), findAxis(run, y.column)];
    if (!ownX || !ownY) return;
    const { front, row } = run.architectures;
    const places = row.map((_, place) => place);
    const called = page.several ? `${plain(run.name)}: ` : "";
    const open = ownX.estimated || ownY.estimated ? "-open" : "";
    const points = (name, shown, marker) => pointTrace(run, index, { name: called + name, shown, marker, x, y });
    const paint = (shown, plainColor) => (colored && findAxis(run, colored.column) ? paintBy(run, colored, shown) : { color: plainColor });
    if (page.view.archive && row.length > front) {
      const shown = places.slice(front);
      const faded = page.several ? runColor(index) : color("archive");
      traces.push(points("archive", shown, { size: 6, opacity: 0.55, symbol: `circle${open}`, ...paint(shown, faded) }));
    }
    const shown = places.slice(0, front);
    const marker = { size: 9, symbol: `circle${open}`, ...paint(shown, runColor(index)) };
    if (colored) Object.assign(marker, { showscale: index === 0, colorbar: { title: { text: plain(nameAxis(colored)), side: "right" }, thickness: 12 } });
    traces.push({ ...points("front", shown, marker), ...(page.view.whiskers ? whiskers(run, x, y, shown, `${runColor(index)}70`) : {}) });
    const chosen = [...new Set(run.choices.map((choice) => choice.place))];
    traces.push(points(chosen.length > 1 ? "choices" : "choice", chosen, { size: 15, symbol: "star", color: color("choice"), line: { color: color("surface"), width: 1 } }));
  });
  return [...traces, ...targetLines(page, axes, x, y)];
}

function pointTrace(run, index, { name, shown, marker, x, y }) {
  const { columns } = run.architectures;
  return {
    type: "scatter",
    mode: "markers",
    name,
    marker,
    x: shown.map((place) => columns[x.column][place] * x.factor),
    y: shown.map((place) => columns[y.column][place] * y.factor),
    customdata: shown.map((place) => [index, place]),
    text: shown.map((place) => hoverText(run, place)),
    hovertemplate: "%{text}<extra></extra>",
  };
}

const hoverTexts = new Map();

/** Returns the text of a point; it is made once, since charts are drawn at every selection. */
function hoverText(run, place) {
  if (!hoverTexts.has(run)) hoverTexts.set(run, []);
  return (hoverTexts.get(run)[place] ??= makeHoverText(run, place));
}

function makeHoverText(run, place) {
  const figures = listFigures(run, place).map(([name, value]) => `${plain(name)}: ${plain(value)}`);
  return [`<b>${plain(nameNetwork(run, place))}</b>`, ...figures].join("<br>");
}

function paintBy(run, axis, shown) {
  const all = run.architectures.columns[axis.column].map((value) => value * axis.factor);
  return {
    color: shown.map((place) => all[place]),
    colorscale: "Viridis",
    cmin: all.reduce((a, b) => Math.min(a, b)),
    cmax: all.reduce((a, b) => Math.max(a, b)),
  };
}

function whiskers(run, x, y, shown, ink) {
  const bars = (axis) => {
    const ends = shown.map((place) => intervalOn(run, axis, place));
    if (!ends[0]) return undefined;
    const values = shown.map((place) => run.architectures.columns[axis.column][place]);
    return {
      type: "data",
      symmetric: false,
      array: ends.map(([, upper], at) => (upper - values[at]) * axis.factor),
      arrayminus: ends.map(([lower], at) => (values[at] - lower) * axis.factor),
      thickness: 1,
      width: 2,
      color: ink,
    };
  };
  return { error_x: bars(x), error_y: bars(y) };
}

/** Returns a line for each latency target on an axis that is drawn. */
function targetLines(page, axes, x, y) {
  const lines = new Map();
  for (const run of page.document.runs) {
    for (const choice of run.choices) {
      for (const [device, ms] of Object.entries(choice.target_ms)) lines.set(`${device} ${ms}`, [device, ms]);
    }
  }
  const dashes = ["dash", "dot", "dashdot", "longdash"];
  return [...lines.values()].flatMap(([device, ms], number) =>
    [x, y].flatMap((axis, vertical) => {
      if (axis.device !== device) return [];
      const other = vertical ? x : y;
      const ends = rangeOf(page, other);
      const line = { color: color("choice"), dash: dashes[number % dashes.length], width: 1.5 };
      const along = { [vertical ? "x" : "y"]: ends, [vertical ? "y" : "x"]: [ms, ms] };
      return [{ type: "scatter", mode: "lines", name: plain(`target ${formatLimits({ [device]: ms })}`), line, hoverinfo: "name", ...along }];
    }),
  );
}

function rangeOf(page, axis) {
  const values = page.document.runs
    .filter((run) => findAxis(run, axis.column))
    .flatMap((run) => run.architectures.columns[axis.column].map((value) => value * axis.factor));
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}
