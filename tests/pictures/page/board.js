// A dashboard from its JSON: choices, rows and panels on Grafana's grid.
"use strict";

const CELL = 30, GAP = 8, COLUMNS = 24;
const KINDS = { stat: drawStat, table: drawTable, bargauge: drawBars, timeseries: drawSeries, nodeGraph: drawGraph };

function choose(label, value) {
  const made = element("div", "choice");
  made.append(element("span", "", label), element("i", "", value));
  return made;
}

function drawTop(board) {
  const top = document.getElementById("top"), title = element("h1");
  const [folder, name] = board.title.split(" / ");
  title.append(element("b", "", `${folder} / `), name);
  top.replaceChildren(title);
  for (const variable of board.templating.list) {
    if (variable.type !== "textbox") top.append(choose(variable.label, where.choices[variable.name]?.text ?? ""));
  }
  const clock = (t) => new Date(1000 * t).toTimeString().slice(0, 8);
  const time = choose("Time", `${clock(where.start)} to ${clock(where.end)}`);
  time.classList.add("time");
  top.append(time);
}

async function marksOf(board) {
  const found = await Promise.all(board.annotations.list.map(async (annotation) =>
    (await now(annotation.expr)).map((s) => ({ time: Number(s.value[1]) / 1000, color: annotation.iconColor }))));
  return found.flat().filter((m) => m.time >= where.start && m.time <= where.end);
}

function framed(panel, main) {
  const { x, y, w, h } = panel.gridPos, unit = (main.clientWidth + GAP) / COLUMNS;
  const frame = element("div", panel.type === "row" ? "row" : `panel ${panel.type}`);
  Object.assign(frame.style, {
    left: `${x * unit}px`, top: `${y * (CELL + GAP)}px`,
    width: `${w * unit - GAP}px`, height: `${h * (CELL + GAP) - GAP}px`,
  });
  main.append(frame);
  return frame;
}

// options: see `where`. Resolves when all is drawn, to what each panel shows.
async function draw(board, options) {
  where = options;
  await document.fonts.load("14px Inter");
  drawTop(board);
  const main = document.getElementById("board");
  main.replaceChildren();
  main.style.height = `${Math.max(...board.panels.map((p) => p.gridPos.y + p.gridPos.h)) * (CELL + GAP)}px`;
  const marks = await marksOf(board);
  return Promise.all(board.panels.map(async (panel) => {
    const frame = framed(panel, main);
    if (panel.type === "row") { frame.textContent = panel.title; return { title: panel.title, type: "row" }; }
    const body = element("div", "body");
    frame.append(element("h2", "", panel.title), body);
    const told = await KINDS[panel.type](panel, body, frame, marks);
    return { title: panel.title, type: panel.type, ...told };
  }));
}
