// The rules of HTML, on the bytes of every page as they come from the server.
import { HtmlValidate } from "html-validate";

const validator = new HtmlValidate({
  root: true,
  extends: ["html-validate:recommended"],
  rules: {
    // How the text is written is the templates' affair: attributes without quotes or blanks at line ends break no page.
    "no-trailing-whitespace": "off",
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
