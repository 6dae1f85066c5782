// Single sign-on through a real OpenID provider, from the settings to the admins it adds.
import { OWNER, firstRun } from "./flow.mjs";
import { Mouse } from "./input_methods.mjs";
import { CLIENT, startProvider } from "./openid.mjs";

const VERA = "vera@example.com";

async function heading(page, expected) {
  const actual = await page.getByRole("heading", { level: 1 }).innerText();
  if (!expected.test(actual)) { throw new Error(`${page.url()} has the heading "${actual}", not ${expected}`); }
}

async function hasText(page, expected) {
  const actual = await page.locator("main").innerText();
  if (!expected.test(actual)) { throw new Error(`${page.url()} does not contain ${expected}:\n${actual}`); }
}

/** Signs in at the provider. */
async function vouch(page, who) {
  const hand = new Mouse(page);
  await heading(page, /Provider/);
  await hand.fill("Who are you?", who);
  await hand.press("Go on");
}

/** A new browser on the sign-in page. */
async function visitor(open, server, path = "/connections") {
  const page = await open();
  await page.goto(server.address + path);
  await heading(page, /Sign in/);
  return page;
}

async function enter(page, who) {
  await new Mouse(page).follow("Sign in with SSO");
  await vouch(page, who);
}

async function agree(page, hand, provider, look) {
  await page.goto(`${page.url().split("/").slice(0, 3).join("/")}/settings/sso`);
  await look(page);
  await hand.fill("Issuer", `${provider.issuer}/`);
  await hand.fill("Client ID", CLIENT.id);
  await hand.fill("Client secret", CLIENT.secret);
  await hand.press("Save");
  await hand.follow("Test sign-in");
  await heading(page, /The test failed/);
  await look(page);
  await hand.follow("Back to the settings");
  await hand.fill("Issuer", provider.issuer);
  await hand.press("Save");
  await hasText(page, /Give the client secret again/);
  await look(page);
  await hand.fill("Client secret", CLIENT.secret);
  await hand.press("Save");
  await hand.follow("Test sign-in");
  await vouch(page, "olive");
  await heading(page, /The provider answers/);
  await hasText(page, /may sign in: found by the e-mail address[^]*olive@example.com, verified/);
  await look(page);
  await hand.follow("Back to the settings");
  await hand.tick("Offer single sign-on", true);
  await hand.press("Save");
}

/** Sign-ins of known and unknown users. */
async function signIns(page, hand, server, open, look) {
  server.run(["admin", "create", "--email", VERA, "--name", "Vera", "--role", "viewer"], `${OWNER.password}\n`);
  const vera = await visitor(open, server);
  await look(vera);
  await enter(vera, "vera");
  await heading(vera, /Confirm that it is you/);
  await look(vera);
  await new Mouse(vera).fill("Password of the admin here", OWNER.password);
  await new Mouse(vera).press("Link and sign in");
  await heading(vera, /Home|Connections/);
  // In a narrow window the button is in the menu.
  await vera.setViewportSize({ width: 1280, height: 800 });
  await new Mouse(vera).press("Sign out");
  // The session at the provider is still live.
  await new Mouse(vera).follow("Sign in with SSO");
  await heading(vera, /Home|Connections/);
  for (const user of ["sven", "una", "unknown"]) {
    const other = await visitor(open, server);
    await enter(other, user);
    await heading(other, /Single sign-on didn’t work/);
    if (user === "sven") { await look(other); }
    await other.goto(server.address);
    await heading(other, /Sign in/);
  }
  await page.goto(`${server.address}/settings/sso`);
  await hand.tick("Add people when they first sign in", true);
  await hand.fill("Domains", "example.com");
  await hand.fill("Claim", "groups");
  await hand.fill("Role mapping", "admins = provisioning-manager\nstaff = provisioning-manager");
  await hand.press("Save");
  const nils = await visitor(open, server, "/profile");
  await enter(nils, "nils");
  await heading(nils, /Profile/);
  await hasText(nils, /Nils Newcomer[^]*Provisioning manager/);
  const sven = await visitor(open, server);
  await enter(sven, "sven");
  await heading(sven, /Single sign-on didn’t work/);
}

/** Manipulated answers, and a provider that does not answer. */
async function manipulatedAnswers(server, open, provider) {
  const changed = await visitor(open, server);
  const there = await changed.context().request.get(`${server.address}/login/sso`, { maxRedirects: 0 });
  const url = new URL(there.headers().location);
  url.searchParams.set("state", "state-of-another-browser");
  await changed.goto(url.href);
  await vouch(changed, "vera");
  await heading(changed, /Single sign-on didn’t work/);
  provider.fails = true;
  const unlucky = await visitor(open, server);
  await enter(unlucky, "vera");
  await heading(unlucky, /Single sign-on didn’t work/);
  provider.fails = false;
  await new Mouse(unlucky).follow("Try again");
  await heading(unlucky, /Home|Connections/);
}

/** If single sign-on is required, an owner can still sign in without the provider. */
async function withoutProvider(page, hand, server, open, provider, look) {
  await page.goto(`${server.address}/settings/sso`);
  await hand.tick("Require SSO", true);
  await hand.press("Save");
  provider.stop();
  const owner = await visitor(open, server);
  await look(owner);
  const mouse = new Mouse(owner);
  await mouse.follow("Sign in with a password instead (owners only)");
  await mouse.fill("E-mail address", OWNER.email);
  await mouse.fill("Password", OWNER.password);
  await mouse.press("Sign in");
  await heading(owner, /Home|Connections/);
}

/** Calls `look` on every kind of page. */
export async function singleSignOn({ page, server, watch, open }, look) {
  const hand = new Mouse(page);
  const provider = await startProvider(`${server.address}/login/sso/callback`);
  watch.allow(provider.host);
  try {
    await firstRun(page, hand, server);
    await agree(page, hand, provider, look);
    await signIns(page, hand, server, open, look);
    await manipulatedAnswers(server, open, provider);
    await withoutProvider(page, hand, server, open, provider, look);
  } finally {
    provider.stop();
  }
}
