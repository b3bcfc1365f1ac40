// What textlint found: each place, and below how many each page has, by rule.
import { relative } from "node:path";

const counted = (messages) => {
  const counts = {};
  for (const { ruleId } of messages) counts[ruleId] = (counts[ruleId] ?? 0) + 1;
  return Object.entries(counts).map(([rule, count]) => `${rule} ${count}`);
};

export default (results) => {
  const bad = results.filter(({ messages }) => messages.length);
  const places = bad.flatMap(({ filePath, messages }) =>
    messages.map(
      ({ line, column, message, ruleId }) => `${relative(".", filePath)}:${line}:${column}: ${message} (${ruleId})`,
    ),
  );
  const counts = bad.map(
    ({ filePath, messages }) =>
      `${String(messages.length).padStart(5)}  ${relative(".", filePath)}: ${counted(messages).join(", ")}`,
  );
  return [...places, ...counts].map((line) => `${line}\n`).join("");
};
