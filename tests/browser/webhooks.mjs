// Webhooks in the portal: an application on this machine that receives events, and what an admin does with them.
import { createServer } from "node:http";

const TIMEOUT = 15_000;

function expect(is, sentence) {
  if (!is) { throw new Error(sentence); }
}

/** An application that answers every request with the same status. */
export class Receiver {
  constructor() {
    this.status = 200;
    this.requests = [];
    this.server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) { body += chunk; }
      this.requests.push({ headers: request.headers, body });
      response.writeHead(this.status, { "content-type": "text/plain" }).end(this.status < 300 ? "applied" : "the queue is full");
    });
  }

  async start() {
    await new Promise((go) => { this.server.listen(0, "127.0.0.1", go); });
    this.url = `http://127.0.0.1:${this.server.address().port}/directory/events`;
    return this;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Reloads the page until it contains that text. */
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

/** Adds a webhook in the portal. Returns its address and its secret. */
export async function addWebhook(page, hand, server, { url, name }) {
  await page.goto(`${server.address}/webhooks`);
  await hand.follow("Add a webhook");
  await hand.fill("URL of your application", url);
  await hand.fill("Name", name);
  await hand.press("Add the webhook");
  const secret = await page.getByLabel("Secret", { exact: true }).inputValue();
  expect(/^whsec_.{44}$/.test(secret), `this is not a secret: ${secret}`);
  return { address: page.url().replace(/\/keys.*$/, ""), secret };
}

/** A webhook that has delivered events, and one whose events are not accepted. Returns their addresses. */
export async function twoWebhooks(page, hand, server, { idp, name }) {
  const [good, bad] = [await new Receiver().start(), await new Receiver().start()];
  bad.status = 503;
  const delivering = await addWebhook(page, hand, server, { url: good.url, name: `${name} delivers` });
  const failing = await addWebhook(page, hand, server, { url: bad.url, name: `${name} fails` });
  await idp.user("webhook@example.com");
  await waitForText(page, `${delivering.address}/attempts`, /200 accepted/);
  await waitForText(page, failing.address, /Retrying/);
  await page.goto(delivering.address);
  await hand.press("Send a test");
  good.stop();
  bad.stop();
  return { delivering: delivering.address, failing: failing.address };
}

/** From an invalid form to the deletion. */
export async function manageWebhook(page, hand, server, { idp }) {
  const receiver = await new Receiver().start();
  await page.goto(`${server.address}/webhooks/new`);
  await hand.fill("URL of your application", "https://10.1.2.3/events");
  await hand.press("Add the webhook");
  expect(await page.locator("#problems").isVisible(), "an address that cannot be called is not refused");
  const { address, secret } = await addWebhook(page, hand, server, { url: receiver.url, name: "My application" });
  await hand.press("Create a new key");
  const second = await page.getByLabel("Secret", { exact: true }).inputValue();
  expect(second !== secret, "the new secret is the earlier one");
  await hand.press("Remove it now");
  await page.goto(address);
  await hand.press("Send a test");
  expect(/answered 200/.test(await page.locator("main").innerText()), "the result of the test is not displayed");
  await page.goto(address);
  await hand.press("Pause");
  await idp.user("waits@example.com");
  await waitForText(page, address, /Paused by an admin/);
  receiver.status = 500;
  await hand.press("Resume");
  await waitForText(page, address, /Retrying/);
  await hand.follow("Resume");
  receiver.status = 200;
  await hand.press("Try again now");
  await waitForText(page, address, /Everything was delivered/);
  await page.goto(`${address}/attempts?outcome=success`);
  await hand.follow("Event");
  const before = receiver.requests.length;
  await hand.press("Send again");
  const end = Date.now() + TIMEOUT;
  while (receiver.requests.length === before) {
    expect(Date.now() < end, "the events are not sent again");
    await page.waitForTimeout(100);
  }
  expect(receiver.requests.at(-1).headers["webhook-resend"] === "true", "the repetition is not marked");
  await page.goto(`${address}/settings`);
  await hand.fill("Name", "Renamed");
  await hand.press("Save the settings");
  await page.getByRole("heading", { level: 1, name: "Renamed" }).waitFor();
  await hand.follow("Delete this webhook");
  await hand.tick("Delete it permanently", true);
  await hand.press("Delete the webhook");
  expect(/No webhooks yet/.test(await page.locator("main").innerText()), "the webhook is still in the list");
  receiver.stop();
}
