"use strict";
// Where the selected network stands in every objective: one line an objective, from the worst of the front to the best.

function makeObjectivesView(page) {
  const draw = () => {
    fill("objectives");
    if (page.run.goal.objectives.length < 3) return;
    const heading = element("h3", {}, "The selected network in every objective");
    const hint = element("p.hint", {}, "Each line reaches from the worst of the front, on the left, to the best.");
    fill("objectives", heading, hint, makeChartPlace("objectives-chart"));
    const place = drawObjectives(page);
    place.on("plotly_click", ({ points }) => points[0].customdata && page.select(...points[0].customdata));
  };
  page.listen((changed) => (changed ? draw() : document.getElementById("objectives-chart") && drawObjectives(page)));
  draw();
}

function drawObjectives(page) {
  const { run } = page;
  const axes = run.goal.objectives.map((name) => findAxis(run, name));
  const place = document.getElementById("objectives-chart");
  place.style.height = `${90 + 42 * axes.length}px`;
  return drawChart("objectives-chart", "Strip chart of the front in every objective, with the selected network marked.", () => {
    const front = [...Array(run.architectures.front).keys()];
    const scaled = axes.map((axis) => scaleToBest(run, axis));
    const names = axes.map((axis) => wrapLines(`${axis.label}${axis.estimated ? ", estimated" : ""}`, 26).map(plain).join("<br>"));
    const trace = (name, places, marker) => ({
      type: "scatter",
      mode: "markers",
      name,
      marker,
      x: axes.flatMap((_, at) => places.map((place) => scaled[at](place))),
      y: axes.flatMap((_, at) => places.map(() => names[at])),
      text: axes.flatMap((axis) => places.map((place) => plain(`Row ${run.architectures.row[place]}: ${formatOn(axis, run.architectures.columns[axis.column][place])}`))),
      customdata: axes.flatMap(() => places.map((place) => [page.runIndex, place])),
      hovertemplate: "%{text}<extra></extra>",
    });
    const traces = [
      trace("front", front, { size: 14, symbol: "line-ns-open", color: runColor(page.runIndex), opacity: 0.6 }),
      trace("selected", [page.place], { size: 13, color: color("text") }),
    ];
    const ticks = { tickvals: [0, 1], ticktext: ["worst", "best"], range: [-0.03, 1.03], fixedrange: true };
    const lines = { autorange: "reversed", fixedrange: true, type: "category", tickfont: { size: 12 } };
    return { traces, layout: { xaxis: baseAxis("", ticks), yaxis: baseAxis("", lines) } };
  });
}

function scaleToBest(run, axis) {
  const values = run.architectures.columns[axis.column];
  const front = values.slice(0, run.architectures.front);
  const [least, most] = [Math.min(...front), Math.max(...front)];
  const [worst, best] = axis.better === "high" ? [least, most] : [most, least];
  return (place) => (best === worst ? 1 : (values[place] - worst) / (best - worst));
}
