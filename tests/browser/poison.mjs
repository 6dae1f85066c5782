// Names that would like to be something else, and what a page must look like with them in it.

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

/** Text by which a page is known to show poison at all. */
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

/** What is wrong with a page of ours; runs inside of it. */
export function born() {
  const found = [];
  if (window.poisoned !== undefined) { found.push("a script from the data ran"); }
  if (document.getElementById("poisoned")) { found.push("an element was born from the data"); }
  if (document.querySelectorAll("h1").length !== 1) { found.push(`${document.querySelectorAll("h1").length} first headings`); }
  for (const script of document.scripts) {
    if (!script.src.startsWith(`${location.origin}/assets/`)) { found.push("a script that is not a file of ours"); }
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
