// What is wrong, for the top of the page: what the process says of itself, and what the last samples show.

import { element } from "./drawing.js";
import { counted, grown } from "./numbers.js";
import { merged } from "./panels.js";

/** Answers of the last seconds that count as the present. */
const PRESENT_S = 10;
/** A feed that attaches is not live for a moment; one that is dead stays so. */
const ATTACH_S = 4;
/** A shard is silent for longer when nothing proves that it delivers. */
const SILENT_S = 5;
export const REFUSES = "TidingsPublisherRefuses";
const AWAY = "TidingsBrokerUnreachable";

function before(samples, seconds) {
  const newest = samples.at(-1);
  return samples.findLast((sample) => newest.time - sample.time >= seconds);
}

/** Requests of storages that were answered 503 of late: whatever the reason, ingest is refused. */
function refusing(samples) {
  const newest = samples.at(-1);
  const oldest = samples.find((sample) => newest.time - sample.time <= PRESENT_S);
  const refused = grown(oldest, newest, "tidings_publisher_requests_total").find(([status]) => status === "503");
  if (!refused) return [];
  const requests = `${counted(refused[1], "request")} answered 503 in the last seconds`;
  return [{ what: "Ingest is refused (503)", why: requests, runbook: REFUSES }];
}

function dead(samples) {
  const then = before(samples, ATTACH_S);
  const now = new Map(merged(samples.at(-1)));
  const known = new Map(then ? merged(then) : []);
  const down = [...now].filter(([shard, feed]) => !feed.live && known.get(shard)?.live === false);
  const silent = [...now].filter(([shard, feed]) => feed.live && feed.silent_seconds > SILENT_S && known.has(shard));
  const told = [];
  if (down.length) {
    told.push({ what: `${counted(down.length, "shard")} not live`, why: "their clients receive no changes" });
  }
  if (silent.length) {
    told.push({ what: `${counted(silent.length, "shard")} silent`, why: `the log delivered nothing for ${SILENT_S} s` });
  }
  return told.map((trouble) => ({ ...trouble, runbook: "TidingsFeedsNotLive" }));
}

/** @returns {{what: string, why: string, runbook: string}[]} the gravest first, as the process orders them */
export function troubles(samples) {
  const told = samples.at(-1).state.troubles;
  const has = (name) => told.some(({ runbook }) => runbook === name);
  return [
    ...told,
    ...(has(REFUSES) ? [] : refusing(samples)),
    // Without the broker no shard is live: that is no second trouble.
    ...(has(AWAY) ? [] : dead(samples)),
  ];
}

/** As dashboard.py writes it. */
export function drawn({ what, why, runbook }) {
  return element(
    "p",
    { class: "trouble" },
    element("strong", {}, what),
    ` ${why}. `,
    element("a", { href: `debug/runbooks#${runbook.toLowerCase()}` }, "What to do"),
  );
}
