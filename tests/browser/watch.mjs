// Checks on every page: requests to other hosts, console messages of the browser, dialogs, size.
import { gzipSync } from "node:zlib";
import { kind } from "./address.mjs";
import { mistakes } from "./markup.mjs";

/** Bytes after gzip, by kind of file. */
const BUDGET = { document: 12_000, stylesheet: 10_000, script: 2_500 };
/** Pages of the API reference that list all schemas or all error codes, and the longest documents; their bytes after gzip. */
const LISTS = /^\/docs\/(api\/(schemas|errors)|conformance|security)$/;
const LIST_BUDGET = 26_000;
/** Bytes after gzip, and requests, of a first visit. */
const FIRST_VISIT = { bytes: 40_000, requests: 4 };

/** How often the HTML of a kind of page is validated in all parts together; its content may differ. */
const READ_MAX = 6;
const timesRead = new Map();

export class Watch {
  constructor(address) {
    this.host = new URL(address).host;
    this.hosts = new Set([this.host]);
    this.problems = new Set();
    this.heaviest = {};
    this.waiting = [];
  }

  problem(text) { this.problems.add(text); }

  /** Allows requests to a host. */
  allow(host) { this.hosts.add(host); }

  /** Watches all pages of a browser context. */
  on(context) {
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && !this.hosts.has(url.host)) { this.problem(`a request to another host: ${request.url()}`); }
    });
    context.on("response", (response) => { this.waiting.push(this.weigh(response)); });
    context.on("console", (message) => {
      // The browser reports each 4xx answer; those are expected.
      const isAnswer = message.text().startsWith("Failed to load resource");
      if (["error", "warning"].includes(message.type()) && !isAnswer) { this.problem(`the browser reports on ${message.page()?.url()}: ${message.text()}`); }
    });
    context.on("weberror", (error) => { this.problem(`a script fails: ${error.error()}`); });
    context.on("dialog", (dialog) => { this.problem(`a dialog opens: ${dialog.message()}`); void dialog.dismiss(); });
  }

  async weigh(response) {
    const type = response.request().resourceType();
    if (new URL(response.url()).host !== this.host) { return; }
    if (response.status() >= 500) { this.problem(`${response.url()} returned ${response.status()}`); }
    if (!(type in BUDGET) || (response.status() >= 300 && response.status() < 400)) { return; }
    const body = await response.body().catch(() => null);
    if (body === null) { return; }
    const isOurs = new URL(response.url()).host === this.host;
    if (isOurs && type === "document" && (response.headers()["content-type"] ?? "").startsWith("text/html")) { await this.read(response, body); }
    if (response.status() >= 300) { return; }
    const bytes = gzipSync(body).length;
    const budget = LISTS.test(new URL(response.url()).pathname) ? LIST_BUDGET : BUDGET[type];
    if (bytes > budget) { this.problem(`${response.url()} weighs ${bytes} bytes after gzip, ${budget} are allowed`); }
    if (bytes > (this.heaviest[type]?.bytes ?? 0)) { this.heaviest[type] = { bytes, at: kind(response.url()) }; }
  }

  /** Validates the HTML of a page: each kind of page, and each answer to a form. */
  async read(response, body) {
    const key = `${response.request().method()} ${kind(response.url())} ${response.status()}`;
    const times = timesRead.get(key) ?? 0;
    if (times >= READ_MAX) { return; }
    timesRead.set(key, times + 1);
    for (const mistake of await mistakes(body.toString("utf8"))) { this.problem(`${key}: ${mistake}`); }
  }

  /** Opens a page in a new browser. */
  async firstVisit(browser, url, cookies) {
    const context = await browser.newContext();
    await context.addCookies(cookies);
    // By address, because the icon of the page is also its image.
    const files = new Map();
    context.on("response", (response) => { files.set(response.url(), response.body().catch(() => Buffer.alloc(0))); });
    const page = await context.newPage();
    await page.goto(url, { waitUntil: "networkidle" });
    const loaded = await Promise.all(files.values());
    await context.close();
    const bytes = loaded.reduce((sum, body) => sum + gzipSync(body).length, 0);
    if (loaded.length > FIRST_VISIT.requests || bytes > FIRST_VISIT.bytes) {
      this.problem(`a first visit of ${url} takes ${loaded.length} requests and ${bytes} bytes`);
    }
    return { requests: loaded.length, bytes };
  }

  async settled() { await Promise.all(this.waiting.splice(0)); }
}
