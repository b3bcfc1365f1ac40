import { forEachSentence } from "../sentences.js";

const BOTH = "had|did|can|could|may|might|must|will|would|should|cannot|also|never|always|only|then";
const SINGULAR =
  `${BOTH}|is|was|has|does|isn't|doesn't|allows|applies|asks|changes|comes|costs|depends|ends|ensures|fails|follows|gives|goes|` +
  "happens|helps|holds|includes|keeps|leads|leaves|lets|makes|means|needs|prevents|reads|runs|says|shows|starts|stays|stops|" +
  "takes|tells|uses|waits|works|writes";
const PLURAL = `${BOTH}|are|were|have|do|aren't|don't|apply|come|follow|give|go|keep|lead|lose|make|mean|need|say|show|stay|take|tell|use|wait`;
const VAGUE = [
  [/^(It|They|Them)\b/, "name the thing"],
  [new RegExp(`^(This|That|Each|Such)\\s+(${SINGULAR})\\b`), "put a noun after the pronoun"],
  [new RegExp(`^(These|Those|Both|None|Some|Others|Such)\\s+(${PLURAL})\\b`), "put a noun after the pronoun"],
  [/^(What|Whatever|Who|Whoever|Which)\s(?!.*\?\s*$).*[.:]\s*$/, "start with a noun"],
];

export default (context) =>
  forEachSentence(context, (sentence, report) => {
    const found = VAGUE.find(([pattern]) => pattern.test(sentence));
    if (found) report(`"${sentence.split(/\s+/, 2).join(" ")}" starts a sentence: ${found[1]}.`);
  });
