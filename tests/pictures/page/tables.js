// Stats, tables and bar gauges.
"use strict";

function element(kind, classes = "", text = "") {
  const made = document.createElement(kind);
  if (classes) made.className = classes;
  if (text) made.textContent = text;
  return made;
}

function nothing(body, panel) {
  body.append(element("div", "nothing", panel.fieldConfig.defaults.noValue));
}

async function drawStat(panel, body, frame) {
  const series = await now(panel.targets[0].expr);
  const { unit, thresholds } = panel.fieldConfig.defaults;
  const value = series.length ? Number(series[0].value[1]) : 0;
  const step = stepOf(value, thresholds.steps);
  if (step.color !== "text") {
    frame.classList.add("colored");
    const base = color(step.color);
    frame.style.background = `linear-gradient(120deg, ${base}, color-mix(in srgb, ${base} 75%, black))`;
  }
  const [number, name] = parts(value, unit);
  const shown = element("div", "value", number);
  if (name) shown.append(element("small", "", name));
  body.append(shown);
  return { series: series.length, text: number + name };
}

async function drawBars(panel, body) {
  const target = panel.targets[0];
  const series = await now(target.expr);
  const { unit } = panel.fieldConfig.defaults;
  const most = Math.max(...series.map((s) => Number(s.value[1])), 1e-9);
  series.forEach((one, place) => {
    const value = Number(one.value[1]), tint = SERIES[place % SERIES.length];
    const bar = element("div", "bar"), track = element("div", "track");
    const fill = element("div", "fill");
    fill.style.width = `${(100 * value) / most}%`;
    fill.style.background = `linear-gradient(90deg, ${tint}33, ${tint}cc)`;
    fill.style.borderColor = tint;
    track.append(fill);
    const shown = element("div", "value", written(value, unit));
    shown.style.color = tint;
    bar.append(element("div", "name", nameOf(one.metric, target.legendFormat)), track, shown);
    body.append(bar);
  });
  if (!series.length) nothing(body, panel);
  return { series: series.length };
}

// Rows of a query: labels, and its value under the name that Grafana gives it.
async function rowsOf(target, several) {
  const name = several ? `Value #${target.refId}` : "Value";
  return (await now(target.expr)).map((s) => ({ ...s.metric, [name]: Number(s.value[1]) }));
}

function joined(frames, panel) {
  const [how] = panel.transformations;
  if (how.id !== "joinByField" && how.id !== "merge") return frames[0];
  const field = how.options.byField;
  const keyOf = (row) => field ? row[field]
    : Object.keys(row).filter((n) => !n.startsWith("Value")).sort().map((n) => row[n]).join("\0");
  const rows = new Map();
  for (const row of frames.flat()) rows.set(keyOf(row), { ...rows.get(keyOf(row)), ...row });
  return [...rows.values()];
}

function columnsOf(panel) {
  const order = panel.transformations.at(-1).options.indexByName;
  const names = Object.keys(order).sort((a, b) => order[a] - order[b]);
  const looks = Object.fromEntries(panel.fieldConfig.overrides.map((o) => [
    o.matcher.options, Object.fromEntries(o.properties.map((p) => [p.id, p.value])),
  ]));
  return names.map((name) => ({ name, look: looks[name] ?? {} }));
}

function cell(row, { name, look }, panel) {
  const value = row[name];
  const number = typeof value === "number";
  const made = element("td", number ? "number" : "");
  made.textContent = number ? written(value, look.unit ?? panel.fieldConfig.defaults.unit) : value ?? "";
  if (look.links) made.classList.add("link");
  const mapped = look.mappings?.[0].options[value]?.color;
  const tint = mapped ?? (look.color && number
    ? stepOf(value, panel.fieldConfig.defaults.thresholds.steps).color : null);
  if (look["custom.cellOptions"] && tint) {
    made.classList.add("colored");
    made.style.background = color(tint);
  }
  return made;
}

async function drawTable(panel, body) {
  const several = panel.targets.length > 1;
  const frames = await Promise.all(panel.targets.map((t) => rowsOf(t, several)));
  const rows = joined(frames, panel), columns = columnsOf(panel);
  if (!rows.length) { nothing(body, panel); return { series: 0 }; }
  const [order] = panel.options.sortBy ?? [];
  const by = order && columns.find((c) => c.look.displayName === order.displayName)?.name;
  if (by) rows.sort((a, b) => (b[by] ?? -1) - (a[by] ?? -1));
  const table = element("table"), head = element("tr");
  for (const column of columns) {
    const made = element("th", typeof rows[0][column.name] === "number" ? "number" : "",
      column.look.displayName ?? column.name);
    if (column.look["custom.width"]) made.style.width = `${column.look["custom.width"]}px`;
    head.append(made);
  }
  table.append(head);
  for (const row of rows) {
    const line = element("tr");
    line.append(...columns.map((column) => cell(row, column, panel)));
    table.append(line);
  }
  body.append(table);
  return { series: rows.length };
}
