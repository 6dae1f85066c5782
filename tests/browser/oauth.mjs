// OAuth clients in the portal: every method, rotation of a secret, and the setup link.
import { createLink, finishSetup } from "./flow.mjs";
import { Provider } from "./provider.mjs";

const TIMEOUT = 15_000;

function expect(is, sentence) {
  if (!is) { throw new Error(sentence); }
}

/** The values that an admin copies to the console, by the names that the console has. */
async function copied(page, { scimUrl, tokenUrl, clientId, clientSecret }) {
  const value = (name) => page.getByLabel(name, { exact: true }).inputValue();
  const values = { scimUrl: await value(scimUrl), tokenUrl: await value(tokenUrl), clientId: await value(clientId) };
  if (clientSecret !== undefined) { values.clientSecret = await value(clientSecret); }
  expect(/^rcc_\w+$/.test(values.clientId), `this is not a client id: ${values.clientId}`);
  return values;
}

/** Gets an access token with a secret (RFC 6749 section 4.4). Returns the status and the identity provider that uses it. */
async function fetchToken({ scimUrl, tokenUrl, clientId, clientSecret }) {
  const body = new URLSearchParams({ grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret });
  const answer = await fetch(tokenUrl, { method: "POST", body });
  const { access_token: token } = await answer.json();
  return { status: answer.status, idp: new Provider(scimUrl, token) };
}

async function waitForText(page, address, expected) {
  const end = Date.now() + TIMEOUT;
  for (;;) {
    await page.goto(address);
    const actual = await page.locator("main").innerText();
    if (expected.test(actual)) { return; }
    expect(Date.now() < end, `${address} does not contain ${expected}:\n${actual}`);
    await page.waitForTimeout(200);
  }
}

const OKTA = { scimUrl: "SCIM connector base URL", tokenUrl: "Access token endpoint URI", clientId: "Client ID", clientSecret: "Client Secret" };
const FEDERATED = { scimUrl: "SCIM URL", tokenUrl: "Token URL", clientId: "Client ID" };

/** A client with a secret, from the form to an access token. Returns the address of its page. */
export async function addSecretClient(page, hand, connection, label) {
  await page.goto(`${connection.address}/tokens`);
  await hand.follow("Add an OAuth client with a secret");
  await hand.fill("Name", label);
  await hand.press("Add the OAuth client");
  const values = await copied(page, OKTA);
  return { address: page.url().replace(/\?.*$/, ""), values };
}

/** A federated client. Returns the address of its page. */
export async function addFederatedClient(page, hand, connection, { label, subject }) {
  await page.goto(`${connection.address}/oauth-clients/new?method=federated`);
  await hand.fill("Name", label);
  await hand.fill("Issuer", "https://10.1.2.3/v2.0");
  await hand.press("Add the OAuth client");
  expect(await page.locator("#problems").isVisible(), "an address that cannot be called is not refused");
  expect(await page.getByLabel("Issuer", { exact: true }).inputValue() !== "", "the input is lost after a refusal");
  await hand.fill("Issuer", "https://login.example.com/tenant/v2.0");
  await hand.fill("JWKS URL", "https://login.example.com/tenant/keys");
  await hand.fill("Subject", subject);
  await hand.fill("Audience", "api://application/.default");
  await hand.press("Add the OAuth client");
  await copied(page, FEDERATED);
  return page.url().replace(/\?.*$/, "");
}

/** From the recommended method to the deletion. */
export async function manageOauthClients(page, hand, connection) {
  const { address, values } = await addSecretClient(page, hand, connection, "Directory");
  const first = await fetchToken(values);
  expect(first.status === 200, `the displayed values return ${first.status}`);
  await first.idp.test();
  await waitForText(page, connection.address, /Access token fetched \(done\)/);
  await page.goto(address);
  await hand.follow("Create a second secret");
  await hand.fill("Name", "Next year");
  await hand.press("Create the secret");
  const second = { ...values, clientSecret: await page.getByLabel(OKTA.clientSecret, { exact: true }).inputValue() };
  expect(second.clientSecret !== values.clientSecret, "the new secret is the earlier one");
  await waitForText(page, address, /Do not delete the old secret yet/);
  const next = await fetchToken(second);
  expect(next.status === 200, "the second secret does not work");
  await waitForText(page, address, /Delete the old secret/);
  await hand.follow("Delete the old secret");
  await hand.press("Delete the secret");
  expect((await fetchToken(values)).status === 401, "the deleted secret still works");
  expect((await first.idp.call("GET", "/Users")).status === 401, "an access token of the deleted secret still works");
  await next.idp.test();
  await page.goto(address);
  await hand.press("Disable");
  expect((await fetchToken(second)).status === 401, "a disabled client gets access tokens");
  await hand.press("Enable");
  await hand.follow("Change");
  await hand.fill("Scope", "openid");
  await hand.press("Save");
  expect(await page.locator("#problems").isVisible(), "an unknown scope is not refused");
  await hand.fill("Scope", "scim.read");
  await hand.press("Save");
  const reader = await fetchToken(second);
  const created = await reader.idp.call("POST", "/Users", { schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"], userName: "a@example.com" });
  expect(created.status === 403, `a token that may only read creates a user: ${created.status}`);
  const federated = await addFederatedClient(page, hand, connection, { label: "Federated", subject: "object-id" });
  for (const client of [federated, address]) {
    await page.goto(client);
    await hand.follow("Delete this OAuth client");
    await hand.press("Delete the OAuth client");
    expect(await page.locator("#problems").isVisible(), "the deletion is not confirmed");
    await hand.tick("Delete it permanently", true);
    await hand.press("Delete the OAuth client");
  }
  expect(!(await page.locator("main").innerText()).includes("Federated"), "a deleted client is in the list");
}

/** The customer's IT admin makes an OAuth client with a link. */
export async function setUpWithClient(page, hand, guest, connection) {
  const link = await createLink(page, hand, connection.address);
  await guest.page.goto(link);
  await guest.hand.follow("Next: Connect it");
  expect(await guest.page.locator("details.step[open]").count() === 1, "more than one step is open");
  await guest.hand.press("Create the OAuth client");
  const values = await copied(guest.page, OKTA);
  const { status, idp } = await fetchToken(values);
  expect(status === 200, `the values of the link return ${status}`);
  await idp.test();
  await waitForText(guest.page, link, /Access token fetched\s*\(done\)/);
  await idp.user("dora@example.com");
  await finishSetup(guest, link);
}
