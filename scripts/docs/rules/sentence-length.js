import { forEachSentence } from "../sentences.js";
import { MOST_WORDS } from "../words.js";

export default (context) =>
  forEachSentence(context, (sentence, report) => {
    const count = sentence.split(/\s+/).filter((word) => /\w/.test(word)).length;
    if (count > MOST_WORDS) report(`${count} words in a sentence, at most ${MOST_WORDS}. Make two sentences.`);
  });
