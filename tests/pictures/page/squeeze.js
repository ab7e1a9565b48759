// A picture in 256 colours: user interfaces have few, and the file is a third of the size.
"use strict";

const MOST_COLORS = 256;

async function pixelsOf(png) {
  const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height), ctx = canvas.getContext("2d");
  ctx.drawImage(image, 0, 0);
  return { width: image.width, height: image.height, data: ctx.getImageData(0, 0, image.width, image.height).data };
}

// Colours that share their upper five bits are one; each is what its pixels are on average.
function binned(data) {
  const bins = new Map();
  for (let i = 0; i < data.length; i += 4) {
    const key = ((data[i] >> 3) << 10) | ((data[i + 1] >> 3) << 5) | (data[i + 2] >> 3);
    let bin = bins.get(key);
    if (!bin) bins.set(key, bin = { key, count: 0, sum: [0, 0, 0] });
    bin.count++;
    for (let c = 0; c < 3; c++) bin.sum[c] += data[i + c];
  }
  for (const bin of bins.values()) bin.mean = bin.sum.map((s) => Math.round(s / bin.count));
  return [...bins.values()].sort((a, b) => b.count - a.count);
}

function nearest(mean, palette) {
  let best = 0, least = Infinity;
  palette.forEach((other, place) => {
    const away = mean.reduce((sum, v, c) => sum + (v - other[c]) ** 2, 0);
    if (away < least) { least = away; best = place; }
  });
  return best;
}

function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

// {width, height, palette: [[r, g, b]], places: a byte for each pixel, base64}
async function squeezed(png) {
  const { width, height, data } = await pixelsOf(png);
  const bins = binned(data), palette = bins.slice(0, MOST_COLORS).map((bin) => bin.mean);
  const placeOf = new Uint8Array(1 << 15);
  bins.forEach((bin, i) => { placeOf[bin.key] = i < MOST_COLORS ? i : nearest(bin.mean, palette); });
  const places = new Uint8Array(width * height);
  for (let i = 0; i < places.length; i++) {
    const at = 4 * i;
    places[i] = placeOf[((data[at] >> 3) << 10) | ((data[at + 1] >> 3) << 5) | (data[at + 2] >> 3)];
  }
  return { width, height, palette, places: base64(places) };
}
