// Added if scripts run: copy buttons, results while typing, and the language of the examples on the next page.
"use strict";

for (const sample of document.querySelectorAll(".sample")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = [...sample.querySelectorAll("pre")].find((part) => part.offsetParent !== null);
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text);
      return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  sample.querySelector("h3, h4").after(button);
}

const LANGUAGE = "language";
for (const choice of document.querySelectorAll("input[name=language]")) {
  try {
    if (localStorage.getItem(LANGUAGE) === choice.value) { choice.checked = true; }
    choice.addEventListener("change", () => localStorage.setItem(LANGUAGE, choice.value));
  } catch {
    // Without storage, each page begins with curl.
  }
}

const field = document.getElementById("search");
const found = document.createElement("div");
found.className = "found";
found.hidden = true;
found.setAttribute("role", "region");
found.setAttribute("aria-label", "Results");
field.form.after(found);
let waiting;
field.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const query = field.value.trim();
    if (query === "") { found.hidden = true; return; }
    const answer = await fetch(`/docs/api/search?q=${encodeURIComponent(query)}`);
    if (!answer.ok || field.value.trim() !== query) { return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    found.replaceChildren(...page.getElementById("results").childNodes);
    found.hidden = false;
  }, 150);
});
const close = () => { found.hidden = true; };
document.addEventListener("keydown", (event) => { if (event.key === "Escape") { close(); } });
document.addEventListener("click", (event) => { if (!found.contains(event.target) && event.target !== field) { close(); } });
found.addEventListener("click", close);
