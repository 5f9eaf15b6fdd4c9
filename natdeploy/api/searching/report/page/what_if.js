"use strict";
// What the choice would be under other latency limits.

function makeWhatIfView(page) {
  const draw = () => {
    const { run } = page;
    if (!run.tables.length) {
      fill("what-if-body", element("p", {}, "This run has no latency table, so no latency can be limited."));
      return;
    }
    const limits = { ...run.choices[0].target_ms };
    const answer = element("div", { "aria-live": "polite", id: "what-if-answer" });
    const decide = () => answer.replaceChildren(...describeDecision(page, run, limits));
    fill(
      "what-if-body",
      element("p.hint", {}, `The page decides as the search does${run.goal.prefer === "accuracy" ? ": the most accurate network of the front that keeps every limit" : `, by ${run.goal.prefer}`}. The upper bound of a latency is compared with the limit where its table has one.`),
      element("div.limits", {}, ...run.tables.map((table) => makeLimit(run, table, limits, decide))),
      answer,
    );
    decide();
  };
  page.listen((changed) => changed && draw());
  draw();
}

function makeLimit(run, table, limits, decide) {
  const { device } = table;
  const upper = run.architectures.columns[`latency:${device}`].slice(0, run.architectures.front).map((ms) => ms * table.upper_ratio);
  const [least, most] = [0.9 * Math.min(...upper), 1.05 * Math.max(limits[device] ?? 0, ...upper)];
  const id = `limit-${run.tables.indexOf(table)}`;
  const set = (value) => {
    if (value > 0) limits[device] = value;
    else delete limits[device];
    number.value = value > 0 ? String(Number(value.toPrecision(4))) : "";
    slider.value = value > 0 ? value : most;
    decide();
  };
  const slider = element("input", { type: "range", min: least, max: most, step: "any", "aria-label": `Limit on ${device}, slider`, oninput: (event) => set(Number(Number(event.target.value).toPrecision(3))) });
  const number = element("input", { type: "number", id, min: 0, step: "any", placeholder: "none", onchange: (event) => set(Number(event.target.value)) });
  slider.value = limits[device] ?? most;
  number.value = limits[device] ?? "";
  const label = element("label", { for: id }, `Limit on ${device}, ms `, makeProvenance(table));
  const clear = element("button", { type: "button", onclick: () => set(0) }, "No limit");
  return element("div.limit", {}, label, slider, number, clear);
}

function describeDecision(page, run, limits) {
  const found = selectNetwork(run, limits);
  const asked = formatLimits(limits);
  const { row, columns } = run.architectures;
  if (found.place === null) {
    return [element("p", { id: "decision" }, `No network of the front keeps ${asked || "the limits"}. The nearest, row ${row[found.nearest]}, takes ${formatNumber(found.excess)} times what is allowed.`), selectButton(page, found.nearest)];
  }
  const before = run.choices[0].place;
  const heads = ["", "choice of the run", asked ? `at ${asked}` : "without a limit", "difference"];
  const rows = run.axes.map((axis) => {
    const [old, now] = [before, found.place].map((place) => columns[axis.column][place]);
    return [axis.label, formatOn(axis, old), formatOn(axis, now), describeDifference(axis, now - old)];
  });
  const same = found.place === before ? ", which is the choice of the run" : "";
  const measuredHere = run.measured.some((event) => event.place === found.place);
  const note = run.tables.length && !measuredHere ? " This network was not measured: its latency is predicted. On a device that can be reached, the search would measure it and could decide otherwise." : "";
  return [
    element("p", { id: "decision" }, `${asked ? `For ${asked}` : "Without a latency limit"}: row ${row[found.place]}${same}.${note}`),
    selectButton(page, found.place),
    found.place === before ? element("p", {}, "") : makeTable("The choice of the run beside this one", heads, rows),
  ];
}

function selectButton(page, place) {
  return element("button", { type: "button", id: "select-decision", onclick: () => page.select(page.runIndex, place) }, "Select this network");
}

function describeDifference(axis, difference) {
  const sign = difference > 0 ? "+" : difference < 0 ? "−" : "±";
  const value = Math.abs(difference);
  return axis.unit === "%" ? `${sign}${(100 * value).toFixed(2)} points` : `${sign}${formatNumber(value * axis.factor)} ${axis.unit}`;
}
