import { forEachSentence } from "../sentences.js";

const FIRST = "not|never|no|none|nothing|nobody|nowhere|cannot|neither|\\w+n't";
const SECOND = `${FIRST}|without|unless|unlikely|uncommon|unusual|unable|unnecessary|unknown|impossible`;
// In one clause: up to six words between them. "No task and no timer" is a list.
const DOUBLE = new RegExp(`\\b(${FIRST})\\b((?:\\s+[^\\s,;:()]+){0,6}?)\\s+(?<!\\b(?:and|or|but)\\s+)(${SECOND})\\b`, "i");

export default (context) =>
  forEachSentence(context, (sentence, report) => {
    const found = DOUBLE.exec(sentence);
    if (found) report(`"${found[1]} ... ${found[3]}" in one clause: say what happens.`, found.index);
  });
