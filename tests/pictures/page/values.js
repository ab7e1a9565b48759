// Numbers with units and colours, as Grafana writes them.
"use strict";

const COLORS = {
  green: "#73bf69", yellow: "#fade2a", orange: "#ff9830", red: "#f2495c", blue: "#5794f2",
  purple: "#b877d9", text: "#ccccdc",
};
const SERIES = [
  "#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0",
  "#37872d", "#fade2a", "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62", "#584477",
];

const color = (name) => COLORS[name] ?? name;

function rounded(value) {
  if (value === 0) return "0";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)) || Number(value.toPrecision(2)));
}

function scaled(value, factor, names) {
  let size = Math.abs(value), place = 0;
  while (size >= factor && place < names.length - 1) { size /= factor; place++; }
  return [rounded(Math.sign(value) * size), names[place]];
}

function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return ["0", " s"];
  for (const [least, factor, name] of [
    [86400, 86400, " days"], [3600, 3600, " hours"], [60, 60, " mins"], [1, 1, " s"],
    [1e-3, 1e-3, " ms"], [1e-6, 1e-6, " µs"], [0, 1e-9, " ns"],
  ]) if (size >= least) return [rounded(value / factor), name];
}

function ago(ms) {
  const [amount, name] = seconds(Math.max(1, (Date.now() - ms) / 1000));
  const names = { " s": "second", " mins": "minute", " hours": "hour", " days": "day" };
  const whole = Math.round(Number(amount));
  return `${whole === 1 ? "a" : whole} ${names[name]}${whole === 1 ? "" : "s"} ago`;
}

// [number, unit]
function parts(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return ["", ""];
  switch (unit) {
    case "s": return seconds(value);
    case "percentunit": return [rounded(100 * value), "%"];
    case "bytes": return scaled(value, 1024, [" B", " KiB", " MiB", " GiB"]);
    case "reqps": return scaled(value, 1000, [" req/s", "K req/s"]);
    case "cps": return scaled(value, 1000, [" c/s", "K c/s", "M c/s"]);
    case "dateTimeFromNow": return [ago(value), ""];
    case "none": return [rounded(value), ""];
    default: return scaled(value, 1000, ["", " K", " Mil"]);
  }
}

const written = (value, unit) => parts(value, unit).join("");

function stepOf(value, thresholds) {
  let found = thresholds[0];
  for (const step of thresholds) if (step.value === null || value >= step.value) found = step;
  return found;
}
