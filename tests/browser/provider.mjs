// A simulated identity provider: it has only the URL and the token from the page.

const USER = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group";

export class Provider {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  async call(method, path, body) {
    const headers = { Authorization: `Bearer ${this.token}`, "Content-Type": "application/scim+json" };
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text === "" ? null : JSON.parse(text) };
  }

  async done(method, path, body) {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) {
      throw new Error(`${method} ${path} returned ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }

  /** The request of Okta for "Test API Credentials". */
  async test() {
    return this.done("GET", "/Users?startIndex=1&count=2");
  }

  async user(userName, more = {}) {
    const given = userName.split("@")[0];
    const emails = [{ value: userName, type: "work", primary: true }];
    return this.done("POST", "/Users", { schemas: [USER], userName, name: { givenName: given, familyName: "Example" }, emails, ...more });
  }

  async group(displayName, users, more = {}) {
    const members = users.map((user) => ({ value: user.id }));
    return this.done("POST", "/Groups", { schemas: [GROUP], displayName, members, ...more });
  }

  async change(user, path, value) {
    const Operations = [{ op: "replace", path, value }];
    return this.done("PATCH", `/Users/${user.id}`, { schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations });
  }
}
