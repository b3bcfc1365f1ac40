// The sentences of a page, for the rules of ./rules. Code counts as one word, and is not read.
import { split } from "sentence-splitter";
import { StringSource } from "textlint-util-to-string";

const mask = ({ node, maskValue }) => (node.type === "Code" ? maskValue("_") : undefined);

// Calls look(text, report) for each sentence of a paragraph or table cell. report(message, index) names a place in it.
export const forEachSentence = ({ Syntax, RuleError, report, locator }, look) => {
  const read = (node) => {
    const source = new StringSource(node, { replacer: mask });
    for (const sentence of split(source.toString()).filter(({ type }) => type === "Sentence")) {
      look(sentence.raw, (message, index = 0) => {
        const at = source.originalIndexFromIndex(sentence.range[0] + index) ?? 0;
        report(node, new RuleError(message, { padding: locator.at(at) }));
      });
    }
  };
  return { [Syntax.Paragraph]: read, [Syntax.TableCell]: read };
};
