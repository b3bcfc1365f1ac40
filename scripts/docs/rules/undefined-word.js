import { forEachSentence } from "../sentences.js";
import { CAPITALS, KNOWN } from "../words.js";

// An abbreviation is known, or the page says once what it stands for: "end of file (EOF)".
export default (context) => {
  const used = new Map();
  const defined = new Set();
  const visitor = forEachSentence(context, (sentence, report) => {
    for (const found of sentence.matchAll(/\(([A-Z][A-Z0-9]+)s?\)/g)) defined.add(found[1]);
    for (const found of sentence.matchAll(/(?<![\w-])([A-Z][A-Z0-9]+)(?=s?(?!\.?[\w-]))/g))
      if (!KNOWN.has(found[1]) && !CAPITALS.test(found[1]) && !used.has(found[1]))
        used.set(found[1], () => report(message(found[1]), found.index));
  });
  const message = (word) => `"${word}" is not explained. Write the words out and put (${word}) behind them.`;
  return {
    ...visitor,
    [context.Syntax.DocumentExit]: () => used.forEach((say, word) => defined.has(word) || say()),
  };
};
