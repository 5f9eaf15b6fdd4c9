"use strict";
// Elements of the page. Text becomes text nodes, so that no name in the data is read as HTML.

/**
 * Returns a new element.
 *
 * @param {string} tag Its name, with classes behind dots.
 * @param {object} properties Attributes; those that begin with "on" are event handlers.
 * @param {...(Node|string)} children What it holds.
 */
function element(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function fill(id, ...children) {
  document.getElementById(id).replaceChildren(...children.filter((child) => child !== null));
}

/** Returns a table that scrolls by itself where the page is narrow. */
function makeTable(caption, heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) =>
    element("tr", {}, ...cells.map((cell, place) => element(place ? "td" : "th", place ? {} : { scope: "row" }, cell))),
  );
  const table = element("table", { "aria-label": caption }, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", {}, element("p.caption", {}, caption), makeScroll(caption, table));
}

/** Returns a place in which something wide scrolls, also by keyboard. */
function makeScroll(label, ...children) {
  return element("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, ...children);
}

/** Returns names and values, one pair a line. */
function makeFacts(pairs) {
  const lines = pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("dl", {}, ...lines);
}

function makeSelect(label, id, options, chosen, onChoose) {
  const list = options.map(([value, text]) => element("option", { value, selected: value === chosen }, text));
  const select = element("select", { id, onchange: (event) => onChoose(event.target.value) }, ...list);
  return element("label", { for: id }, `${label} `, select);
}

function makeCheckbox(label, id, checked, onChange) {
  const box = element("input", { type: "checkbox", id, checked, onchange: (event) => onChange(event.target.checked) });
  return element("label", { for: id }, box, ` ${label}`);
}

/** Returns the mark of a latency that comes from a table; an estimated one looks different everywhere. */
function makeProvenance(table) {
  return element(table.estimated ? "span.badge.estimated" : "span.badge", {}, table.provenance);
}

/** Returns a command with a button that copies it. */
function makeCommand(purpose, command) {
  const status = element("span", { role: "status" });
  const copy = async () => {
    status.textContent = (await copyText(command)) ? " copied" : " select it and copy it by hand";
    setTimeout(() => (status.textContent = ""), 3000);
  };
  const button = element("button", { type: "button", onclick: copy, "aria-label": `Copy: ${purpose}` }, "Copy");
  const head = element("div.purpose", {}, purpose, status);
  return element("div.command", {}, head, element("code", {}, command), button);
}

/** Copies text; a page that was opened from a disk may have to do it in the older way. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", {}, text);
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function announce(text) {
  document.getElementById("announcer").textContent = text;
}
