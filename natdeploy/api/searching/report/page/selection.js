"use strict";
// The choice for latency limits, by the rules of the search. Tests hold it equal to `Selector.select` in Python.
//
// The search measures each finalist on the devices that it can reach. The page knows only what the run has measured, so
// a finalist that was not measured is taken by its prediction, and `measured` of the result is false.

// Networks that the search measures for one limit, at most. With fewer than eight measured networks, the correction of
// the latencies is a single factor.
const MOST_MEASURED = 6;

/**
 * Returns the place of the network that is selected for latency limits.
 *
 * @param {object} run A run of the report's document.
 * @param {Object<string, number>} limitsMs Largest latency in ms, by device. All must hold.
 * @returns {{place: ?number, measured: boolean, excess: number, nearest: number}} The place is null if no network keeps
 *   the limits; then `nearest` is the place that misses them least, by the factor `excess`.
 */
function selectNetwork(run, limitsMs) {
  const finalists = new Map();
  const isLate = (place) =>
    Object.entries(limitsMs).some(([device, ms]) => (finalists.get(place).get(device) ?? 0) > ms);
  const found = (place) => ({ place, measured: finalists.get(place).size > 0, excess: 0, nearest: place });
  while (finalists.size < MOST_MEASURED) {
    const ranked = rankFeasible(run, correctLatencies(run, finalists), limitsMs);
    if (!ranked.order.length) {
      if ([...finalists.keys()].some(isLate)) break;
      return { place: null, measured: false, excess: ranked.excess, nearest: ranked.nearest };
    }
    const best = findPreferred(run, ranked.order);
    if (finalists.has(best)) return found(best);
    finalists.set(best, measuredLatencies(run, best));
  }
  const kept = [...finalists.keys()].filter((place) => !isLate(place));
  if (kept.length) return found(findPreferred(run, kept));
  const nearest = [...finalists.keys()].pop();
  const shares = Object.entries(limitsMs).map(([device, ms]) => (finalists.get(nearest).get(device) ?? 0) / ms);
  return { place: null, measured: true, excess: Math.max(...shares), nearest };
}

/** Returns the places that keep all limits, the most accurate first; ties go to the faster one. */
function rankFeasible(run, latencies, limitsMs) {
  const { front, columns } = run.architectures;
  const kept = [];
  let nearest = 0;
  let excess = Infinity;
  for (let place = 0; place < front; place++) {
    const shares = [
      ...Object.entries(limitsMs).map(([device, ms]) => latencies[device].upper[place] / ms),
      ...Object.entries(run.goal.limits).map(([name, most]) => columns[name][place] / most),
    ];
    const worst = Math.max(0, ...shares);
    if (worst < excess) [nearest, excess] = [place, worst];
    if (worst <= 1) kept.push(place);
  }
  const total = (place) => Object.values(latencies).reduce((sum, known) => sum + known.predicted[place], 0);
  const order = kept.sort((a, b) => columns.top1[b] - columns.top1[a] || total(a) - total(b) || a - b);
  return { order, nearest, excess };
}

/** Returns prediction and upper bound of each network of the front, by device, corrected by the measured finalists. */
function correctLatencies(run, finalists) {
  const front = run.architectures.front;
  return Object.fromEntries(
    run.tables.map((table) => {
      const before = run.architectures.columns[`latency:${table.device}`].slice(0, front);
      const upperBefore = before.map((ms) => ms * table.upper_ratio);
      const known = [...finalists].filter(([, own]) => own.has(table.device));
      if (!known.length) return [table.device, { predicted: before, upper: upperBefore }];
      const ratios = known.map(([place, own]) => before[place] / own.get(table.device));
      const beta = sum(ratios) / sum(ratios.map((ratio) => ratio * ratio));
      const predicted = before.map((ms) => beta * ms);
      const slowest = Math.max(...known.map(([place, own]) => own.get(table.device) / predicted[place]));
      const upper = predicted.map((ms, place) => ms * Math.max(upperBefore[place] / before[place], slowest));
      for (const [place, own] of known) predicted[place] = upper[place] = own.get(table.device);
      return [table.device, { predicted, upper }];
    }),
  );
}

/** Returns the preferred of some places; of equal ones the first. */
function findPreferred(run, places) {
  const regret = run.architectures.regret;
  return places.reduce((best, place) => (regret[place] < regret[best] ? place : best));
}

/** Returns the measured latency of a network in ms, by device. */
function measuredLatencies(run, place) {
  return new Map(run.measured.filter((event) => event.place === place).map((event) => [event.device, event.ms]));
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
