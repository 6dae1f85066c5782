// A real OpenID provider (the package oidc-provider) with its own users and a minimal sign-in page.
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

export const CLIENT = { id: "rollcall-portal", secret: "a secret between the two of them" };

/** The users of the provider, by the name they enter. */
const USERS = {
  olive: { email: "olive@example.com", email_verified: true, name: "Olive Owner" },
  vera: { email: "vera@example.com", email_verified: true, name: "Vera Viewer" },
  nils: { email: "nils@example.com", email_verified: true, name: "Nils Newcomer", groups: ["all", "staff"] },
  sven: { email: "sven@elsewhere.example", email_verified: true, name: "Sven Svensson", groups: ["staff"] },
  una: { email: "olive@example.com", email_verified: false, name: "Una Unverified" },
};

const PAGE = `<!doctype html><html lang="en"><title>Provider</title><h1>Provider</h1>
<form method="post"><label for="who">Who are you?</label><input id="who" name="who"><button>Go on</button></form>`;

function configuration(redirectUri) {
  return {
    clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [redirectUri], response_types: ["code"], grant_types: ["authorization_code"] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
    cookies: { keys: ["only for this test"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...USERS[sub] }) }),
    // Consent is always granted.
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
  };
}

async function body(request) {
  let text = "";
  for await (const piece of request) { text += piece; }
  return new URLSearchParams(text);
}

/** Starts a provider for one client; with `fails` it closes the connection of token requests. */
export async function startProvider(redirectUri) {
  const server = createServer();
  await new Promise((go) => { server.listen(0, "127.0.0.1", go); });
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const started = { issuer, host: new URL(issuer).host, fails: false, stop: () => { server.closeAllConnections(); server.close(); } };
  const provider = new Provider(issuer, configuration(redirectUri));
  const serve = provider.callback();
  const interact = async (request, response) => {
    if (request.method !== "POST") {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(PAGE);
      return;
    }
    const who = (await body(request)).get("who");
    const result = who in USERS ? { login: { accountId: who } } : { error: "access_denied", error_description: "unknown user" };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  };
  server.on("request", (request, response) => {
    if (started.fails && request.url.startsWith("/token")) { request.socket.destroy(); return; }
    if (request.url.startsWith("/interaction/")) {
      interact(request, response).catch((error) => { response.statusCode = 400; response.end(String(error)); });
      return;
    }
    serve(request, response);
  });
  return started;
}
