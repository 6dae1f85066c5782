// Tests the portal of the real program with a real browser; see docs/portal.md. ROLLCALL is the path of the program.
import { launch } from "./chromium.mjs";
import { crawl, look } from "./crawl.mjs";
import { OWNER, becomes, connect, createLink, enter, firstRun, followLinkEnd, oneTimeCodes, remove, allSteps } from "./flow.mjs";
import { holdConnection, rejectHold } from "./holds.mjs";
import { Keyboard, Mouse } from "./input_methods.mjs";
import { SEEN, POISON, attributes } from "./injection_names.mjs";
import { addFederatedClient, addSecretClient, manageOauthClients, setUpWithClient } from "./oauth.mjs";
import { homeUpdates, listsOnPhone } from "./lists.mjs";
import { start, stopAll } from "./program.mjs";
import { singleSignOn } from "./sso.mjs";
import { Watch } from "./watch.mjs";
import { manageWebhook, twoWebhooks } from "./webhooks.mjs";

const TIMEOUT = 15_000;
const VIEWER = "vera@example.com";
const browser = await launch();
let failed = 0;

/** One part of the test, on a separate server. */
async function part(name, options, run) {
  const begun = Date.now();
  const server = await start();
  const watch = new Watch(server.address);
  const contexts = [];
  const open = async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    contexts.push(context);
    context.setDefaultTimeout(TIMEOUT);
    watch.on(context);
    return context.newPage();
  };
  const page = await open();
  try {
    await run({ page, server, watch, open });
  } catch (error) {
    watch.problem(`${error.stack} (on ${page.url()})`);
  }
  await watch.settled();
  for (const context of contexts) { await context.close(); }
  for (const problem of watch.problems) { console.log(`  ${problem}`); }
  const weight = Object.entries(watch.heaviest).map(([kind, { bytes, at }]) => `${kind} ${bytes} B (${at})`);
  console.log(`${watch.problems.size === 0 ? "ok" : "FAILED"}: ${name}, ${Math.round((Date.now() - begun) / 100) / 10} s; heaviest: ${weight.join(", ")}`);
  if (watch.problems.size > 0) { failed += 1; }
}

/** Fills a connection with poisoned values. */
async function poisoned(page, hand) {
  const connection = await connect(page, hand, { provider: /Microsoft/, account: "acme", name: POISON[0] });
  const users = [];
  for (let index = 0; index < POISON.length; index += 1) {
    users.push(await connection.idp.user(`${POISON[index]}${index}@example.com`, attributes(index)));
  }
  for (const name of POISON) { await connection.idp.group(name, users, { externalId: name }); }
  for (const user of users) { await connection.idp.change(user, "title", POISON[1]); }
  // Refused calls, for the request log.
  await connection.idp.call("POST", "/Users", { schemas: [POISON[0]], userName: users[0].userName });
  await connection.idp.call("GET", `/Users?filter=${encodeURIComponent(`userName eq '${POISON[0]}'`)}`);
  await becomes(page, connection.address, "Live");
  return { ...connection, users };
}

/** Other objects than connections: a key, an admin, and the leftovers of a deleted connection. */
async function otherObjects(page, hand, server) {
  server.run(["api-key", "create", "--name", POISON[1]]);
  server.run(["admin", "create", "--email", VIEWER, "--name", POISON[0], "--role", "viewer"], `${OWNER.password}\n`);
  const left = await connect(page, hand, { provider: /Rippling/, account: POISON[1], name: POISON[0] });
  await left.idp.user("left@example.com", attributes(0));
  await remove(page, hand, left, false);
}

/** An admin with read access: every link works, and a refusal gives the reason. */
async function asViewer(page, watch, server) {
  await page.goto(`${server.address}/connections`);
  await enter(page, new Mouse(page), VIEWER, OWNER.password);
  await crawl(page, watch, [`${server.address}/`], async () => {});
  const answer = await page.goto(`${server.address}/connections/new`);
  if (![403, 404].includes(answer.status())) { watch.problem(`a viewer gets ${answer.status()} for a new connection`); }
  await look(page, watch, "a refusal");
}

/** The setup page, before and after the token is created, and at its end. */
async function setupPages(page, watch, open) {
  const hand = new Mouse(page);
  const { address } = await connect(page, hand, { provider: /PingOne/, account: POISON[0], name: POISON[2] });
  const link = await createLink(page, hand, address);
  await look(page, watch, "a link that was made");
  const guest = await open();
  await guest.goto(link);
  await look(guest, watch, "the setup page");
  await guest.goto(`${link}?show=provider`);
  await look(guest, watch, "the choice of the provider");
  await guest.goto(link);
  await guest.getByRole("link", { name: "Next:" }).click();
  await look(guest, watch, "the setup page with the next step open");
  await guest.getByRole("button", { name: "Create the OAuth client" }).click();
  await look(guest, watch, "the setup page with an OAuth client");
  await guest.goto(`${link}?method=federated`);
  await guest.getByRole("button", { name: "Create the OAuth client" }).click();
  await look(guest, watch, "the setup page with problems");
  await guest.goto(`${link}?method=private_key_jwt`);
  await look(guest, watch, "the setup page for keys");
  await guest.goto(`${link}?method=token`);
  await guest.getByRole("button", { name: "Create the token" }).click();
  await look(guest, watch, "the setup page with a token");
  await guest.getByRole("link", { name: "Finish" }).click();
  await look(guest, watch, "the question at the end of the setup page");
  await guest.getByRole("button", { name: "Finish setup" }).click();
  await look(guest, watch, "the end of the setup page");
  await guest.goto(link);
  await look(guest, watch, "a link that has ended");
}

/** Pages without a link: refusals, forms with problems, lists without results. */
async function sidePages(page, watch, server) {
  await page.goto(`${server.address}/connections/new`);
  await page.getByRole("button", { name: "Add the connection" }).click();
  await look(page, watch, "a new connection with problems");
  await page.goto(`${server.address}/webhooks/new`);
  await page.getByRole("button", { name: "Add the webhook" }).click();
  await look(page, watch, "a new webhook with problems");
  await page.goto(`${server.address}/connections`);
  const connection = await page.locator("tbody a").first().getAttribute("href");
  for (const method of ["secret", "private_key_jwt", "federated"]) {
    await page.goto(`${server.address}${connection}/oauth-clients/new?method=${method}`);
    await page.getByLabel("Name", { exact: true }).fill("");
    await page.getByRole("button", { name: "Add the OAuth client" }).click();
    await look(page, watch, `a new OAuth client with problems (${method})`);
  }
  for (const path of ["/connections/no-such-connection", "/connections?text=nothing-like-it"]) {
    await page.goto(server.address + path);
    await look(page, watch, path);
  }
}

const parts = [];

parts.push(part("all steps without scripts", { javaScriptEnabled: false }, async ({ page, server, open }) => {
  const other = await open();
  await allSteps(page, new Mouse(page), server, { page: other, hand: new Mouse(other) });
}));

parts.push(part("all steps by keyboard", {}, async ({ page, server, open }) => {
  const other = await open();
  await allSteps(page, new Keyboard(page), server, { page: other, hand: new Keyboard(other) });
}));

parts.push(part("single sign-on without scripts", { javaScriptEnabled: false }, (all) => singleSignOn(all, async () => {})));

parts.push(part("single sign-on with page checks", {}, (all) => singleSignOn(all, (page) => look(page, all.watch))));

for (const [how, options, Hand] of [["without scripts", { javaScriptEnabled: false }, Mouse], ["by keyboard", {}, Keyboard]]) {
  parts.push(part(`webhooks ${how}`, options, async ({ page, server }) => {
    const hand = new Hand(page);
    await firstRun(page, hand, server);
    const { idp } = await connect(page, hand, { provider: /Okta/, account: "acme", name: "Okta of Acme" });
    await manageWebhook(page, hand, server, { idp });
  }));
}

for (const [how, options, Hand] of [["without scripts", { javaScriptEnabled: false }, Mouse], ["by keyboard", {}, Keyboard]]) {
  parts.push(part(`OAuth clients ${how}`, options, async ({ page, server, open }) => {
    const hand = new Hand(page);
    await firstRun(page, hand, server);
    const connection = await connect(page, hand, { provider: /Okta/, account: "acme", name: "Okta of Acme" });
    await manageOauthClients(page, hand, connection);
    const guest = await open();
    const other = await connect(page, hand, { provider: /Okta/, account: "globex", name: "Okta of Globex" });
    await setUpWithClient(page, hand, { page: guest, hand: new Hand(guest) }, other);
  }));
}

parts.push(part("an open setup page follows its link", {}, async ({ page, server, open }) => {
  const hand = new Mouse(page);
  await firstRun(page, hand, server);
  const connection = await connect(page, hand, { provider: /Okta/, account: "acme", name: "Okta of Acme" });
  const [one, other] = [await open(), await open()];
  await followLinkEnd(page, hand, [{ page: one, hand: new Mouse(one) }, { page: other, hand: new Mouse(other) }], connection);
}));

for (const [how, options, Hand] of [["without scripts", { javaScriptEnabled: false }, Mouse], ["by keyboard", {}, Keyboard]]) {
  parts.push(part(`one-time codes ${how}`, options, async ({ page, server }) => {
    server.run(["admin", "create", "--email", VIEWER, "--name", "Vera", "--role", "viewer"], `${OWNER.password}\n`);
    await oneTimeCodes(page, new Hand(page), server, { email: VIEWER, password: OWNER.password });
  }));
}

parts.push(part("a hold by keyboard", {}, async ({ page, server }) => {
  const hand = new Keyboard(page);
  await firstRun(page, hand, server);
  const connection = await connect(page, hand, { provider: /Okta/, account: "acme", name: "Okta of Acme" });
  await holdConnection(page, hand, connection);
  await rejectHold(page, hand, connection);
}));

parts.push(part("lists on a phone", { hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 }, javaScriptEnabled: false }, async ({ page, server, watch }) => {
  await listsOnPhone(page, new Mouse(page), server, watch);
}));

parts.push(part("the home page updates itself", {}, async ({ page, server }) => {
  await homeUpdates(page, new Mouse(page), server);
}));

parts.push(part("every page", {}, async ({ page, server, watch, open }) => {
  const hand = new Mouse(page);
  await page.goto(server.setup);
  await look(page, watch, "/setup");
  await firstRun(page, hand, server);
  await look(page, watch, "no connections");
  const { token, users, idp } = await poisoned(page, hand);
  await otherObjects(page, hand, server);
  const webhooks = await twoWebhooks(page, hand, server, { idp, name: POISON[0] });
  const okta = await connect(page, hand, { provider: /Okta/, account: "acme", name: `${POISON[0]} with OAuth` });
  await addSecretClient(page, hand, okta, POISON[0]);
  await addFederatedClient(page, hand, okta, { label: POISON[1], subject: POISON[0] });
  await holdConnection(page, hand, okta);
  const find = `/find?q=${encodeURIComponent(users[0].userName)}`;
  const { kinds, poisoned: count } = await crawl(page, watch, [`${server.address}/`, server.address + find, webhooks.failing]);
  console.log(`  ${kinds.length} kinds of pages: ${kinds.join(" ")}`);
  if (count < 3) { watch.problem(`only ${count} pages show "${SEEN}": the test proves nothing`); }
  if (token === "") { watch.problem("there is no token"); }
  await setupPages(page, watch, open);
  await sidePages(page, watch, server);
  const cookies = await page.context().cookies();
  const visit = await watch.firstVisit(browser, `${server.address}/connections`, cookies);
  console.log(`  a first visit: ${visit.requests} requests, ${visit.bytes} bytes`);
  // In a narrow window the button is in the menu.
  await page.setViewportSize({ width: 320, height: 800 });
  await page.getByText("Menu", { exact: true }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${server.address}/login`);
  await look(page, watch);
  await enter(page, hand, OWNER.email, "wrong");
  await look(page, watch, "/login with a problem");
  await asViewer(await open(), watch, server);
}));

parts.push(part("the API reference", {}, async ({ page, server, watch }) => {
  await page.goto(`${server.address}/docs/api`);
  const paths = await page.locator(".side a").evaluateAll((all) => all.map((one) => one.pathname));
  const pages = [...new Set(paths)].filter((path) => path.startsWith("/docs/api"));
  if (pages.length < 20) { watch.problem(`the API reference has only ${pages.length} pages`); }
  for (const path of pages) {
    await page.goto(server.address + path);
    await look(page, watch, path);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${server.address}/docs/api/tokens`);
  await page.getByLabel("Python", { exact: true }).check();
  await page.getByRole("region", { name: "Python: Create a token" }).waitFor();
  await page.getByRole("searchbox").fill("connection_name_taken");
  await page.getByRole("region", { name: "Results" }).getByRole("link").click();
  await page.waitForURL("**/docs/api/errors#connection_name_taken");
  await page.getByRole("link", { name: "Back to the portal" }).first().waitFor();
}));

parts.push(part("the API reference without scripts", { javaScriptEnabled: false }, async ({ page, server }) => {
  await page.goto(`${server.address}/docs/api/tokens`);
  await page.getByLabel("JavaScript", { exact: true }).check();
  await page.getByRole("region", { name: "JavaScript: Create a token" }).waitFor();
  await page.getByRole("searchbox").fill("rotate token");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByRole("link", { name: "Rotate a token (alias)" }).click();
  await page.waitForURL("**/docs/api/tokens#rotateToken");
}));

parts.push(part("the documents", {}, async ({ page, server, watch }) => {
  await page.goto(`${server.address}/docs`);
  await look(page, watch);
  const paths = await page.locator("main dl a").evaluateAll((all) => all.map((one) => one.pathname));
  if (paths.length < 20) { watch.problem(`there are only ${paths.length} documents`); }
  for (const path of paths) {
    await page.goto(server.address + path);
    await look(page, watch, path);
  }
}));

await Promise.all(parts);
await browser.close();
await stopAll();
process.exit(failed === 0 ? 0 : 1);
