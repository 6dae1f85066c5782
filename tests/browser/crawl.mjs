// Every page that a link leads to, checked in both color schemes and both widths.
import { kind } from "./address.mjs";
import { axe } from "./program.mjs";
import { SEEN, formulas, injected } from "./injection_names.mjs";

const PAGES_MAX = 150;
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"];
/** Widths with color schemes. Pages get them by turns, because all pages share one style. */
export const LOOKS = [[[1280, "light"], [320, "dark"]], [[320, "light"], [1280, "dark"]]];
let turn = 0;
/** Paths outside of the portal. */
const ELSEWHERE = /^\/(docs|directory|assets|openapi|scim|api|s)\b/;

/** Pages with a list, on which its first entry is visible on a phone without scrolling. `{}` stands for an id. */
const LISTS = new RegExp(`^/(?:${[
  "users", "connections", "connections/deleted", "accounts", "requests", "audit", "webhooks", "profile", "personal-data",
  "settings/(?:people|keys|roles|backup)", "connections/ID/(?:users|groups|requests|tokens|links|deleted)", "webhooks/ID/(?:attempts|keys)",
].join("|").replaceAll("ID", "\\{\\}")})\\?(?!new$)`);
/** A phone, and the part of an entry that is visible at least, in pixels. */
const PHONE = { width: 390, height: 844 };
const VISIBLE = 44;

/** Reports a list whose first entry is below the first screen of a phone. */
async function checkFold(page, watch, where) {
  if (!LISTS.test(kind(page.url()))) { return; }
  await page.setViewportSize(PHONE);
  const top = await page.evaluate(() => {
    const entry = document.querySelector("main article.card, main .card .steps, main .table tbody tr:not(.day)");
    return entry === null ? 0 : entry.getBoundingClientRect().top + scrollY;
  });
  if (top > PHONE.height - VISIBLE) { watch.problem(`${where}: the first entry begins at ${Math.round(top)} of ${PHONE.height} pixels at ${PHONE.width}`); }
}

/** Checks the current page and reports problems. */
export async function look(page, watch, where = page.url()) {
  // A click ends when the next page begins.
  await page.waitForLoadState("load");
  const source = axe();
  for (const problem of await page.evaluate(injected)) { watch.problem(`${where}: ${problem}`); }
  await checkFold(page, watch, where);
  const looks = LOOKS[turn % LOOKS.length];
  turn += 1;
  for (const [width, scheme] of looks) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (overflow > 0) { watch.problem(`${where}: ${overflow} pixels too wide at ${width}`); }
    await page.evaluate(`if (!window.axe) { ${source} }`);
    const rules = { type: "tag", values: TAGS };
    const result = await page.evaluate((runOnly) => window.axe.run(document, { runOnly, resultTypes: ["violations"] }), rules);
    for (const { id, help, nodes } of result.violations) {
      watch.problem(`${where} at ${width}, ${scheme}: ${id} (${help}): ${nodes.slice(0, 2).map((node) => node.html.slice(0, 160)).join(" | ")}`);
    }
  }
}

/** Follows all links from these addresses, each kind of page once. Returns the kinds and the number of pages with poison. */
export async function crawl(page, watch, starts, visit = look) {
  const queue = starts.map((address) => ({ address, from: "the start" }));
  const seen = new Set();
  let poisoned = 0;
  while (queue.length > 0 && seen.size < PAGES_MAX) {
    const { address, from } = queue.shift();
    if (seen.has(kind(address))) { continue; }
    seen.add(kind(address));
    const answer = await page.context().request.get(address);
    if (answer.status() >= 400) {
      watch.problem(`${from} links ${address}, which returns ${answer.status()}`);
      continue;
    }
    const type = answer.headers()["content-type"] ?? "";
    if (type.startsWith("text/csv")) {
      for (const cell of formulas(await answer.text())) { watch.problem(`${address} has a formula: ${cell.slice(0, 60)}`); }
    }
    if (!type.startsWith("text/html")) { continue; }
    await page.goto(address);
    seen.add(kind(page.url()));
    if ((await page.locator("body").innerText()).includes(SEEN)) { poisoned += 1; }
    await visit(page, watch);
    const links = await page.locator("a[href]").evaluateAll((all) => all.map((one) => new URL(one.getAttribute("href"), document.baseURI).href));
    for (const link of links) {
      const url = new URL(link);
      url.hash = "";
      if (url.origin === new URL(address).origin && !ELSEWHERE.test(url.pathname)) { queue.push({ address: url.href, from: page.url() }); }
    }
  }
  return { kinds: [...seen].sort(), poisoned };
}
