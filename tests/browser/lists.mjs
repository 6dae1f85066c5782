// Lists on a phone, and the home page that updates itself.
import { connect, firstRun } from "./flow.mjs";

/** The smallest height of a control that is used with a finger, in pixels. */
const TOUCH = 44;
/** No list of these begins lower than this on a phone. */
const FIRST_ENTRY = 560;

function expect(condition, message) {
  if (!condition) { throw new Error(message); }
}

/** Orders without a table head, labels of values, sizes of controls, and the first entry of each list. */
export async function listsOnPhone(page, hand, server, watch) {
  await firstRun(page, hand, server);
  const { idp, address } = await connect(page, hand, { provider: /Okta/, account: "acme", name: "Okta of Acme" });
  await connect(page, hand, { provider: /Rippling/, account: "zeta", name: "A second connection" });
  await idp.user("ada@example.com", { displayName: "Ada", externalId: "hr-1" });
  await page.waitForTimeout(1500);
  for (const path of ["/connections", "/users", "/requests", "/audit", "/accounts", `${new URL(address).pathname}/users`, `${new URL(address).pathname}/requests`]) {
    await page.goto(server.address + path);
    const small = await page.locator("main :is(.chips a, button, select, summary, .button, input[type=search])").evaluateAll((all, least) => all
      .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < least).map((one) => `${one.textContent.trim()} (${one.getBoundingClientRect().height})`), TOUCH);
    if (small.length > 0) { watch.problem(`${path}: too small for a finger: ${small.join(", ")}`); }
    const top = await page.evaluate(() => document.querySelector("main .table tbody tr:not(.day)").getBoundingClientRect().top + scrollY);
    if (top > FIRST_ENTRY) { watch.problem(`${path}: the first entry begins at ${Math.round(top)} pixels`); }
  }
  await page.goto(`${server.address}/connections`);
  const label = await page.locator("td[data-label]").first().evaluate((cell) => getComputedStyle(cell, "::before").content);
  expect(label.includes("Provider"), `the values of a connection have no label: ${label}`);
  await page.getByText("Sort and filter", { exact: false }).first().click();
  await page.getByLabel("Sort by").selectOption("name");
  await page.getByRole("button", { name: "Apply" }).click();
  expect(page.url().includes("sort=name"), `the order is not in ${page.url()}`);
  expect(await page.locator("tbody th a").first().innerText() === "A second connection", "the list is not sorted by name");
}

/** A change appears on the home page without a reload, and the page does not move. */
export async function homeUpdates(page, hand, server) {
  await firstRun(page, hand, server);
  const { idp } = await connect(page, hand, { provider: /Okta/, account: "acme", name: "Okta of Acme" });
  await page.goto(`${server.address}/`);
  await page.evaluate(() => { window.isSame = true; });
  await idp.user("ada@example.com");
  await page.locator("#changes-panel").getByText("ada@example.com").waitFor();
  expect(await page.evaluate(() => window.isSame), "the page was loaded again");
  const days = await page.locator("#changes-panel tbody > tr.day").count();
  expect(days === 1, `the changes of one day have ${days} heads`);
  await idp.change((await idp.user("grace@example.com")), "active", false);
  const focused = page.locator("#changes-panel a").first();
  await focused.focus();
  await page.waitForTimeout(7000);
  expect(await focused.evaluate((link) => link === document.activeElement), "an update takes the focus away");
}
