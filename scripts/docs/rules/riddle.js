import { forEachSentence } from "../sentences.js";
import { RIDDLES } from "../words.js";

const PATTERNS = Object.entries(RIDDLES).map(([phrase, advice]) => [new RegExp(`\\b(?:${phrase})\\b`, "i"), advice]);

export default (context) =>
  forEachSentence(context, (sentence, report) => {
    for (const [pattern, advice] of PATTERNS) {
      const found = pattern.exec(sentence);
      if (found) report(`"${found[0]}": ${advice}.`, found.index);
    }
  });
