// Looks at gofer-web's dashboard with a browser: node dashboard_test.mjs GOFER_WEB CHROMIUM

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

const [program, chromium] = process.argv.slice(-2);
const require = createRequire(new URL("../../apps/web_server/dashboard/package.json", import.meta.url));
const browsers = require("playwright-core").chromium;

let browser;
before(async () => {
  browser = await browsers.launch({
    executablePath: chromium,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
});
after(() => browser.close());

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
}

/** A running gofer-web. */
async function start(options = [], address = "127.0.0.1:0") {
  const child = spawn(program, ["--address", address, "--requests", "0", ...options],
    { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  let out = "";
  const url = await new Promise((resolve, reject) => {
    child.stdout.on("data", (part) => {
      out += part;
      const found = out.match(/https?:\/\/\S+/);
      if (found) resolve(found[0]);
    });
    ended.then((code) => reject(new Error(`gofer-web ended with ${code}: ${out}`)));
  });
  return {
    url,
    async end() {
      child.kill("SIGINT");
      return ended;
    },
  };
}

/** Runs `look(page, server)` on the dashboard; nothing must be wrong in the console at its end. */
async function withDashboard(look, { options = [], context = {} } = {}) {
  const server = await start(options);
  const inContext = await browser.newContext(context);
  const page = await inContext.newPage();
  const wrong = [];
  page.on("console", (m) => { if (["error", "warning"].includes(m.type())) wrong.push(m.text()); });
  page.on("pageerror", (e) => wrong.push(e.message));
  try {
    await page.goto(server.url + "/debug/");
    await page.locator("#link[data-state=live]").waitFor();
    await look(page, server);
    assert.deepEqual(wrong, []);
  } finally {
    await inContext.close();
    await server.end();
  }
}

const text = (page, selector) => page.locator(selector).textContent();
const number = async (page, selector) => Number((await text(page, selector)).replaceAll(",", ""));
const shows = (page, selector, expected) =>
  page.waitForFunction(([s, t]) => new RegExp(t).test(document.querySelector(s).textContent), [selector, expected]);

test("the button plays the load, and the numbers are those of /stats", () => withDashboard(async (page, server) => {
  await page.fill("#load-requests", "60");
  await page.click("#play");
  await shows(page, "#load-state", "^played: 60 of 60 answered, 6 errors, 0 rejected$");
  await shows(page, "#requests", "^60$");
  const stats = await (await fetch(server.url + "/stats")).json();
  assert.equal(stats.requests, 60);
  for (const name of ["requests", "active", "errors", "rejected"]) assert.equal(await number(page, "#" + name), stats[name], name);
  assert.equal(await text(page, "#average"), stats.average_latency_ms.toFixed(1) + " ms");
  const cells = await page.locator("#routes tbody tr").first().locator("td").allTextContents();
  assert.deepEqual(cells.slice(0, 3), ["GET /api/resource/{id}", "60", "6"]);
  assert.ok(await page.locator("#play").isEnabled());
  assert.equal(await page.locator("#load-progress").evaluate((p) => p.value), 1);
}));

test("a load can be stopped, and there is one at a time", () => withDashboard(async (page, server) => {
  await page.fill("#load-requests", "500");
  await page.click("#play");
  await shows(page, "#load-state", "^[1-9]\\d* of 500 answered");
  assert.equal((await fetch(server.url + "/debug/load?requests=5", { method: "POST" })).status, 409);
  await page.click("#stop");
  await shows(page, "#load-state", "^played: ");
  assert.ok(!/^played: 500 of/.test(await text(page, "#load-state")));
  await shows(page, "#active", "^0$");  // what was given up is not worked on
}, { options: ["--workers", "1", "--queue", "1000"] }));

test("what cannot be played is said", () => withDashboard(async (page, server) => {
  for (const wrong of ["0", "x", "-1", "100001", ""]) {
    const answer = await fetch(server.url + "/debug/load?requests=" + wrong, { method: "POST" });
    assert.equal(answer.status, 400, wrong);
    assert.match(await answer.text(), /from 1 to 100000/);
  }
  const foreign = await fetch(server.url + "/debug/load?requests=5", { method: "POST", headers: { Origin: "http://evil.test" } });
  assert.equal(foreign.status, 403);
}));

test("the pool is seen to grow and shrink", () => withDashboard(async (page) => {
  await page.fill("#load-requests", "400");
  await page.click("#play");
  await shows(page, "#load-state", "^played: 400");
  const most = await page.evaluate(() => Math.max(...samples.map((s) => s.workers)));
  assert.ok(most > 2 && most <= 20, String(most));
  await shows(page, "[data-chart=pool] li:first-child b", "^2$");
}, { options: ["--workers", "2", "--max-workers", "20", "--queue", "1000"] }));

test("a distributed pool is shown beside the local one, where one is watched", async () => {
  const folder = mkdtempSync(join(tmpdir(), "gofer-dashboard-"));
  const port = await freePort();
  const nats = spawn("nats-server", ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", folder], { stdio: "ignore" });
  const gone = new Promise((resolve) => nats.on("exit", resolve));
  try {
    await withDashboard(async (page) => {
      await shows(page, "#distributed-title", "^Distributed pool images: no answer$");
      const submitter = spawn(join(dirname(program), "../../examples/distributed_pool"),
        ["--role", "submit", "--tasks", "7", "--server", `nats://127.0.0.1:${port}`], { stdio: "ignore" });
      try {
        await shows(page, "#distributed-title", "^Distributed pool images$");
        await shows(page, "[data-chart=distributed] li:nth-child(3) b", "^7$");
        assert.ok(await page.locator("[data-chart=distributed]").isVisible());
      } finally {
        submitter.kill();
      }
    }, { options: ["--watch-pool", "images", "--nats", `nats://127.0.0.1:${port}`] });
    await withDashboard(async (page) => {
      assert.ok(await page.locator("[data-chart=distributed]").isHidden());
    });
  } finally {
    nats.kill();
    await gone;
    rmSync(folder, { recursive: true });
  }
});

test("fibers can be searched, and their rows stay where they are", () => withDashboard(async (page) => {
  await page.locator("#fibers tbody tr td:text-is('http accept')").waitFor();
  const row = await page.locator("#fibers tr[data-key]").first().elementHandle();
  const count = await page.evaluate(() => samples.length);
  await page.waitForFunction((n) => samples.length >= n + 3, count);
  assert.ok(await row.evaluate((r) => r.isConnected));
  await page.fill("#search-text", "http accept");
  await shows(page, "#fibers-count", "^1 found$");
  assert.equal(await page.locator("#fibers tbody tr").count(), 1);
  assert.match(await text(page, "#fibers tbody"), /net::listener::accept/);
  await page.fill("#search-text", "no such thing");
  await shows(page, "#fibers tbody", "^no fiber has that$");
}));

test("it is usable by keyboard alone", () => withDashboard(async (page) => {
  const reached = new Set();
  for (let i = 0; i < 15; ++i) {
    await page.keyboard.press("Tab");
    const id = await page.evaluate(() => document.activeElement.id);
    reached.add(id);
    if (id === "pause") {
      await page.keyboard.press("Space");
      assert.equal(await page.locator("#pause").getAttribute("aria-pressed"), "true");
      await page.keyboard.press("Space");
    }
    if (id === "load-requests") {
      await page.keyboard.press("Control+A");
      await page.keyboard.type("20");
      await page.keyboard.press("Enter");
    }
  }
  for (const id of ["pause", "load-requests", "search-text"]) assert.ok(reached.has(id), id);
  await shows(page, "#load-state", "^played: 20 of 20");
}));

test("paused, it stands still", () => withDashboard(async (page, server) => {
  await page.waitForFunction(() => samples.length > 0);
  await page.click("#pause");
  const before = await text(page, "#requests");
  await fetch(server.url + "/api/resource/1");
  const count = await page.evaluate(() => samples.length);
  await page.waitForFunction((n) => samples.length >= n + 2, count);
  assert.equal(await text(page, "#requests"), before);
  await page.click("#pause");
  await shows(page, "#requests", "^1$");
}));

test("it fits a phone, light and dark", async () => {
  const backs = [];
  for (const colorScheme of ["light", "dark"]) {
    await withDashboard(async (page) => {
      await page.waitForFunction(() => samples.length > 1);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "scrolls sideways");
      for (const chart of await page.locator("[data-chart]:not([hidden]) canvas").all()) {
        const box = await chart.boundingBox();
        assert.ok(box.width > 200 && box.x >= 0 && box.x + box.width <= 390, JSON.stringify(box));
      }
      backs.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    }, { context: { viewport: { width: 390, height: 844 }, isMobile: true, colorScheme } });
  }
  assert.notEqual(backs[0], backs[1]);
});

test("a page opened later knows what was before", () => withDashboard(async (page) => {
  await page.waitForFunction(() => samples.length > 2);
  const times = await page.evaluate(() => samples.map((s) => s.time));
  await page.reload();
  await page.waitForFunction(() => samples.length > 0);
  const again = await page.evaluate(() => samples.map((s) => s.time));
  assert.deepEqual(again.slice(0, times.length), times);
}));

test("a restarted server is found again, and an open page holds up no shutdown", async () => {
  const first = await start();
  const page = await browser.newPage();
  await page.goto(first.url + "/debug/");
  await page.locator("#link[data-state=live]").waitFor();
  const begin = Date.now();
  assert.equal(await first.end(), 0);
  assert.ok(Date.now() - begin < 9000, "not after the grace of 10 s");
  await page.locator("#link[data-state=lost]").waitFor();
  const second = await start([], new URL(first.url).host);
  await page.locator("#link[data-state=live]").waitFor();
  await page.close();
  await second.end();
});
