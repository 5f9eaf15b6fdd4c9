"use strict";
// The page: which network is selected, and which theme is used.

/** Returns the state of the page. Views listen to it; they are told whether the run has changed. */
function makePage(report) {
  const listeners = [];
  const page = {
    document: report,
    several: report.runs.length > 1,
    runIndex: 0,
    place: report.runs[0].choices[0].place,
    previous: null,
    get run() {
      return report.runs[page.runIndex];
    },
    listen: (listener) => listeners.push(listener),
    select: (runIndex, place) => {
      if (runIndex === page.runIndex && place === page.place) return;
      const changed = runIndex !== page.runIndex;
      page.previous = [page.runIndex, page.place];
      [page.runIndex, page.place] = [runIndex, place];
      for (const listener of listeners) listener(changed);
      announce(`Selected: ${nameNetwork(page.run, place)}`);
    },
    step: (way) => page.select(page.runIndex, neighbour(page, way)),
  };
  return page;
}

/** Returns the next network of the front along the horizontal axis; from a dominated one, the nearest. */
function neighbour(page, way) {
  const { front, columns } = page.run.architectures;
  const values = columns[page.view.x] ?? columns.top1;
  const order = [...Array(front).keys()].sort((a, b) => values[a] - values[b] || a - b);
  const at = order.indexOf(page.place);
  if (at >= 0) return order[Math.min(Math.max(at + way, 0), front - 1)];
  const distance = (place) => Math.abs(values[place] - values[page.place]);
  return order.reduce((best, place) => (distance(place) < distance(best) ? place : best));
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function makeThemeSwitch() {
  const button = document.getElementById("theme");
  const name = () => (button.textContent = isDark() ? "Light colours" : "Dark colours");
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
    redrawCharts();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    name();
    redrawCharts();
  });
  name();
}

/** Prints in light colours, with everything unfolded. */
function preparePrinting() {
  let before;
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    for (const folded of document.querySelectorAll("details")) folded.open = true;
    redrawCharts();
  });
  addEventListener("afterprint", () => {
    if (before) document.documentElement.dataset.theme = before;
    else delete document.documentElement.dataset.theme;
    redrawCharts();
  });
}

function describePage(page) {
  const counts = page.document.runs.map((run) => {
    const { row, front } = run.architectures;
    const archive = row.length > front ? `${row.length.toLocaleString("en")} architectures, ` : "";
    const name = page.several ? `${run.name}: ` : "";
    return element("p.note", {}, `${name}${archive}${front.toLocaleString("en")} on the front; ${run.note}`);
  });
  fill("note", ...counts);
  const classes = page.document.runs.filter((run) => run.images).map(({ images }) =>
    element("details", {}, element("summary", {}, `${images.classes.length} classes of ${images.dataset}`), element("p", {}, images.classes.join(", "))));
  const latencies = page.document.runs.some((run) => run.tables.some((table) => table.estimated)) ? " Figures with ~ are estimated: nothing was run on that device." : "";
  fill("footer", ...classes, element("p", {}, `Made by natdeploy ${page.document.natdeploy}.${latencies}`));
}

function start() {
  const page = makePage(JSON.parse(document.getElementById("report-data").textContent));
  makeThemeSwitch();
  preparePrinting();
  describePage(page);
  drawSelected(page);
  page.listen(() => drawSelected(page));
  makeFrontView(page);
  makeComparison(page);
  makeObjectivesView(page);
  makeWhatIfView(page);
  makeNetworkView(page);
  makeEvidenceView(page);
  makeArchitecturesView(page);
  return page;
}

const page = start();
