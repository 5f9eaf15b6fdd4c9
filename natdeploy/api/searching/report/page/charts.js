"use strict";
// Charts in the colours of the page. A chart is drawn anew when the page turns dark or light.

const drawnCharts = new Map();

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Returns the colour of a run: the one of the front, then others that the colour-blind tell apart. */
function runColor(index) {
  return color(`series-${index % 6}`);
}

/**
 * Draws a chart, and draws it again whenever the colours of the page change.
 *
 * @param {string} id Element to draw into.
 * @param {string} description What the chart shows, for screen readers.
 * @param {function(): {traces: object[], layout: object}} make Returns the content in the present colours.
 */
function drawChart(id, description, make) {
  const place = document.getElementById(id);
  place.setAttribute("aria-label", description);
  const draw = () => {
    const { traces, layout } = make();
    Plotly.react(place, traces, { ...baseLayout(), ...layout }, {
      displaylogo: false,
      responsive: true,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };
  drawnCharts.set(id, draw);
  draw();
  return place;
}

function redrawCharts() {
  for (const [id, draw] of drawnCharts) {
    if (document.getElementById(id)) draw();
    else drawnCharts.delete(id);
  }
}

function baseLayout() {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("text") },
    margin: { l: 8, r: 8, t: 8, b: 8 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    hoverlabel: { bgcolor: color("surface"), bordercolor: color("line"), font: { color: color("text") }, align: "left" },
    hovermode: "closest",
    showlegend: true,
  };
}

function baseAxis(title, more = {}) {
  return {
    title: { text: wrapLines(title).map(plain).join("<br>"), standoff: 10 },
    automargin: true,
    gridcolor: color("line"),
    linecolor: color("muted"),
    zeroline: false,
    ...more,
  };
}

/** Returns a title in lines that fit a narrow chart. */
function wrapLines(title, width = 42) {
  return title.split(" ").reduce((lines, word) => {
    const longer = `${lines.at(-1)} ${word}`.trim();
    return longer.length > width && lines.at(-1) ? [...lines, word] : [...lines.slice(0, -1), longer];
  }, [""]);
}

/** Returns a chart's place that can be filled once it is in the page. */
function makeChartPlace(id, kind = "chart") {
  return element(`div.${kind}`, { id, role: "img" });
}
