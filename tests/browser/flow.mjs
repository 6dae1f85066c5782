// The steps of a new customer in the portal, from the first run to the deletion.
import { createHmac } from "node:crypto";
import { Provider } from "./provider.mjs";

export const OWNER = { name: "Olive Owner", email: "olive@example.com", password: "a long sentence is easy to remember" };

/** Maximum wait until a page has the expected content. */
const TIMEOUT = 15_000;

function expect(is, sentence) {
  if (!is) { throw new Error(sentence); }
}

async function heading(page, expected) {
  const actual = await page.getByRole("heading", { level: 1 }).innerText();
  expect(expected.test(actual), `${page.url()} has the heading "${actual}", not ${expected}`);
}

/** Reloads the page until it shows that state. */
export async function becomes(page, address, state) {
  const end = Date.now() + TIMEOUT;
  for (;;) {
    await page.goto(address);
    const actual = await page.locator(".headline .pill").first().innerText();
    if (actual.trim() === state) { return; }
    expect(Date.now() < end, `${address} stays "${actual}" and does not become "${state}"`);
    await page.waitForTimeout(200);
  }
}

export async function firstRun(page, hand, server) {
  await page.goto(server.setup);
  await hand.fill("Your name", OWNER.name);
  await hand.fill("E-mail address", OWNER.email);
  await hand.fill("Password", "short");
  await hand.press("Create owner account");
  expect(await page.locator("#problems").isVisible(), "a short password is not refused");
  expect(await page.getByLabel("Your name").inputValue() === OWNER.name, "the input is lost after a refusal");
  await hand.fill("Password", OWNER.password);
  await hand.press("Create owner account");
  await heading(page, /Home/);
  const again = await page.context().request.get(server.setup);
  expect(again.status() === 404, `the address of the first run still works: ${again.status()}`);
}

/** Fills the sign-in page. */
export async function enter(page, hand, email, password) {
  await hand.fill("E-mail address", email);
  await hand.fill("Password", password);
  await hand.press("Sign in");
}

export async function signIn(page, hand) {
  await hand.press("Sign out");
  await page.goto(new URL("/connections", page.url()).href);
  await heading(page, /Sign in/);
  await enter(page, hand, OWNER.email, "not the password at all");
  expect(await page.getByRole("alert").isVisible(), "a wrong password is not refused");
  await enter(page, hand, OWNER.email, OWNER.password);
  await heading(page, /Connections/);
}

/** Creates a connection in the portal; returns the identity provider that writes to it, and its address. */
export async function connect(page, hand, { provider, account, name }) {
  await page.goto(new URL("/connections", page.url()).href);
  await hand.follow("Add connection");
  await hand.choose(provider);
  await hand.fill("Customer ID", account);
  await hand.fill("Name", name);
  await hand.press("Add the connection");
  const url = await page.getByLabel("Provisioning URL").inputValue();
  const token = await page.getByLabel("Token", { exact: true }).inputValue();
  expect(/^rct_\w{40,}$/.test(token), `this is not a token: ${token}`);
  await hand.follow("Next: steps for");
  await heading(page, new RegExp(name));
  const address = page.url().replace(/\/setup$/, "");
  return { idp: new Provider(url, token), address, token, name };
}

export async function provision(page, { idp, address }) {
  await becomes(page, address, "Waiting");
  await idp.test();
  await becomes(page, address, "Testing");
  const alice = await idp.user("alice@example.com");
  const bob = await idp.user("bob@example.com");
  await idp.group("Analysts", [alice, bob]);
  await idp.change(alice, "active", false);
  await becomes(page, address, "Live");
  return { alice, bob };
}

/** Opens the menu with the other actions of a connection. */
export async function openActions(page, hand) {
  await hand.open(page.locator(".more summary"));
}

export async function pauseAndResume(page, hand, { address, idp }) {
  await page.goto(address);
  await openActions(page, hand);
  await hand.press("Pause");
  await becomes(page, address, "Paused");
  await idp.user("carol@example.com");
  await openActions(page, hand);
  await hand.press("Resume");
  await becomes(page, address, "Live");
}

/** Reloads the page until it contains that text. */
async function waitForText(page, address, expected) {
  const end = Date.now() + TIMEOUT;
  for (;;) {
    const answer = await page.goto(address);
    const actual = await page.locator("main").innerText();
    if (expected.test(actual)) { return answer; }
    expect(Date.now() < end, `${address} does not contain ${expected}:\n${actual}`);
    await page.waitForTimeout(200);
  }
}

/** Replaces the token by a new one. */
export async function rotate(page, hand, connection) {
  await page.goto(`${connection.address}/tokens`);
  await hand.follow("Create a new token");
  await hand.fill("Name", "Second token");
  await hand.press("Create the token");
  const token = await page.getByLabel("Token", { exact: true }).inputValue();
  expect(token !== connection.token, "the new token is the old one");
  await waitForText(page, `${connection.address}/tokens`, /Do not revoke the old token yet/);
  const old = connection.idp;
  connection.idp = new Provider(old.url, token);
  await connection.idp.test();
  await waitForText(page, `${connection.address}/tokens`, /It was first used/);
  const firstUse = await page.locator("#token-list tbody tr").first().locator("td").nth(4).innerText();
  expect(firstUse !== "never", "the table says that the new token was never used");
  expect((await old.call("GET", "/Users")).status === 200, "the old token stops working before it is revoked");
  await hand.press("Revoke the old token");
  expect((await old.call("GET", "/Users")).status === 401, "the old token works after its revocation");
  await connection.idp.test();
  connection.token = token;
}

/** Creates a setup link and returns it. The form is folded if the connection has links. */
export async function createLink(page, hand, address) {
  await page.goto(`${address}/links`);
  const folded = page.locator("#create:not([open]) > summary");
  if (await folded.count() > 0) { await hand.open(folded); }
  await hand.press("Create the link");
  return page.getByLabel("Setup link", { exact: true }).inputValue();
}

/** The customer's IT admin sets up a connection with a link, in a separate browser. */
export async function setUpLink(page, hand, guest, connection) {
  const link = await createLink(page, hand, connection.address);
  await guest.page.goto(`${link}?method=token`);
  await guest.hand.press("Create the token");
  const url = await guest.page.locator("#url").inputValue();
  const token = await guest.page.locator("#token").inputValue();
  expect(url === connection.idp.url && token !== connection.token, "the link returns other values");
  connection.idp = new Provider(url, token);
  connection.token = token;
  const done = async () => {
    await guest.page.goto(link);
    return guest.page.locator(".checks li.done").count();
  };
  expect(await done() === 0, "steps are ticked before anything has arrived");
  await connection.idp.test();
  const end = Date.now() + TIMEOUT;
  while (await done() < 2) { expect(Date.now() < end, "the test of the provider ticks nothing"); }
  await connection.idp.user("dora@example.com");
  await finishSetup(guest, link);
}

/** A setup page that is open in one browser learns what happens in another: its token is replaced, and the link ends. */
export async function followLinkEnd(page, hand, [one, other], connection) {
  const link = await createLink(page, hand, connection.address);
  for (const visitor of [one, other]) {
    await visitor.page.goto(`${link}?method=token`);
    await visitor.hand.press("Create the token");
    await visitor.page.locator("#token").waitFor();
  }
  await one.page.locator("#token").waitFor({ state: "detached", timeout: TIMEOUT });
  await other.hand.follow("Finish");
  await other.hand.press("Finish setup");
  await one.page.getByRole("heading", { name: "This setup link has ended" }).waitFor({ timeout: TIMEOUT });
}

/** The holder of a link sees the first user, finishes the setup and confirms it. The link then no longer works. */
export async function finishSetup(guest, link) {
  await waitForText(guest.page, link, /Working: \d+ user/);
  await guest.hand.follow("Finish");
  await guest.hand.press("Finish setup");
  expect(/closed for everyone/.test(await guest.page.locator("main").innerText()), "the setup is not finished");
  const after = await guest.page.request.get(link);
  expect(after.status() === 410 && /has ended/.test(await after.text()), `a finished link returns ${after.status()}`);
}

export async function remove(page, hand, { address, idp, name, token }, purge) {
  await page.goto(address);
  await openActions(page, hand);
  await hand.follow("Delete…");
  await hand.fill(`Type ${name} to confirm`, `${name}?`);
  await hand.press("Delete the connection");
  expect(await page.locator("#problems").isVisible(), "a wrong name deletes the connection");
  const box = page.getByLabel("Also delete the");
  expect(await box.isChecked(), "the purge is not ticked by default");
  await hand.tick("Also delete the", purge);
  await hand.fill(`Type ${name} to confirm`, name);
  await hand.press("Delete the connection");
  const receipt = await page.locator("main").innerText();
  expect(/was deleted/.test(receipt) && /permanently deleted/i.test(receipt) === purge, `the receipt is wrong: ${receipt}`);
  expect(!(await page.content()).includes(token), "the receipt shows the token");
  const answer = await idp.call("GET", "/Users");
  expect(answer.status === 401, `the token of a deleted connection returns ${answer.status}`);
}

/** The code of an authenticator app for a secret, that many steps of 30 seconds from now (RFC 6238). */
function code(secret, steps = 0) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const tag = createHmac("sha1", key).update(step).digest();
  return String((tag.readUInt32BE(tag[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** Enables one-time codes, signs in with one and with a recovery code, and disables them. */
export async function oneTimeCodes(page, hand, server, { email, password }) {
  const signInAgain = async () => {
    await hand.press("Sign out");
    await page.goto(`${server.address}/profile`);
    await enter(page, hand, email, password);
    await heading(page, /one-time code/);
  };
  await page.goto(`${server.address}/profile`);
  await enter(page, hand, email, password);
  await hand.fill("Your password", password);
  await hand.press("Set up two-step sign-in");
  const secret = await page.getByLabel("Secret", { exact: true }).inputValue();
  await hand.fill("Code", "000000");
  await hand.press("Turn on");
  expect(await page.locator("#problems").isVisible(), "a wrong code switches codes on");
  await hand.fill("Code", code(secret));
  await hand.press("Turn on");
  const recovery = (await page.locator("ul.mono li").first().innerText()).trim();
  await hand.follow("I saved my codes");
  await signInAgain();
  await hand.fill("Code", code(secret, 1));
  await hand.press("Sign in");
  await heading(page, /Profile/);
  // The attempts of this minute are used up.
  await page.waitForTimeout(25_000);
  await signInAgain();
  await hand.fill("Code", recovery);
  await hand.press("Sign in");
  await heading(page, /Profile/);
  await page.waitForTimeout(13_000);
  await hand.fill("Your password", password);
  await hand.press("Turn off two-step sign-in");
  expect(/Two-step sign-in is off/.test(await page.locator("main").innerText()), "codes cannot be switched off");
}

/** A custom role and a key: first invalid forms, then valid ones. */
export async function rolesAndKeys(page, hand, server) {
  for (const [list, add, save, remove] of [["roles", "Add role", "Save role", "Delete role"], ["keys", "Create API key", "Create key", "Revoke key"]]) {
    await page.goto(`${server.address}/settings/${list}`);
    await hand.follow(add);
    await hand.press(save);
    expect(await page.locator("#problems").isVisible(), `an empty name is accepted at ${list}`);
    await hand.fill("Name", "Of the flow");
    await hand.tick("View the audit log", true);
    await hand.press(save);
    if (list === "keys") { expect((await page.getByLabel("Secret", { exact: true }).inputValue()).length > 30, "there is no secret"); }
    if (list === "roles") { await hand.follow("Of the flow"); }
    await hand.press(remove);
    expect(!(await page.locator("main").innerText()).includes("Of the flow"), `what was removed is still at ${list}`);
  }
}

/** All steps; the guest is the customer's IT admin. */
export async function allSteps(page, hand, server, guest) {
  await firstRun(page, hand, server);
  await signIn(page, hand);
  await rolesAndKeys(page, hand, server);
  for (const purge of [true, false]) {
    const connection = await connect(page, hand, { provider: /Okta/, account: "acme", name: purge ? "Okta of Acme" : "Second try" });
    if (purge) {
      await provision(page, connection);
      await pauseAndResume(page, hand, connection);
      await rotate(page, hand, connection);
    } else {
      await setUpLink(page, hand, guest, connection);
    }
    await remove(page, hand, connection, purge);
  }
}
