// Signing in through a real OpenID provider, from the settings to the people whom it brings.
import { OWNER, firstRun } from "./flow.mjs";
import { Mouse } from "./hands.mjs";
import { CLIENT, startProvider } from "./openid.mjs";

const VERA = "vera@example.com";

async function headed(page, wanted) {
  const shown = await page.getByRole("heading", { level: 1 }).innerText();
  if (!wanted.test(shown)) { throw new Error(`${page.url()} is headed "${shown}", not ${wanted}`); }
}

async function says(page, wanted) {
  const shown = await page.locator("main").innerText();
  if (!wanted.test(shown)) { throw new Error(`${page.url()} does not say ${wanted}:\n${shown}`); }
}

/** Says who one is at the provider. */
async function vouch(page, who) {
  const hand = new Mouse(page);
  await headed(page, /Provider/);
  await hand.fill("Who are you?", who);
  await hand.press("Go on");
}

/** A browser that was never here, as far as the page on which somebody is wanted to sign in. */
async function visitor(open, server, path = "/connections") {
  const page = await open();
  await page.goto(server.address + path);
  await headed(page, /Sign in/);
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
  await hand.fill("Client id", CLIENT.id);
  await hand.fill("Client secret", CLIENT.secret);
  await hand.press("Save");
  await hand.follow("Test it");
  await headed(page, /The test failed/);
  await look(page);
  await hand.follow("Back to the settings");
  await hand.fill("Issuer", provider.issuer);
  await hand.press("Save");
  await says(page, /Give the client secret again/);
  await look(page);
  await hand.fill("Client secret", CLIENT.secret);
  await hand.press("Save");
  await hand.follow("Test it");
  await vouch(page, "olive");
  await headed(page, /The provider answers/);
  await says(page, /may sign in: known by the e-mail address[^]*olive@example.com, verified/);
  await look(page);
  await hand.follow("Back to the settings");
  await hand.tick("Offer single sign-on", true);
  await hand.press("Save");
}

/** People whom the provider brings, known and unknown. */
async function people(page, hand, server, open, look) {
  server.run(["admin", "create", "--email", VERA, "--name", "Vera", "--role", "viewer"], `${OWNER.password}\n`);
  const vera = await visitor(open, server);
  await look(vera);
  await enter(vera, "vera");
  await headed(vera, /Connections/);
  await new Mouse(vera).press("Sign out");
  // The provider still knows her.
  await new Mouse(vera).follow("Sign in with SSO");
  await headed(vera, /Connections/);
  for (const stranger of ["sven", "una", "nobody at all"]) {
    const other = await visitor(open, server);
    await enter(other, stranger);
    await headed(other, /Single sign-on did not work/);
    if (stranger === "sven") { await look(other); }
    await other.goto(server.address);
    await headed(other, /Sign in/);
  }
  await page.goto(`${server.address}/settings/sso`);
  await hand.tick("Add people when they first sign in", true);
  await hand.fill("Domains", "example.com");
  await hand.fill("Claim", "groups");
  await hand.fill("Table", "admins = provisioning-manager\nstaff = provisioning-manager");
  await hand.press("Save");
  const nils = await visitor(open, server, "/profile");
  await enter(nils, "nils");
  await headed(nils, /Profile/);
  await says(nils, /Nils Newcomer[^]*Provisioning manager/);
  const sven = await visitor(open, server);
  await enter(sven, "sven");
  await headed(sven, /Single sign-on did not work/);
}

/** Answers that were tampered with on the way, and a provider that does not answer. */
async function mischief(server, open, provider) {
  const changed = await visitor(open, server);
  const there = await changed.context().request.get(`${server.address}/login/sso`, { maxRedirects: 0 });
  const url = new URL(there.headers().location);
  url.searchParams.set("state", "known-to-somebody-else");
  await changed.goto(url.href);
  await vouch(changed, "vera");
  await headed(changed, /Single sign-on did not work/);
  provider.fails = true;
  const unlucky = await visitor(open, server);
  await enter(unlucky, "vera");
  await headed(unlucky, /Single sign-on did not work/);
  provider.fails = false;
  await new Mouse(unlucky).follow("Try again");
  await headed(unlucky, /Connections/);
}

/** Where single sign-on is the rule, an owner still gets in when the provider is gone. */
async function withoutProvider(page, hand, server, open, provider, look) {
  await page.goto(`${server.address}/settings/sso`);
  await hand.tick("Passwords for owners only", true);
  await hand.press("Save");
  provider.stop();
  const owner = await visitor(open, server);
  await look(owner);
  const mouse = new Mouse(owner);
  await mouse.follow("An owner, and the provider does not answer?");
  await mouse.fill("E-mail address", OWNER.email);
  await mouse.fill("Password", OWNER.password);
  await mouse.press("Sign in");
  await headed(owner, /Connections/);
}

/** `look` is what is done on every kind of page. */
export async function singleSignOn({ page, server, watch, open }, look) {
  const hand = new Mouse(page);
  const provider = await startProvider(`${server.address}/login/sso/callback`);
  watch.allow(provider.host);
  try {
    await firstRun(page, hand, server);
    await agree(page, hand, provider, look);
    await people(page, hand, server, open, look);
    await mischief(server, open, provider);
    await withoutProvider(page, hand, server, open, provider, look);
  } finally {
    provider.stop();
  }
}
