// Verifies a request of a webhook with the npm package standardwebhooks. ROLLCALL is the path of the program.
import { once } from "node:events";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";
import { start, stopAll } from "./program.mjs";

const API = "/directory/resources/v1";
const requests = [];
const receiver = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) { chunks.push(chunk); }
  requests.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
  response.writeHead(204).end();
  receiver.emit("received");
}).listen(0, "127.0.0.1");
await once(receiver, "listening");

const server = await start();
const { secret: key } = JSON.parse(server.run(["api-key", "create", "--name", "webhook", "--output", "json"]));
async function post(path, body, headers = {}) {
  const response = await fetch(`${server.address}${API}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) { throw new Error(`${path}: ${response.status} ${await response.text()}`); }
  return response.json();
}

let code = 0;
try {
  const { secret } = await post("/webhooks", { url: `http://127.0.0.1:${receiver.address().port}/` });
  const received = once(receiver, "received", { signal: AbortSignal.timeout(20_000) });
  await post("/configurations/scim2", { source: "okta" }, { "frontegg-tenant-id": "verified" });
  await received;
  const { headers, body } = requests[0];
  const webhook = new Webhook(secret);
  const { data } = webhook.verify(body, headers);
  if (data.events[0].kind !== "configuration.created") { throw new Error(body); }
  const refuses = (other, otherHeaders) => {
    try { webhook.verify(other, otherHeaders); } catch { return; }
    throw new Error("a changed request was accepted");
  };
  refuses(`${body} `, headers);
  refuses(body, { ...headers, "webhook-id": "msg_other" });
  refuses(body, { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) });
  console.log("ok: a request of a webhook is verified by the npm package standardwebhooks");
} catch (error) {
  console.log(`FAILED: webhook: ${error.stack}`);
  code = 1;
}
receiver.close();
receiver.closeAllConnections();
await stopAll();
process.exit(code);
