// The hold on mass removals: settings, a held connection, and the decision.
import { becomes } from "./flow.mjs";

function expect(is, sentence) {
  if (!is) { throw new Error(sentence); }
}

/** Removes so many users that the connection is held. */
export async function holdConnection(page, hand, { address, idp }, { count = 12 } = {}) {
  await page.goto(`${address}/settings`);
  await hand.fill("Hours after the creation without a hold", "0");
  await hand.press("Save the hold");
  const users = [];
  for (let number = 0; number < count; number += 1) { users.push(await idp.user(`leaver-${number}@example.com`)); }
  for (const user of users) { await idp.change(user, "active", false); }
  await becomes(page, address, "Held");
}

/** Rejects the removals: the users whose removal was held are active again. */
export async function rejectHold(page, hand, { address, idp }) {
  await page.goto(address);
  await hand.follow("See what was removed, and decide");
  const held = await page.locator("main").innerText();
  expect(/deactivated or deleted \d+ users within 60 minutes/.test(held), `the page does not say what happened: ${held}`);
  expect(held.includes("leaver-11@example.com"), "the names of the removed users are missing");
  await hand.press("Decide");
  expect((await page.locator("main").innerText()).includes("Choose what happens"), "a decision without a choice was accepted");
  await hand.choose(/No: reject the removals/);
  await hand.press("Decide");
  const receipt = await page.locator("main").innerText();
  expect(receipt.includes("Rejected. The removals are undone"), `the receipt is wrong: ${receipt}`);
  const found = await idp.call("GET", "/Users?filter=active%20eq%20false");
  expect(found.body.totalResults < 12, `${found.body.totalResults} users are inactive`);
}
