// What textlint found: each place, and below how many each page has, by rule.
import { relative } from "node:path";

// A text of the services (scripts/messages.py) is named by its module.
const name = (filePath) => relative(".", filePath).replace(/^build\/messages\/(.*)\.md$/, "$1");

const counted = (messages) => {
  const counts = {};
  for (const { ruleId } of messages) counts[ruleId] = (counts[ruleId] ?? 0) + 1;
  return Object.entries(counts).map(([rule, count]) => `${rule} ${count}`);
};

export default (results) => {
  const bad = results.filter(({ messages }) => messages.length);
  const places = bad.flatMap(({ filePath, messages }) =>
    messages.map(
      ({ line, column, message, ruleId }) => `${name(filePath)}:${line}:${column}: ${message} (${ruleId})`,
    ),
  );
  const counts = bad.map(
    ({ filePath, messages }) =>
      `${String(messages.length).padStart(5)}  ${name(filePath)}: ${counted(messages).join(", ")}`,
  );
  return [...places, ...counts].map((line) => `${line}\n`).join("");
};
