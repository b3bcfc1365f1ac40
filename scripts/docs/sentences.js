// The sentences of a page, for the rules of ./rules. Code counts as one word, and its text is skipped.
import { split } from "sentence-splitter";
import { StringSource } from "textlint-util-to-string";

const mask = ({ node, maskValue }) => (node.type === "Code" ? maskValue("_") : undefined);

// Calls look(text, report) for each sentence of a paragraph or table cell. report(message, index) names a place in it.
// Parts that a program writes into a page are skipped: "<!-- comparison: written by ... -->" to "<!-- end of comparison -->".
export const forEachSentence = ({ Syntax, RuleError, report, locator }, look) => {
  let generated = false;
  const read = (node) => {
    if (generated) return;
    const source = new StringSource(node, { replacer: mask });
    for (const sentence of split(source.toString()).filter(({ type }) => type === "Sentence")) {
      look(sentence.raw, (message, index = 0) => {
        const at = source.originalIndexFromIndex(sentence.range[0] + index) ?? 0;
        report(node, new RuleError(message, { padding: locator.at(at) }));
      });
    }
  };
  return {
    [Syntax.Paragraph]: read,
    [Syntax.TableCell]: read,
    [Syntax.Html]({ value }) {
      if (/: written by /.test(value)) generated = true;
      if (/<!-- end of /.test(value)) generated = false;
    },
  };
};
