// Graphs over time, drawn by the library that Grafana draws them with.
"use strict";

const LEGEND_LINE = 20;
const MOST_OF_LEGEND = 0.4;

// Sample times that all series share, and a column of values or nulls for each.
function aligned(series) {
  const times = [];
  for (let t = where.start; t <= where.end + 1e-6; t += where.step) times.push(t);
  const columns = series.map(({ values }) => {
    const known = new Map(values.map(([t, v]) => [Math.round((t - where.start) / where.step), v]));
    return times.map((_, i) => {
      const value = Number(known.get(i) ?? NaN);
      return Number.isFinite(value) ? value : null;
    });
  });
  return [times, columns];
}

// A series without a value adds nothing; there is nothing at all where none has one.
function piledUp(columns) {
  const sums = new Array(columns[0]?.length ?? 0).fill(0);
  const known = sums.map((_, i) => columns.some((column) => column[i] !== null));
  return columns.map((column) => column.map((v, i) => known[i] ? (sums[i] += v ?? 0) : null));
}

function lastOf(column) {
  return column.findLast((v) => v !== null) ?? null;
}

// Fixed where the dashboard fixes it, else Grafana's palette in turn.
function tintsOf(names, panel) {
  const fixed = Object.fromEntries(panel.fieldConfig.overrides.map((o) => [
    o.matcher.options, o.properties.find((p) => p.id === "color")?.value.fixedColor]));
  return names.map((name, place) => fixed[name] ? color(fixed[name]) : SERIES[place % SERIES.length]);
}

function legendOf(names, tints, columns, unit, calcs, room) {
  const calculated = { lastNotNull: ["Last *", lastOf], max: ["Max", (c) => Math.max(...c.map((v) => v ?? 0))] };
  const legend = element("div", "legend"), table = element("table"), head = element("tr");
  head.append(element("th", "", "Name"));
  for (const calc of calcs) head.append(element("th", "number", calculated[calc][0]));
  table.append(head);
  names.forEach((name, place) => {
    const line = element("tr"), shown = element("td", "name"), mark = element("span", "mark");
    mark.style.background = tints[place];
    shown.append(mark, name);
    line.append(shown);
    for (const calc of calcs) line.append(element("td", "number", written(calculated[calc][1](columns[place]), unit)));
    table.append(line);
  });
  legend.append(table);
  legend.style.height = `${Math.min(room * MOST_OF_LEGEND, (names.length + 1) * LEGEND_LINE)}px`;
  return legend;
}

// Dashed lines at thresholds and at marks, dots for exemplars.
function overlay(u, steps, marks, dots) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 5 * devicePixelRatio]);
  for (const { value, color: name } of steps) {
    const y = u.valToPos(value, "y", true);
    line(ctx, color(name), bbox.left, y, bbox.left + bbox.width, y);
  }
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const { time, color: name } of marks) {
    const x = u.valToPos(time, "x", true), bottom = bbox.top + bbox.height;
    line(ctx, color(name), x, bbox.top, x, bottom);
    triangle(ctx, color(name), x, bottom, 5 * devicePixelRatio);
  }
  ctx.setLineDash([]);
  for (const { time, value } of dots) {
    diamond(ctx, u.valToPos(time, "x", true), u.valToPos(value, "y", true), 4 * devicePixelRatio);
  }
  ctx.restore();
}

function line(ctx, stroke, x0, y0, x1, y1) {
  ctx.strokeStyle = stroke;
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

function triangle(ctx, fill, x, y, r) {
  ctx.fillStyle = fill;
  ctx.beginPath();
  ctx.moveTo(x - r, y);
  ctx.lineTo(x + r, y);
  ctx.lineTo(x, y - 1.6 * r);
  ctx.fill();
}

function diamond(ctx, x, y, r) {
  ctx.fillStyle = "#6e9fff";
  ctx.beginPath();
  for (const [dx, dy] of [[0, -r], [r, 0], [0, r], [-r, 0]]) ctx.lineTo(x + dx, y + dy);
  ctx.fill();
}

function optionsOf(panel, names, tints, highest, drawOver, size) {
  const { unit, custom, min, max } = panel.fieldConfig.defaults;
  const stepped = custom.lineInterpolation === "stepAfter";
  const paths = stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear();
  const axis = { stroke: "#9c9cab", font: "12px Inter, DejaVu Sans", grid: { stroke: "#2a2d34", width: 1 }, ticks: { show: false } };
  const piled = custom.stacking.mode === "normal";
  const top = max ?? (highest * 1.05 || 1);
  return {
    ...size,
    cursor: { show: false },
    legend: { show: false },
    padding: [8, 26, 0, 0],
    scales: { x: { time: true, range: [where.start, where.end] }, y: { range: [min ?? 0, top] } },
    axes: [
      { ...axis, values: (u, ticks) => ticks.map((t) => new Date(1000 * t).toTimeString().slice(0, where.end - where.start < 900 ? 8 : 5)), space: 74 },
      { ...axis, values: (u, ticks) => ticks.map((v) => written(v, unit)), size: 74, space: 28 },
    ],
    series: [{}, ...names.map((name, place) => ({
      label: name, stroke: tints[place], width: custom.lineWidth, paths, points: { show: false },
      fill: tints[place] + Math.round(2.55 * custom.fillOpacity).toString(16).padStart(2, "0"),
    }))],
    // what is piled up is filled down to the one below it
    bands: piled ? names.slice(1).map((_, place) => ({ series: [place + 2, place + 1] })) : [],
    hooks: { draw: [drawOver] },
  };
}

async function dotsOf(panel) {
  const shown = panel.targets.filter((t) => t.exemplar);
  const found = (await Promise.all(shown.map((t) => exemplars(t.expr)))).flat();
  return found.map((e) => ({ time: e.timestamp, value: Number(e.value) }));
}

// One in so many seconds, on the graph: as Grafana shows them.
function thinned(dots, highest) {
  const kept = new Map();
  const width = (where.end - where.start) / 40;
  for (const { time, value } of dots) kept.set(Math.floor(time / width), { time, value: Math.min(value, highest) });
  return [...kept.values()];
}

async function drawSeries(panel, body, frame, marks) {
  const answers = await Promise.all(panel.targets.map(async (t) =>
    (await overTime(t.expr)).map((s) => ({ ...s, name: nameOf(s.metric, t.legendFormat) }))));
  const series = answers.flat().sort((a, b) => a.name.localeCompare(b.name));
  if (!series.length) { nothing(body, panel); return { series: 0 }; }
  const { unit, custom, thresholds } = panel.fieldConfig.defaults;
  const [times, columns] = aligned(series);
  const piled = custom.stacking.mode === "normal";
  const steps = custom.thresholdsStyle.mode === "off" ? [] : thresholds.steps.filter((s) => s.value !== null);
  const names = series.map((s) => s.name);
  const tints = tintsOf(names, panel);
  const legend = legendOf(names, tints, columns, unit, panel.options.legend.calcs, body.clientHeight);
  const holder = element("div");
  body.append(holder, legend);
  const size = { width: body.clientWidth - 16, height: body.clientHeight - legend.offsetHeight - 10 };
  const highest = Math.max(0, ...(piled ? piledUp(columns) : columns).flat().filter((v) => v !== null));
  const dots = thinned(await dotsOf(panel), highest);
  const options = optionsOf(panel, names, tints, highest, (u) => overlay(u, steps, marks, dots), size);
  new uPlot(options, [times, ...(piled ? piledUp(columns) : columns)], holder);
  return { series: series.length, exemplars: dots.length };
}
