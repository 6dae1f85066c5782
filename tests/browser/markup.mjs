// HTML validation of every page as sent by the server.
import { HtmlValidate } from "html-validate";

const validator = new HtmlValidate({
  root: true,
  extends: ["html-validate:recommended"],
  rules: {
    // The style of the source text breaks no page.
    "doctype-style": "off",
    "no-trailing-whitespace": "off",
    // A button in a form submits it, as intended.
    "no-implicit-button-type": "off",
    // Pages refresh themselves without scripts; they announce it, and they contain no input.
    "meta-refresh": "off",
    // Scrollable parts are named regions, but not sections of the text.
    "prefer-native-element": "off",
    // The ids of events contain a dot.
    "valid-id": ["error", { relaxed: true }],
    // Titles contain names of connections, which may be long.
    "long-title": "off",
  },
});

/** The validation errors of a page. */
export async function mistakes(html) {
  const { results } = await validator.validateString(html);
  return results.flatMap(({ messages }) => messages).map(({ ruleId, message, line, column }) => {
    const near = html.split("\n")[line - 1]?.slice(Math.max(0, column - 40), column + 100) ?? "";
    return `${ruleId}: ${message} (near ${near.trim()})`;
  });
}
