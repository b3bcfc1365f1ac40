// Elements and small charts. Text only ever becomes text nodes.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 44;

/** @param {string} name @param {Record<string, string>} attributes @param {...(Node | string)} children */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/**
 * A line over the last minutes, the newest value at the right edge; the scale begins at 0.
 *
 * @param {(number | undefined)[]} values
 * @param {number} room how many values fill the width
 * @param {string} label what is drawn, for those who do not see it
 */
export function sparkline(values, room, label) {
  const most = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const step = WIDTH / (room - 1);
  const points = values
    .map((value, at) => [WIDTH - (values.length - 1 - at) * step, value])
    .filter(([, value]) => value !== undefined)
    .map(([x, value]) => [x, HEIGHT - 2 - (value / most) * (HEIGHT - 6)]);
  const chart = shape("svg", {
    class: "spark",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": label,
  });
  chart.append(shape("line", { class: "ground", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }));
  if (points.length > 1) {
    const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    const first = points[0][0].toFixed(1);
    const last = points.at(-1)[0].toFixed(1);
    chart.append(
      shape("polygon", { class: "fill", points: `${first},${HEIGHT} ${line} ${last},${HEIGHT}` }),
      shape("polyline", { class: "line", points: line }),
    );
  }
  return chart;
}

/** A bar of a share in 0..1. */
export function bar(share) {
  const chart = shape("svg", { class: "share", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
  chart.append(shape("rect", { class: "ground", x: 0, y: 0, width: 100, height: 8 }));
  chart.append(shape("rect", { class: "line", x: 0, y: 0, width: Math.max(0, Math.min(100, share * 100)), height: 8 }));
  return chart;
}

/** Rows of cells; a cell is text or a node. @param {(Node | string)[]} head @param {(Node | string)[][]} rows */
export function table(head, rows) {
  const cells = (name, row) => row.map((cell, at) => element(at ? name : "th", at ? {} : { scope: "row" }, cell));
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...head.map((cell) => element("th", { scope: "col" }, cell)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row)))),
  );
}
