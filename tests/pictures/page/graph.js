// A node graph in layers: callers to the left of what they call.
"use strict";

const RADIUS = 21;

function layersOf(nodes, edges) {
  const depth = new Map(nodes.map((n) => [n.id, 0]));
  // as often as there are nodes at most: a circle of callers ends there
  for (let round = 0; round < nodes.length; round++) {
    for (const { source, target } of edges) {
      if (source !== target && depth.get(target) <= depth.get(source) && depth.get(source) + 1 < nodes.length) {
        depth.set(target, depth.get(source) + 1);
      }
    }
  }
  const layers = [];
  for (const node of nodes) (layers[depth.get(node.id)] ??= []).push(node);
  return layers.filter(Boolean);
}

function placed(nodes, edges, width, height) {
  const layers = layersOf(nodes, edges), at = new Map();
  layers.forEach((layer, column) => {
    const x = 80 + (column * (width - 160)) / Math.max(1, layers.length - 1);
    const callersAt = (node) => {
      const known = edges.filter((e) => e.target === node.id && at.has(e.source)).map((e) => at.get(e.source).y);
      return known.length ? known.reduce((a, b) => a + b) / known.length : height / 2;
    };
    const ordered = [...layer].sort((a, b) => callersAt(a) - callersAt(b));
    ordered.forEach((node, place) => {
      const shift = (column % 2) * 12;
      at.set(node.id, { x, y: shift + ((place + 0.5) * (height - 40)) / ordered.length });
    });
  });
  return at;
}

function shape(kind, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function drawEdge(svg, edge, at) {
  const from = at.get(edge.source), to = at.get(edge.target);
  const dx = to.x - from.x, dy = to.y - from.y, long = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / long, dy / long], reach = RADIUS + 4;
  const [x0, y0] = [from.x + ux * reach, from.y + uy * reach];
  const [x1, y1] = [to.x - ux * (reach + 6), to.y - uy * (reach + 6)];
  const stroke = edge.color === "red" ? color("red") : "#6b6e78";
  svg.append(shape("line", { x1: x0, y1: y0, x2: x1, y2: y1, stroke, "stroke-width": 1.5 }));
  const [px, py] = [-uy * 4, ux * 4];
  svg.append(shape("polygon", { fill: stroke, points: [
    [x1 + ux * 8, y1 + uy * 8], [x1 + px, y1 + py], [x1 - px, y1 - py]].map((p) => p.join()).join(" ") }));
  const [mx, my] = [x0 + (x1 - x0) * 0.64, y0 + (y1 - y0) * 0.64];
  const label = edge.color === "red" ? `${edge.mainstat}, ${edge.secondarystat}` : edge.mainstat;
  svg.append(shape("text", { x: mx, y: my - 5, "text-anchor": "middle", class: "small" }, label));
}

function drawNode(svg, node, { x, y }) {
  svg.append(shape("circle", { cx: x, cy: y, r: RADIUS, fill: "#181b1f", stroke: color(node.color), "stroke-width": 3 }));
  const [number, unit] = node.mainstat.split(" ");
  svg.append(shape("text", { x, y: y + 1, "text-anchor": "middle" }, number));
  svg.append(shape("text", { x, y: y + 13, "text-anchor": "middle", class: "small" }, unit));
  svg.append(shape("text", { x, y: y + RADIUS + 13, "text-anchor": "middle" }, node.id));
}

async function drawGraph(panel, body) {
  const frames = await Promise.all(panel.targets.map((t) => now(t.expr)));
  const [edges, nodes] = frames.map((frame) => frame.map((s) => s.metric));
  if (!edges.length) { nothing(body, panel); return { series: 0 }; }
  const [width, height] = [body.clientWidth - 16, body.clientHeight - 8];
  const svg = shape("svg", { width, height });
  const at = placed(nodes, edges, width, height);
  for (const edge of edges) drawEdge(svg, edge, at);
  for (const node of nodes) drawNode(svg, node, at.get(node.id));
  body.append(svg);
  return { series: edges.length, nodes: nodes.length };
}
