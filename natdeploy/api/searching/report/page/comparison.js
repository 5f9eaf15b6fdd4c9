"use strict";
// Several runs in one page: their choices in one table, and the run whose networks the rest of the page shows.

function makeComparison(page) {
  if (!page.several) return;
  const { runs } = page.document;
  const names = runs.map((run, index) => [String(index), run.name]);
  const choose = (value) => page.select(Number(value), runs[Number(value)].choices[0].place);
  const chooser = makeSelect("Run", "run", names, "0", choose);
  document.getElementById("front-controls").prepend(chooser);
  page.listen(() => (document.getElementById("run").value = String(page.runIndex)));
  fill("comparison", tabulateRuns(page, uniteAxes(runs)));
}

function tabulateRuns(page, axes) {
  const others = axes.filter((axis) => axis.column !== "top1");
  const heads = ["run", "row", "images", "chosen for", "top-1 on test", "top-1 of the archive", ...others.map(nameAxis)];
  const rows = page.document.runs.flatMap((run, index) =>
    run.choices.map((choice) => {
      const { columns, row } = run.architectures;
      const select = () => page.select(index, choice.place);
      return [
        run.name,
        element("button.plain", { type: "button", onclick: select }, String(row[choice.place])),
        run.images ? run.images.dataset : "–",
        describeTarget(run, choice) || "no limit",
        choice.top1_source === "test" ? formatTop1(choice.top1) : "–",
        `${formatTop1(columns.top1[choice.place])} ${findAxis(run, "top1").label.replace("top-1 ", "")}`,
        ...others.map(({ column }) => (findAxis(run, column) ? formatOn(findAxis(run, column), columns[column][choice.place]) : "–")),
      ];
    }),
  );
  return makeTable("The choices of the runs", heads, rows);
}
