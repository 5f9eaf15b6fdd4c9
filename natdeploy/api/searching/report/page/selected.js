"use strict";
// The card of the selected network: its figures, and the commands to extract, export and measure it.

function drawSelected(page) {
  const { run, place } = page;
  fill(
    "selected",
    element("h3", { id: "selected-heading" }, nameNetwork(run, place)),
    page.several ? element("p.note", {}, `${run.name}: ${run.title}`) : null,
    ...choicesAt(run, place).map((choice) => element("p", {}, describeChoice(run, choice))),
    makeFacts(listFigures(run, place)),
    element(
      "div.buttons",
      {},
      element("button", { type: "button", onclick: () => page.step(-1) }, "◀ Before it on the front"),
      element("button", { type: "button", onclick: () => page.step(1) }, "After it ▶"),
      ...run.choices.map((choice, number) =>
        element("button", { type: "button", onclick: () => page.select(page.runIndex, choice.place) },
          `Choice${run.choices.length > 1 ? ` ${number + 1}` : ""}: ${describeTarget(run, choice) || "no limit"}`),
      ),
    ),
    element("h4", {}, "Commands"),
    ...listCommands(run, place).map(([purpose, command]) => makeCommand(purpose, command)),
  );
}

function nameNetwork(run, place) {
  const { front, row } = run.architectures;
  const role = choicesAt(run, place).length ? ", a choice" : place < front ? ", on the front" : "";
  return `Row ${row[place]}${role}`;
}

function choicesAt(run, place) {
  return run.choices.filter((choice) => choice.place === place);
}

function describeTarget(run, choice) {
  const sizes = Object.entries(run.goal.limits).map(([name, most]) => {
    const axis = findAxis(run, name);
    return `${axis.label} up to ${formatNumber(most * axis.factor, 4)} ${axis.unit}`;
  });
  return [formatLimits(choice.target_ms), ...sizes].filter((text) => text).join(" and ");
}

function describeChoice(run, choice) {
  const by = run.goal.prefer === "accuracy" ? "" : `, by ${run.goal.prefer}`;
  const target = describeTarget(run, choice);
  return `Chosen ${target ? `for ${target}` : "without a limit"}${by}.`;
}

/** Returns every figure of a network, as pairs of a name and a value. */
function listFigures(run, place) {
  const { architecture, columns } = run.architectures;
  const shape = architecture[place];
  const tested = choicesAt(run, place).find((choice) => choice.top1_source === "test");
  const pairs = [];
  if (tested) {
    const interval = tested.top1_interval ? ` (${formatInterval(findAxis(run, "top1"), tested.top1_interval)})` : "";
    pairs.push(["top-1 on test images", `${formatTop1(tested.top1)}${interval}`]);
  }
  for (const axis of run.axes) {
    const value = columns[axis.column][place];
    const interval = intervalOn(run, axis, place);
    const ends = interval ? ` (${formatInterval(axis, interval)})` : "";
    pairs.push([axis.estimated ? `${axis.label}, estimated` : axis.label, `${formatOn(axis, value)}${ends}`]);
    const measured = run.measured.find((event) => event.place === place && event.device === axis.device);
    if (measured) pairs.push([`measured latency on ${axis.device}`, describeMeasured(measured, value)]);
  }
  pairs.push(["input", `${shape.r} × ${shape.r} pixels, width ${shape.w}`]);
  pairs.push(["blocks by stage", shape.d.join(" + ")]);
  return pairs;
}

function describeMeasured(measured, predicted) {
  const error = (100 * (predicted - measured.ms)) / measured.ms;
  const sign = error > 0 ? "+" : "";
  return `${formatMs(measured.ms)}; the prediction is off by ${sign}${error.toFixed(1)} %`;
}

/** Returns both ends of the interval of a value, in the unit of its column; null if it has none. */
function intervalOn(run, axis, place) {
  if (axis.column === "top1" && run.top1_interval) {
    return [run.top1_interval.lower[place], run.top1_interval.upper[place]];
  }
  const correction = axis.device && findTable(run, axis.device).correction;
  if (!correction) return null;
  const value = run.architectures.columns[axis.column][place];
  return [value * correction.lower_ratio, value * correction.upper_ratio];
}

function findTable(run, device) {
  return run.tables.find((table) => table.device === device);
}

/** Returns the commands for a network, as pairs of a purpose and a command. */
function listCommands(run, place) {
  const { commands, architectures } = run;
  const row = architectures.row[place];
  const [choice] = choicesAt(run, place);
  const own = `row-${row}.json`;
  const listed = [];
  let file = own;
  if (commands.rows) {
    if (choice) file = `${commands.run}/${choice.file}`;
    else listed.push(["Extract", fillIn(commands.extract, { row: commands.rows[row], output: own, weights: commands.weights })]);
  } else {
    const source = choice ? `${commands.run}/${choice.file}` : `architecture-${row}.json`;
    if (!choice) {
      listed.push(["Write the architecture", `echo '${JSON.stringify(architectures.architecture[place])}' > ${source}`]);
    }
    listed.push(["Extract, with weights of yours", fillIn(commands.extract, { file: source, output: own })]);
  }
  listed.push(...commands.files.map(({ purpose, command }) => [purpose, fillIn(command, { file })]));
  return listed;
}

function fillIn(template, values) {
  return template.replaceAll(/\{(row|file|output|weights)\}/g, (_, name) => values[name]);
}
