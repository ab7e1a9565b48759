// PromQL with Grafana's variables, asked of a real Prometheus.
"use strict";

// where: {prometheus, start, end, step, interval, choices}; times in s
let where = null;

function filled(expr) {
  const range = `${Math.round(where.end - where.start)}s`;
  return expr
    .replaceAll("$__rate_interval", where.interval)
    .replaceAll("$__range", range)
    .replace(/\$(?!\d)(\w+)/g, (_, name) => where.choices[name].value);
}

async function ask(path, parameters) {
  const answer = await fetch(`${where.prometheus}/api/v1/${path}`, {
    method: "POST", body: new URLSearchParams(parameters),
  });
  const told = await answer.json();
  if (told.status !== "success") throw new Error(`${parameters.query}: ${told.error}`);
  return told.data;
}

const overTime = async (expr) => (await ask("query_range", {
  query: filled(expr), start: where.start, end: where.end, step: where.step,
})).result;

const now = async (expr) => (await ask("query", { query: filled(expr), time: where.end })).result;

async function exemplars(expr) {
  const data = await ask("query_exemplars", {
    query: filled(expr), start: where.start, end: where.end,
  });
  return data.flatMap((series) => series.exemplars);
}


function nameOf(labels, format) {
  const kept = Object.entries(labels).filter(([name]) => name !== "__name__");
  if (format !== "__auto") return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, n) => labels[n] ?? "");
  if (kept.length === 1) return kept[0][1];
  return kept.length ? `{${kept.map(([n, v]) => `${n}="${v}"`).join(", ")}}` : "Value";
}
