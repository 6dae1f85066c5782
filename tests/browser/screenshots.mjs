// Screenshots of every page for review: node tests/browser/screenshots.mjs [FOLDER]. ROLLCALL is the path of the program.
// With --docs it creates those of docs/screenshots instead.
import { mkdirSync } from "node:fs";
import { launch } from "./chromium.mjs";
import { kind } from "./address.mjs";
import { LOOKS, crawl } from "./crawl.mjs";
import { connect, firstRun, openActions } from "./flow.mjs";
import { holdConnection } from "./holds.mjs";
import { Mouse } from "./input_methods.mjs";
import { addFederatedClient, addSecretClient } from "./oauth.mjs";
import { start, stopAll } from "./program.mjs";
import { singleSignOn } from "./sso.mjs";
import { Watch } from "./watch.mjs";
import { twoWebhooks } from "./webhooks.mjs";

const forDocs = process.argv.includes("--docs");
const folder = process.argv.slice(2).find((arg) => !arg.startsWith("--")) ?? (forDocs ? "docs/screenshots" : "tests/browser/shots");
const USERS = ["ada", "grace", "alan", "edsger", "barbara", "donald", "margaret", "john", "katherine", "dennis"];
mkdirSync(folder, { recursive: true });

/** The file name for the screenshot of an address. */
function file(address) {
  return kind(address).replace(/\{\}/g, "one").replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "") || "start";
}

async function shoot(page, name) {
  for (const [width, scheme] of LOOKS.flat()) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: `${folder}/${name}-${width}-${scheme}.png`, fullPage: true });
  }
}

/** Connections in every state: one live, one failing, one tested, one paused, one waiting. */
async function connections(page, hand) {
  const samples = [[/Okta/, "acme", "Acme: Okta"], [/Microsoft/, "globex", "Globex: Entra ID"], [/OneLogin/, "initech", "Initech: OneLogin"],
    [/JumpCloud/, "umbrella", "Umbrella: JumpCloud"], [/PingOne/, "hooli", "Hooli: PingOne"]];
  const made = [];
  for (const [provider, account, name] of samples) { made.push(await connect(page, hand, { provider, account, name })); }
  const [live, failing, tested, paused] = made;
  for (const { idp } of [live, failing, paused]) {
    const users = [];
    for (const name of USERS) { users.push(await idp.user(`${name}@example.com`, { displayName: name[0].toUpperCase() + name.slice(1), title: "Engineer", deskColour: "red",
      "urn:ietf:params:scim:schemas:extension:Acme:2.0:User": { badge: { number: "7" }, floors: [1, 2] } })); }
    await idp.group("Engineering", users);
    await idp.group("Analysts", users.slice(0, 3));
    await idp.change(users[0], "active", false);
    await idp.change(users[1], "title", "Team lead");
  }
  await tested.idp.test();
  await live.idp.call("POST", "/Users", { userName: "ada@example.com", schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"] });
  for (let call = 0; call < 8; call += 1) { await failing.idp.call("POST", "/Users", { userName: "ada@example.com", schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"] }); }
  await page.goto(paused.address);
  await openActions(page, hand);
  await hand.press("Pause");
  await page.waitForTimeout(1500);
  return made;
}

/** The pages of single sign-on, on a separate server, because they need a provider. */
async function signingOn() {
  const own = await start();
  const open = async () => (await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" })).newPage();
  let shots = 0;
  const shot = async (page) => { shots += 1; await shoot(page, `sso-${shots}-${file(page.url())}`); };
  await singleSignOn({ page: await open(), server: own, watch: new Watch(own.address), open }, shot);
}

const browser = await launch();
const server = await start();
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
const page = await context.newPage();
const hand = new Mouse(page);
const watch = new Watch(server.address);
await page.goto(server.setup);
if (!forDocs) { await shoot(page, "setup"); }
await firstRun(page, hand, server);
if (forDocs) {
  const [live, , , , waiting] = await connections(page, hand);
  await holdConnection(page, hand, waiting);
  await page.setViewportSize({ width: 1000, height: 712 });
  for (const [name, address] of [["connections", `${server.address}/connections`], ["connection", live.address], ["steps", `${live.address}/setup`], ["hold", `${waiting.address}/hold`]]) {
    await page.goto(address);
    // Replaces the address of this run by a readable one.
    await page.locator("#url").evaluateAll((fields) => fields.forEach((field) => {
      field.value = field.value.replace(location.origin, "https://scim.example.com");
    }));
    // That address has no HTTPS, which the page warns about.
    await page.locator(".notice.warn", { hasText: "public URL" }).evaluateAll((notices) => notices.forEach((notice) => notice.remove()));
    await page.screenshot({ path: `${folder}/${name}.png` });
  }
} else {
  await shoot(page, "connections-none");
  const [live, , , , waiting] = await connections(page, hand);
  await holdConnection(page, hand, waiting);
  await addSecretClient(page, hand, live, "Okta");
  await addFederatedClient(page, hand, live, { label: "Workload identity", subject: "5f0f7a9c-77d0-4c3b-9b1a-2b6f8f6f2f10" });
  const { failing } = await twoWebhooks(page, hand, server, { idp: live.idp, name: "Directory" });
  await crawl(page, watch, [`${server.address}/`, failing, `${server.address}/find?q=grace@example.com`], async () => shoot(page, file(page.url())));
  await page.goto(`${server.address}/connections/new`);
  await hand.press("Add the connection");
  await shoot(page, "new-with-problems");
  await page.goto(`${server.address}/connections/no-such-connection`);
  await shoot(page, "refusal");
  await hand.press("Sign out").catch(() => page.context().clearCookies());
  await page.context().clearCookies();
  await page.goto(`${server.address}/login`);
  await shoot(page, "sign-in");
  await signingOn();
}
for (const problem of watch.problems) { console.log(problem); }
await browser.close();
await stopAll();
