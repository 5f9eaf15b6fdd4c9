"use strict";
// Figures as text. A figure, its unit and its interval stay on one line.

const JOINED = "\u00a0";

function formatNumber(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", { maximumSignificantDigits: digits });
}

function formatTop1(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(2)}${JOINED}%`;
}

function formatMs(value) {
  return value === null || value === undefined ? "–" : `${formatFigure(value)}${JOINED}ms`;
}

/** Returns a figure with three significant digits, so that figures below one another can be compared. */
function formatFigure(value) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
}

/** Returns a value of an axis with its unit. Estimated values are marked. */
function formatOn(axis, value) {
  if (axis.unit === "%") return formatTop1(value);
  return `${axis.estimated ? "~" : ""}${formatFigure(value * axis.factor)}${JOINED}${axis.unit}`;
}

/** Returns the decimals that a column of parts needs, so that its total has four significant digits. */
function decimalsFor(total) {
  return Math.max(0, 3 - Math.floor(Math.log10(total)));
}

/** Returns latency limits as text, with the digits that they were given with. */
function formatLimits(limitsMs) {
  return Object.entries(limitsMs).map(([device, ms]) => `${formatNumber(ms, 4)} ms on ${device}`).join(" and ");
}

/** Returns both ends of an interval with one unit. */
function formatInterval(axis, ends) {
  if (axis.unit === "%") return `${ends.map((end) => (100 * end).toFixed(1)).join(`${JOINED}to${JOINED}`)}${JOINED}%`;
  return `${ends.map((end) => formatFigure(end * axis.factor)).join(`${JOINED}to${JOINED}`)}${JOINED}${axis.unit}`;
}

/** Returns text that the charting library shows as it is: it reads some HTML tags in labels. */
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Returns the name of an axis with its unit, and with its provenance where nothing was run. */
function nameAxis(axis) {
  return `${axis.label} (${axis.unit}${axis.estimated ? ", estimated" : ""})`;
}

function findAxis(run, column) {
  return run.axes.find((axis) => axis.column === column);
}
