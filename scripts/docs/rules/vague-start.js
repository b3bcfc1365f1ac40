import { forEachSentence } from "../sentences.js";

const VERB =
  "is|are|was|were|has|have|had|does|do|did|can|could|may|might|must|will|would|should|cannot|isn't|aren't|doesn't|don't|" +
  "also|never|always|only|then|allows?|applies|apply|asks?|changes?|comes?|costs?|depends?|ends?|ensures?|fails?|follows?|" +
  "gives?|goes|go|happens?|helps?|holds?|includes?|keeps?|leads?|leaves?|lets?|lists?|makes?|means?|needs?|prevents?|" +
  "reads?|runs?|says?|shows?|starts?|stays?|stops?|takes?|tells?|uses?|waits?|works?|writes?";
const VAGUE = [
  [/^(It|They|Them)\b/, "name the thing"],
  [new RegExp(`^(This|That|These|Those|Both|Such|Each|None|Some|Others)\\s+(${VERB})\\b`), "put a noun after the pronoun"],
  [/^(What|Whatever|Who|Whoever|Which)\s(?!.*\?\s*$).*[.:]\s*$/, "start with a noun"],
];

export default (context) =>
  forEachSentence(context, (sentence, report) => {
    const found = VAGUE.find(([pattern]) => pattern.test(sentence));
    if (found) report(`"${sentence.split(/\s+/, 2).join(" ")}" starts a sentence: ${found[1]}.`);
  });
