// Added if scripts run: copy buttons, live updates without a page reload, times in the zone of the browser.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(field.value ?? field.textContent);
    } catch {
      field.select?.();
      return;
    }
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

const localise = (part) => {
  for (const time of part.querySelectorAll("time[datetime]:not([data-zoned])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) { continue; }
    const clock = time.dataset.clock;
    time.title = at.toISOString();
    time.textContent = clock === undefined
      ? at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" })
      : at.toLocaleTimeString(undefined, { timeStyle: clock || "medium" });
  }
  // Days of a log begin at midnight in the zone of the browser.
  for (const table of part.querySelectorAll("table[data-days]")) {
    const heading = table.querySelector("tr.day");
    if (!heading || table.querySelector("time[data-zoned]")) { continue; }
    const rows = [...table.querySelectorAll("tbody > tr:not(.day)")];
    for (const body of [...table.tBodies]) { body.remove(); }
    let last = "";
    for (const row of rows) {
      const day = new Date(row.querySelector("time").dateTime).toLocaleDateString(undefined, { dateStyle: "full" });
      if (day !== last) {
        const copy = heading.cloneNode(true);
        copy.firstElementChild.textContent = day;
        table.createTBody().append(copy);
      }
      last = day;
      table.tBodies[table.tBodies.length - 1].append(row);
    }
  }
};
localise(document);

// How long a new secret can still be seen.
const countDown = () => {
  for (const part of document.querySelectorAll("[data-left]")) {
    const left = Math.max(0, Math.round((new Date(part.dataset.left) - Date.now()) / 1000));
    part.textContent = ` (${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left)`;
  }
};
if (document.querySelector("[data-left]")) {
  countDown();
  setInterval(countDown, 1000);
}

// The times of a form are in the zone in which the page shows times.
for (const field of document.querySelectorAll("input[name=zone][type=hidden]")) {
  field.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const name of field.form.querySelectorAll("[data-zone]")) { name.textContent = field.value; }
}

document.getElementById("problems")?.focus();

// The next step opens when the one before it is done, unless a part of that one is in use.
const openStep = (part) => part.querySelector("details.step[open]");
let suggested = openStep(document)?.id;
const followStep = (fresh) => {
  const next = openStep(fresh)?.id;
  if (next === suggested) { return; }
  suggested = next;
  const isUsed = openStep(document)?.contains(document.activeElement);
  if (next && !isUsed) { document.getElementById(next).open = true; }
};

// The page says how often it is updated while something is expected. A hidden page waits.
let seconds = Number(document.body.dataset.refresh);
const update = async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Refresh": "1" } });
  // The page has ended, or a secret on it: the server says why.
  if (answer.status === 404 || answer.status === 410) { location.reload(); return false; }
  if (!answer.ok) { return true; }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const secrets = [...document.querySelectorAll("[data-secret]")];
  if (secrets.some((field) => !fresh.getElementById(field.id))) { location.reload(); return false; }
  localise(fresh);
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    for (const [at, open] of part.querySelectorAll("details").entries()) {
      next?.querySelectorAll("details")[at]?.toggleAttribute("open", open.open);
    }
    // A part with the focus stays: a new link in its place would not have the focus.
    const isUsed = part.contains(document.activeElement);
    if (next && !isUsed && next.innerHTML !== part.innerHTML) { part.replaceChildren(...next.childNodes); }
  }
  followStep(fresh);
  seconds = Number(fresh.body.dataset.refresh);
  return seconds > 0;
};

const schedule = () => setTimeout(async () => {
  const goesOn = document.hidden || await update().catch(() => true);
  if (goesOn) { schedule(); }
}, seconds * 1000);
if (seconds > 0) { schedule(); }
