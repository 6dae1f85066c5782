// What pages gain where scripts run: copy buttons, pages that reload without a flash, times in the reader's own zone.
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
    const said = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = said; }, 2000);
  });
}

const localise = (part) => {
  for (const time of part.querySelectorAll("time[datetime]:not([data-zoned])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.title = time.textContent;
      time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    }
  }
};
localise(document);

// A form that reads times takes them in the zone in which the page shows them.
for (const field of document.querySelectorAll("input[name=zone][type=hidden]")) {
  field.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const name of field.form.querySelectorAll("[data-zone]")) { name.textContent = field.value; }
}

document.getElementById("problems")?.focus();

const seconds = Number(document.body.dataset.refresh);
if (seconds > 0) {
  setInterval(async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) { return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    localise(fresh);
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      for (const [at, open] of part.querySelectorAll("details").entries()) {
        next?.querySelectorAll("details")[at]?.toggleAttribute("open", open.open);
      }
      if (next && next.innerHTML !== part.innerHTML) { part.replaceChildren(...next.childNodes); }
    }
  }, seconds * 1000);
}
