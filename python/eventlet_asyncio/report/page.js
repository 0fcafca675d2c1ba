"use strict";
// All text reaches the page as text nodes and attributes: nothing is parsed as HTML.
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function sv(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
// A row of the data: rule, path, line, column, function, symbol, via, confidence,
// fix for asyncio, fix for threads, message, test; numbers stand for texts of D.texts.
const FIX = ["safe", "unsafe", "manual", ""];
const rows = D.rows.map((r, number) => ({
  number, rule: D.texts[r[0]], path: D.texts[r[1]], line: r[2], column: r[3],
  func: D.texts[r[4]], symbol: D.texts[r[5]], via: D.texts[r[6]], low: r[7] === 1,
  asyncio: FIX[r[8]], threads: FIX[r[9]], message: D.texts[r[10]], test: r[11] === 1,
  pkg: D.texts[r[12]], seen: D.texts[r[13]],
}));
const state = { pkg: null, sort: "number", down: false, shown: 200 };

// Overview: squarified treemap (Bruls, Huizing, van Wijk 2000).
function squarify(items, x, y, w, h) {
  const total = items.reduce((sum, item) => sum + item.size, 0);
  const scale = (w * h) / total;
  const out = [];
  let row = [], rest = items.slice();
  const worst = (list, side) => {
    const sum = list.reduce((s, i) => s + i.size * scale, 0);
    const sizes = list.map((i) => i.size * scale);
    return Math.max((side * side * Math.max(...sizes)) / (sum * sum), (sum * sum) / (side * side * Math.min(...sizes)));
  };
  const flush = () => {
    const sum = row.reduce((s, i) => s + i.size * scale, 0);
    const flat = w >= h, side = flat ? h : w, thick = sum / side;
    let at = 0;
    for (const item of row) {
      const long = (item.size * scale) / thick;
      out.push(flat ? [item, x, y + at, thick, long] : [item, x + at, y, long, thick]);
      at += long;
    }
    if (flat) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    row = [];
  };
  while (rest.length) {
    const side = Math.min(w, h);
    if (!row.length || worst([...row, rest[0]], side) <= worst(row, side)) row.push(rest.shift());
    else flush();
  }
  if (row.length) flush();
  return out;
}
function drawTree() {
  const counts = new Map();
  for (const row of rows) {
    const entry = counts.get(row.pkg) || { name: row.pkg, size: 0, test: 0, hard: 0 };
    entry.size += 1; entry.test += row.test; entry.hard += row.asyncio === "manual" || row.threads === "manual";
    counts.set(row.pkg, entry);
  }
  const items = [...counts.values()].sort((a, b) => b.size - a.size);
  if (!items.length) { $("tree").remove(); $("treenote").textContent = "There is nothing left."; return; }
  const narrow = document.documentElement.clientWidth < 640;
  const w = narrow ? 480 : 1160, h = narrow ? 420 : 360;
  const svg = $("tree");
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  for (const [item, x, y, width, height] of squarify(items, 0, 0, w, h)) {
    const hard = item.hard / item.size;
    const kind = item.test === item.size ? 0 : hard < 0.34 ? 1 : hard < 0.67 ? 2 : 3;
    const label = `${item.name}: ${item.size} uses, ${item.test} in tests, ${item.hard} to be changed by hand`;
    const g = sv("g", { tabindex: 0, role: "button", "aria-label": label, "aria-pressed": state.pkg === item.name });
    g.append(sv("rect", { x, y, width, height, rx: 4, class: `k${kind}` }), sv("title", {}, label));
    if (width > 46 && height > 22) {
      const room = Math.floor((width - 12) / 7.6);
      const name = item.name.length > room ? "…" + item.name.slice(-(room - 1)) : item.name;
      g.append(sv("text", { x: x + 6, y: y + 17 }, name));
      if (height > 40) g.append(sv("text", { x: x + 6, y: y + 34 }, String(item.size)));
    }
    const choose = () => { state.pkg = state.pkg === item.name ? null : item.name; state.shown = 200; update(); drawTree(); };
    g.addEventListener("click", choose);
    g.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); } });
    svg.append(g);
  }
}

// Burn-down: one point for each result, oldest first.
function drawBurn() {
  const points = D.history;
  if (points.length < 2) return;
  $("burnpart").hidden = false;
  const narrow = document.documentElement.clientWidth < 640;
  const svg = $("burn"), w = narrow ? 480 : 900, h = 240, left = 50, bottom = 30;
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  const most = Math.max(1, ...points.map((p) => p[1]));
  const t0 = points[0][2], t1 = points[points.length - 1][2];
  const X = (p, i) => left + ((w - left - 20) * (t1 > t0 ? (p[2] - t0) / (t1 - t0) : i / (points.length - 1)));
  const Y = (n) => 10 + (h - 10 - bottom) * (1 - n / most);
  for (const n of [0, Math.round(most / 2), most]) {
    svg.append(sv("line", { x1: left, x2: w - 20, y1: Y(n), y2: Y(n), class: "axis" }));
    svg.append(sv("text", { x: left - 8, y: Y(n) + 4, "text-anchor": "end" }, String(n)));
  }
  svg.append(sv("polyline", { class: "curve", points: points.map((p, i) => `${X(p, i)},${Y(p[1])}`).join(" ") }));
  points.forEach((p, i) => {
    const dot = sv("circle", { cx: X(p, i), cy: Y(p[1]), r: 4, class: "dot" });
    dot.append(sv("title", {}, `${p[0]}: ${p[1]}`));
    svg.append(dot);
  });
  svg.append(sv("text", { x: left, y: h - 8 }, points[0][0]));
  svg.append(sv("text", { x: w - 20, y: h - 8, "text-anchor": "end" }, points[points.length - 1][0]));
}

// The plan: columns by step, leaves first.
function drawPlan() {
  const plan = D.plan;
  if (!plan || !plan.nodes.length) return;
  $("planpart").hidden = false;
  if (plan.left_out) $("plannote").textContent = `The first ${plan.nodes.length} functions; ${plan.left_out} more are in the plan.`;
  const svg = $("graph"), W = 230, H = 26, columns = new Map();
  const place = plan.nodes.map((node) => {
    const column = node[1], row = columns.get(column) || 0;
    columns.set(column, row + 1);
    return [column, row];
  });
  const order = [...columns.keys()].sort((a, b) => a - b);
  const at = new Map(order.map((column, index) => [column, index]));
  const width = order.length * (W + 50), height = Math.max(...columns.values()) * (H + 10) + 30;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.style.width = `${width}px`;
  const XY = (i) => [at.get(place[i][0]) * (W + 50) + 5, place[i][1] * (H + 10) + 24];
  for (const column of order) svg.append(sv("text", { x: at.get(column) * (W + 50) + 5, y: 14 }, `step ${column}`));
  const lines = plan.edges.map(([from, to]) => {
    const [x1, y1] = XY(to), [x2, y2] = XY(from);
    const path = sv("path", { d: `M${x1 + W},${y1 + H / 2} C${x1 + W + 30},${y1 + H / 2} ${x2 - 30},${y2 + H / 2} ${x2},${y2 + H / 2}` });
    svg.append(path);
    return [from, to, path];
  });
  plan.nodes.forEach(([name, step, note], i) => {
    const [x, y] = XY(i), room = Math.floor((W - 12) / 7.2);
    const g = sv("g", { tabindex: 0 });
    const shown = name.length > room ? "…" + name.slice(-(room - 1)) : name;
    g.append(sv("rect", { x, y, width: W, height: H, rx: 4 }), sv("text", { x: x + 6, y: y + 17 }, shown), sv("title", {}, note ? `${name}\n${note}` : name));
    const light = (on) => () => {
      g.classList.toggle("on", on);
      for (const [from, to, path] of lines) if (from === i || to === i) path.classList.toggle("on", on);
    };
    for (const name of ["mouseenter", "focus"]) g.addEventListener(name, light(true));
    for (const name of ["mouseleave", "blur"]) g.addEventListener(name, light(false));
    svg.append(g);
  });
}

// The table.
const COLUMNS = [["rule", "rule"], ["path", "where"], ["func", "function"], ["symbol", "uses"], ["asyncio", "to asyncio"], ["threads", "to threads"]];
function chosen() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const rule = $("rule").value, fix = $("fix").value, tests = $("tests").checked;
  const list = rows.filter((row) => {
    if (state.pkg !== null && row.pkg !== state.pkg) return false;
    if (rule && row.rule !== rule) return false;
    if (fix && row.asyncio !== fix && row.threads !== fix) return false;
    if (!tests && row.test) return false;
    const text = `${row.rule} ${row.path} ${row.func} ${row.symbol} ${row.via} ${row.message}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const key = state.sort, way = state.down ? -1 : 1;
  return list.sort((a, b) => {
    const one = a[key], two = b[key];
    const order = one < two ? -1 : one > two ? 1 : 0;
    return way * order || a.line - b.line || a.number - b.number;
  });
}
// Half of a surrogate pair stands for a byte of a path that is no text.
function encoded(character) {
  const code = character.charCodeAt(0);
  if (character.length > 1 || code < 0xd800 || code > 0xdfff) return encodeURIComponent(character);
  return code >= 0xdc80 && code <= 0xdcff ? `%${(code - 0xdc00).toString(16)}` : "%EF%BF%BD";
}
function href(row) {
  const path = row.path.split("/").map((part) => [...part].map(encoded).join("")).join("/");
  return `${D.base}${path}#L${row.line}`;
}
function update() {
  const list = chosen(), body = $("rows");
  body.replaceChildren();
  for (const row of list.slice(0, state.shown)) {
    const link = el("a", { href: href(row) }, `${row.path}:${row.line}:${row.column}`);
    const what = el("td", { class: "sym", "data-l": "uses" }, row.symbol);
    if (row.via) what.append(el("span", { class: "dim" }, ` via ${row.via}`));
    if (row.low) what.append(" ", el("span", { class: "tag" }, "perhaps"));
    if (row.seen) what.append(" ", el("span", { class: "tag" }, row.seen));
    body.append(el("tr", {},
      el("td", { "data-l": "rule" }, el("span", { class: "tag", title: D.rules[row.rule] || "" }, row.rule), el("span", { class: "dim" }, ` ${D.rules[row.rule] || ""}`)),
      el("td", { class: "where", "data-l": "where" }, link),
      el("td", { class: "sym", "data-l": "function" }, row.func), what,
      el("td", { "data-l": "to asyncio" }, row.asyncio), el("td", { "data-l": "to threads" }, row.threads)));
  }
  const where = state.pkg === null ? "" : ` in ${state.pkg}`;
  $("count").textContent = `${list.length} of ${rows.length} uses${where}` + (list.length > state.shown ? `, the first ${state.shown} shown` : "");
  $("more").hidden = list.length <= state.shown;
  $("clear").hidden = state.pkg === null;
  for (const th of document.querySelectorAll("#table th")) {
    if (th.dataset.key === state.sort) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  }
}
function setUp() {
  for (const [key, name] of COLUMNS) {
    const button = el("button", { type: "button" }, name), th = el("th", { scope: "col" }, button);
    th.dataset.key = key;
    button.addEventListener("click", () => { state.down = state.sort === key && !state.down; state.sort = key; update(); });
    $("head").append(th);
  }
  for (const rule of [...new Set(rows.map((row) => row.rule))].sort())
    $("rule").append(el("option", { value: rule }, `${rule} ${D.rules[rule] || ""}`));
  for (const id of ["find", "rule", "fix", "tests"]) $(id).addEventListener("input", () => { state.shown = 200; update(); });
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  $("more").addEventListener("click", () => { state.shown += 1000; update(); });
  $("clear").addEventListener("click", () => { state.pkg = null; update(); drawTree(); });
  matchMedia("(max-width: 640px)").addEventListener("change", drawTree);
  drawTree(); drawBurn(); drawPlan(); update();
}
setUp();
