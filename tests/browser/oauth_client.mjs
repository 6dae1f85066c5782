// Gets access tokens with the npm package oauth4webapi, from the metadata document alone. ROLLCALL is the path of the program.
import * as oauth from "oauth4webapi";
import { start, stopAll } from "./program.mjs";

const API = "/directory/resources/v1";
// The server under test has no TLS.
const options = { [oauth.allowInsecureRequests]: true };

const server = await start();
const { secret: key } = JSON.parse(server.run(["api-key", "create", "--name", "oauth", "--output", "json"]));
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
  const issuer = new URL(server.address);
  const discovered = await oauth.discoveryRequest(issuer, { ...options, algorithm: "oauth2" });
  const metadata = await oauth.processDiscoveryResponse(issuer, discovered);
  const { id } = await post("/configurations/scim2", { source: "okta" }, { "frontegg-tenant-id": "oauth" });
  const create = (members) => post(`/configurations/scim2/${id}/oauth-clients`, { label: "npm", ...members });
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const jwk = { ...await crypto.subtle.exportKey("jwk", pair.publicKey), kid: "one" };

  const withSecret = await create({ authentication: "secret" });
  const withKey = await create({ authentication: "private_key_jwt", jwks: { keys: [jwk] } });
  const methods = {
    client_secret_basic: [withSecret, oauth.ClientSecretBasic(withSecret.clientSecret)],
    client_secret_post: [withSecret, oauth.ClientSecretPost(withSecret.clientSecret)],
    private_key_jwt: [withKey, oauth.PrivateKeyJwt({ key: pair.privateKey, kid: "one" })],
  };
  for (const [method, [made, authentication]] of Object.entries(methods)) {
    if (!metadata.token_endpoint_auth_methods_supported.includes(method)) { throw new Error(method); }
    const client = { client_id: made.clientId };
    const parameters = new URLSearchParams({ scope: "scim.users" });
    const response = await oauth.clientCredentialsGrantRequest(metadata, client, authentication, parameters, options);
    const token = await oauth.processClientCredentialsResponse(metadata, client, response);
    if (token.scope !== "scim.users") { throw new Error(JSON.stringify(token)); }
    const users = `${made.scimUrl}/Users`;
    const status = async () => {
      const resource = [token.access_token, "GET", new URL(users), new Headers(), null, options];
      return (await oauth.protectedResourceRequest(...resource).catch((error) => error)).status;
    };
    if (await status() !== 200) { throw new Error(`${method}: ${await status()}`); }
    const revocation = await oauth.revocationRequest(metadata, client, authentication, token.access_token, options);
    await oauth.processRevocationResponse(revocation);
    if (await status() !== 401) { throw new Error(`${method}: the token works after its revocation`); }
  }
  const wrong = oauth.ClientSecretBasic(`${withSecret.clientSecret}x`);
  const client = { client_id: withSecret.clientId };
  const refused = await oauth.clientCredentialsGrantRequest(metadata, client, wrong, new URLSearchParams(), options);
  const error = await oauth.processClientCredentialsResponse(metadata, client, refused).catch((problem) => problem);
  const challenge = error instanceof oauth.WWWAuthenticateChallengeError || error.error === "invalid_client";
  if (!challenge) { throw new Error(`a wrong secret: ${error}`); }
  console.log("ok: the npm package oauth4webapi gets and revokes access tokens by every method");
} catch (error) {
  console.log(`FAILED: oauth_client: ${error.stack}`);
  code = 1;
}
await stopAll();
process.exit(code);
