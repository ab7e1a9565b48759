// One instance of a shop in Node: the routes of ZOO_FORM on ZOO_PORT. Nothing here knows of spans:
// `node --require @opentelemetry/auto-instrumentations-node/register shop.js` instruments it.
"use strict";

const express = require("express");
const Redis = require("ioredis");
const { Pool } = require("pg");

const redis = new Redis(process.env.ZOO_REDIS);
const pool = new Pool({ connectionString: process.env.ZOO_DB, max: 12 });
const memory = new Map();
const key = (id) => `${process.env.ZOO_NAME}:product:${id}`;

async function load(id) {
  const found = await pool.query("SELECT id, name, price FROM products WHERE id = $1", [id]);
  return JSON.stringify(found.rows);
}

// Cache-aside; `fill` puts the value there, or forgets to.
function through(fill) {
  return async (id) => {
    const found = await redis.get(key(id));
    if (found !== null) return found;
    const read = await load(id);
    await fill(key(id), read);
    return read;
  };
}

async function fromMemory(id) {
  if (!memory.has(id)) memory.set(id, await load(id));
  return memory.get(id);
}

async function change(id) {
  await pool.query("UPDATE products SET price = price + 1 WHERE id = $1", [id]);
  return "changed";
}

async function changeAndDelete(id) {
  await change(id);
  await redis.del(key(id));
  return "changed";
}

// Every product of a page by itself, or all at once.
async function eachOf(id) {
  for (let n = 0; n < 12; n++) await load(Number(id) + n);
  return "page";
}

async function allOf(id) {
  const ids = Array.from({ length: 12 }, (_, n) => Number(id) + n);
  await pool.query("SELECT id, name FROM products WHERE id = ANY($1)", [ids]);
  return "page";
}

const setWithTtl = (name, value) => redis.set(name, value, "EX", 300);
const FORMS = {
  aside: { get: through(setWithTtl) },
  uncached: { get: load },
  never_filled: { get: through(() => null) },
  no_expiry: { get: through((name, value) => redis.set(name, value)) },
  no_invalidation: { get: through(setWithTtl), put: change },
  invalidation: { get: through(setWithTtl), put: changeAndDelete },
  memory: { get: fromMemory },
  each: { get: eachOf },
  all: { get: allOf },
};

const app = express();
for (const [method, work] of Object.entries(FORMS[process.env.ZOO_FORM.split(".")[1]])) {
  app[method]("/products/:id", async (request, response, next) => {
    try {
      response.json(await work(request.params.id));
    } catch (error) {
      next(error);
    }
  });
}
const server = app.listen(Number(process.env.ZOO_PORT), "127.0.0.1");

// The SDK flushes on SIGTERM; the zoo ends its services with SIGINT.
process.on("SIGINT", () => {
  server.close();
  server.closeAllConnections();
  process.kill(process.pid, "SIGTERM");
});
