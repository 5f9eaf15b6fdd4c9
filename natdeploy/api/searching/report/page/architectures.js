"use strict";
// The table of architectures: sorted by any column, and filtered by accuracy and by any cost.

const MOST_ROWS = 200;

function makeArchitecturesView(page) {
  const shown = { archive: false, sort: null, descending: false, bounds: {}, all: false };
  const draw = () => {
    fill("architectures-body", ...listControls(page, shown, drawTable), element("div", { id: "architectures-table" }));
    drawTable();
  };
  const drawTable = () => fill("architectures-table", ...tabulateArchitectures(page, shown, drawTable));
  page.listen((changed) => {
    if (!changed) return markSelected(page);
    Object.assign(shown, { sort: null, bounds: {}, all: false });
    draw();
  });
  draw();
}

function listControls(page, shown, drawTable) {
  const { run } = page;
  const bounds = run.axes.map((axis, at) => {
    const id = `bound-${at}`;
    const change = (event) => {
      shown.bounds[axis.column] = event.target.value === "" ? null : Number(event.target.value);
      drawTable();
    };
    const name = `${axis.label} ${axis.better === "high" ? "at least" : "at most"} (${axis.unit})`;
    return element("label", { for: id }, element("span", {}, name), element("input", { type: "number", id, step: "any", oninput: change }));
  });
  const { front, row } = run.architectures;
  const archive = makeCheckbox(`the whole archive (${row.length.toLocaleString("en")})`, "table-archive", false, (checked) => {
    shown.archive = checked;
    drawTable();
  });
  return [
    element("p", {}, `The front has ${front.toLocaleString("en")} architectures. The quickest comes first. Click the head of a column to sort by it.`),
    element("details", {}, element("summary", {}, "Filter"), element("div.filters", {}, ...bounds)),
    row.length > front ? archive : null,
  ].filter((made) => made !== null);
}

function listPlaces(run, shown) {
  const { front, row, columns } = run.architectures;
  const places = [...Array(shown.archive ? row.length : front).keys()].filter((place) =>
    run.axes.every((axis) => {
      const bound = shown.bounds[axis.column];
      if (bound === null || bound === undefined) return true;
      const value = columns[axis.column][place] * axis.factor;
      return axis.better === "high" ? value >= bound : value <= bound;
    }),
  );
  if (!shown.sort) return places;
  const values = shown.sort === "row" ? row : columns[shown.sort];
  const way = shown.descending ? -1 : 1;
  return places.sort((a, b) => way * (values[a] - values[b]) || a - b);
}

function tabulateArchitectures(page, shown, drawTable) {
  const { run } = page;
  const places = listPlaces(run, shown);
  const drawn = shown.all ? places : places.slice(0, MOST_ROWS);
  const sortBy = (column) => () => {
    shown.descending = shown.sort === column ? !shown.descending : findAxis(run, column)?.better === "high";
    shown.sort = column;
    drawTable();
  };
  const head = (column, text) => {
    const sorted = shown.sort === column ? (shown.descending ? "descending" : "ascending") : "none";
    const arrow = { none: "", ascending: " ▲", descending: " ▼" }[sorted];
    return element("th", { scope: "col", "aria-sort": sorted }, element("button.plain", { type: "button", onclick: sortBy(column) }, text + arrow));
  };
  const heads = element("tr", {}, head("row", "row"), ...["input", "width", "blocks"].map((text) => element("th", { scope: "col" }, text)),
    ...run.axes.map((axis) => head(axis.column, nameAxis(axis))));
  const body = element("tbody", {}, ...drawn.map((place) => describeRow(page, place)));
  const table = element("table", {}, element("thead", {}, heads), body);
  const scroll = makeScroll("Table of architectures", table);
  scroll.classList.add("high");
  const more = element("button", { type: "button", onclick: () => ((shown.all = true), drawTable()) }, `Show all ${places.length.toLocaleString("en")}`);
  return [
    element("p.caption", { role: "status" }, `${places.length.toLocaleString("en")} architectures`),
    scroll,
    drawn.length < places.length ? more : null,
  ];
}

function describeRow(page, place) {
  const { row, architecture, columns, front } = page.run.architectures;
  const shape = architecture[place];
  const selected = place === page.place;
  const button = element("button.plain", { type: "button", onclick: () => page.select(page.runIndex, place) }, String(row[place]));
  const mark = choicesAt(page.run, place).length ? " ★" : "";
  const cells = page.run.axes.map((axis) => element(axis.estimated ? "td.estimated" : "td", {}, formatOn(axis, columns[axis.column][place]).replace(JOINED + axis.unit, "")));
  return element(
    place < front ? "tr" : "tr.dominated",
    { "data-place": place, "aria-current": selected ? "true" : null },
    element("th", { scope: "row" }, button, mark),
    ...[String(shape.r), String(shape.w), shape.d.join(" ")].map((text) => element("td", {}, text)),
    ...cells,
  );
}

function markSelected(page) {
  for (const line of document.querySelectorAll("#architectures-table tr[data-place]")) {
    if (Number(line.dataset.place) === page.place) line.setAttribute("aria-current", "true");
    else line.removeAttribute("aria-current");
  }
}
