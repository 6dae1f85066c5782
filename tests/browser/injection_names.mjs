// Names with injection attempts, and the checks of pages that contain them.

const MARK = "poisoned";

export const POISON = [
  `<script>window.${MARK}=1</script>`,
  `<img src=x id=${MARK} onerror="window.${MARK}=1">`,
  `"><svg id=${MARK} onload=window.${MARK}=1>`,
  `' autofocus onfocus='window.${MARK}=1' x='`,
  `</title></textarea></pre><h1 id=${MARK}>`,
  `javascript:window.${MARK}=1`,
  `=HYPERLINK("http://evil.example/","x")`,
  "+1+1", "-2+3", "@SUM(A1)",
  "\u202Egnp.exe\u2066\u200F",
  "{{7*7}}${7*7}&lt;b&gt;%00",
];

/** Text that proves that a page contains poison. */
export const SEEN = `<script>window.${MARK}`;

/** A user with poison in every attribute. */
export function attributes(index) {
  const at = (offset) => POISON[(index + offset) % POISON.length];
  return {
    externalId: `${at(0)} ${index}`,
    displayName: at(0), nickName: at(1), title: at(2), userType: at(3), profileUrl: "javascript:window.poisoned=1",
    name: { givenName: at(4), familyName: at(5), formatted: at(6) },
    addresses: [{ streetAddress: at(7), locality: at(8), formatted: at(9), type: at(10) }],
    phoneNumbers: [{ value: at(8), type: at(1) }],
    photos: [{ value: "http://evil.example/p.png", type: "photo" }],
    roles: [{ value: at(0), display: at(1) }],
    entitlements: [{ value: at(2) }],
  };
}

/** The problems of a portal page; runs inside of the page. */
export function injected() {
  const found = [];
  if (window.poisoned !== undefined) { found.push("a script from the data ran"); }
  if (document.getElementById("poisoned")) { found.push("an element was created from the data"); }
  if (document.querySelectorAll("h1").length !== 1) { found.push(`${document.querySelectorAll("h1").length} first headings`); }
  for (const script of document.scripts) {
    if (!script.src.startsWith(`${location.origin}/assets/`)) { found.push("a script that is not an own file"); }
  }
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      const isAddress = ["href", "src", "action", "formaction"].includes(name);
      if (name.startsWith("on") || name === "style") { found.push(`<${element.localName} ${name}>`); }
      if (isAddress && value !== "" && !/^(\/(?!\/)|#|\?|https?:|mailto:)/.test(value)) { found.push(`<${element.localName} ${name}="${value}">`); }
    }
    if (element.localName === "style") { found.push("an inline style sheet"); }
  }
  return found;
}

/** Cells of a CSV file that a spreadsheet would take for a formula. */
export function formulas(csv) {
  const cells = csv.matchAll(/(?<=^|,|\n)(?:"((?:[^"]|"")*)"|([^,"\r\n]*))/g);
  return [...cells].map((cell) => cell[1] ?? cell[2] ?? "").filter((cell) => /^[=+\-@\t\r]/.test(cell));
}
