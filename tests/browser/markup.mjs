// The rules of HTML, on the bytes of every page as they come from the server.
import { HtmlValidate } from "html-validate";

const validator = new HtmlValidate({
  root: true,
  extends: ["html-validate:recommended"],
  rules: {
    // How the text is written breaks no page.
    "doctype-style": "off",
    "no-trailing-whitespace": "off",
    // A button in a form sends it, which is what ours are for.
    "no-implicit-button-type": "off",
    // Pages renew themselves where scripts are off; they say so, and nothing that was typed is on them.
    "meta-refresh": "off",
    // The parts that scroll are regions with a name, but no sections of the text.
    "prefer-native-element": "off",
    // Titles carry names of connections, which may be long.
    "long-title": "off",
  },
});

/** What is wrong with a page. */
export async function mistakes(html) {
  const { results } = await validator.validateString(html);
  return results.flatMap(({ messages }) => messages).map(({ ruleId, message, line, column }) => {
    const near = html.split("\n")[line - 1]?.slice(Math.max(0, column - 40), column + 100) ?? "";
    return `${ruleId}: ${message} (near ${near.trim()})`;
  });
}
