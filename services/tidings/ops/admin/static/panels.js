// What the dashboard shows, from samples of `debug/vars`. Each panel is there when its metrics are.

import { bar, element, sparkline, table } from "./drawing.js";
import { bytes, count, counted, decimal, duration, grown, growth, percent, quantiles, rate, total } from "./numbers.js";

/** How many samples the charts have room for, one a second. */
export const ROOM = 120;
const STEADY = 5;
const MINUTE = 60;

const STAGES = [
  ["tidings_ingest_to_confirm_seconds", "Ingest to confirm"],
  ["tidings_append_to_consume_seconds", "Append to consume"],
  ["tidings_consume_to_write_seconds", "Consume to write"],
  ["tidings_change_to_write_seconds", "Change to write"],
];
const LAYERS = [
  ["pymalloc_used", "Python objects"],
  ["pymalloc_held", "Python arenas"],
  ["malloc_used", "malloc in use"],
  ["malloc_held", "malloc arenas"],
  ["resident", "Resident (RSS)"],
  ["kernel_sockets", "Kernel, sockets"],
];
const CLOSES = {
  client_closed: "closed by the client",
  eof: "client went away",
  reset: "connection reset",
  told: "answered",
  shutdown: "this gateway is stopping",
  max_age: "older than the maximum connection age",
  disconnected: "disconnected by an operator",
  moved: "moved to another gateway by an operator",
  token_expired: "token expired",
  pong_deadline: "no answer to a ping",
  write_deadline: "client does not read",
  fault: "error in the gateway",
  log_away: "the log was unreachable",
  resync_waits: "waited too long to resynchronise",
};
const FORMATS = { websocket: "WebSocket", eventsource: "event stream", poll: "poll" };

/** A sample from before the start. */
const NOTHING = { time: 0, metrics: {} };

/** The sample that is so many seconds older than the newest, or the oldest there is. */
function ago(samples, seconds) {
  const newest = samples.at(-1);
  return samples.find((sample) => newest.time - sample.time <= seconds + 0.5) ?? newest;
}

/** The rate of a counter at each sample, for a chart. */
function rates(samples, name, scale = 1) {
  return samples.map((sample, at) => {
    const value = at ? rate(samples[at - 1], sample, name) : undefined;
    return value === undefined ? undefined : value * scale;
  });
}

function has(samples, name) {
  return samples.at(-1).metrics[name] !== undefined;
}

function card(title, value, unit, details, chart) {
  return element(
    "section",
    { class: "card" },
    element("h2", {}, title),
    element("p", { class: "value" }, value, unit ? element("small", {}, ` ${unit}`) : ""),
    element("p", { class: "quiet" }, details || "\u00a0"),
    chart,
  );
}

function panel(title, note, ...children) {
  const head = element("h2", {}, title, note ? element("small", {}, ` ${note}`) : "");
  return element("section", { class: "panel" }, head, ...children);
}

function connections(samples) {
  const now = samples.at(-1).metrics;
  if (!has(samples, "tidings_connections_open")) return null;
  const open = now.tidings_connections_open;
  const formats = Object.entries(open)
    .filter(([, number]) => number)
    .map(([format, number]) => `${count(number)} ${FORMATS[format] ?? format}`);
  const blocked = now.tidings_connections_blocked;
  if (blocked) formats.push(`${count(blocked)} do not read`);
  const history = samples.map((sample) => total(sample.metrics, "tidings_connections_open"));
  const value = count(total(now, "tidings_connections_open"));
  return card("Connections", value, "", formats.join(" · ") || "no client is connected", spark(history, "Connections"));
}

function spark(values, label) {
  return sparkline(values, ROOM, `${label}, the last two minutes`);
}

function flow(samples, name, title, details) {
  if (!has(samples, name)) return null;
  const value = rate(ago(samples, STEADY), samples.at(-1), name) ?? 0;
  return card(title, decimal(value), "/s", details(samples.at(-1).metrics), spark(rates(samples, name), title));
}

function latency(samples) {
  // The last stage that anything went through: not every change tells its own time.
  const stages = STAGES.toReversed().filter(([stage]) => has(samples, stage));
  const lately = (stage) => quantiles(ago(samples, MINUTE), samples.at(-1), stage);
  const ever = (stage) => quantiles(NOTHING, samples.at(-1), stage);
  const first = (seen) => stages.find(([stage]) => seen(stage));
  const [name, title] = first(lately) ?? first(ever) ?? stages[0] ?? [];
  if (!name) return null;
  const recent = lately(name);
  const seen = recent ?? ever(name);
  const history = samples.map((sample, at) => quantiles(samples[Math.max(0, at - STEADY)], sample, name)?.at(0.99));
  const chart = spark(history, `${title}, 99th percentile`);
  if (!seen) return card("Latency, p99", "–", "", `${title}: no change yet`, chart);
  const since = recent ? "" : " since the start (no change in the last minute)";
  const words = `${title}; p50 ${duration(seen.at(0.5))}${since}`;
  return card("Latency, p99", ...split(duration(seen.at(0.99))), words, chart);
}

function split(told) {
  return told.split("\u202f");
}

function loop(samples) {
  const name = "tidings_loop_cpu_seconds_total";
  if (!has(samples, name)) return null;
  const workers = total(samples.at(-1).metrics, "tidings_worker_up") || 1;
  const busy = (rate(ago(samples, STEADY), samples.at(-1), name) ?? 0) / workers;
  const late = quantiles(ago(samples, MINUTE), samples.at(-1), "tidings_loop_late_seconds");
  const whose = workers > 1 ? `mean of ${workers} workers` : "of one core";
  const details = late ? `${whose}; p99 of timers ${duration(late.at(0.99))} late` : whose;
  return card("Main loop busy", ...split(percent(busy)), details, spark(rates(samples, name, 1 / workers), "Main loop busy"));
}

function memory(samples) {
  const layers = samples.at(-1).metrics.tidings_memory_bytes;
  if (!layers) return null;
  const cgroup = samples.at(-1).metrics.tidings_cgroup_memory_bytes ?? {};
  const limit = cgroup.cgroup_limit;
  const details = limit
    ? `container: ${bytes(cgroup.cgroup_usage)} of ${bytes(limit)} (${percent(cgroup.cgroup_usage / limit)})`
    : "the container has no limit";
  const history = samples.map((sample) => sample.metrics.tidings_memory_bytes?.resident);
  return card("Memory (RSS)", ...split(bytes(layers.resident)), details, spark(history, "Resident memory"));
}

function spool(samples) {
  const now = samples.at(-1).metrics;
  if (!now.tidings_spool_capacity_bytes) return null;
  const oldest = now.tidings_spool_oldest_seconds ? `, the oldest for ${duration(now.tidings_spool_oldest_seconds)}` : "";
  const waiting = now.tidings_spool_changes ? `${counted(now.tidings_spool_changes, "waiting change")}${oldest}` : "empty";
  const details = `${waiting}; room for ${bytes(now.tidings_spool_capacity_bytes)}`;
  const history = samples.map((sample) => sample.metrics.tidings_spool_bytes);
  return card("Spool", ...split(bytes(now.tidings_spool_bytes)), details, spark(history, "Spool"));
}

/** The numbers of first interest. */
export function cards(samples) {
  const coalesced = (now) => `${counted(now.tidings_changes_coalesced_total ?? 0, "change")} merged so far`;
  const consumed = (now) => `${count(now.tidings_changes_consumed_total ?? 0)} consumed so far`;
  const confirmed = (now) => `${count(now.tidings_publisher_waiting_changes ?? 0)} not yet confirmed by the log`;
  const rows = (now) => `${count(now.tidings_pool_queued ?? 0)} wait for a thread`;
  const gateway = has(samples, "tidings_pushes_total");
  const publisher = has(samples, "tidings_publisher_changes_total");
  return [
    connections(samples),
    publisher && flow(samples, "tidings_publisher_changes_total", "Changes accepted", confirmed),
    gateway && !publisher && flow(samples, "tidings_changes_consumed_total", "Changes consumed", consumed),
    gateway && flow(samples, "tidings_pushes_total", "Pushes", coalesced),
    spool(samples),
    latency(samples),
    loop(samples),
    memory(samples),
    !gateway && !publisher && flow(samples, "tidings_pool_rejections_total", "Refused, thread pool full", rows),
  ].filter(Boolean);
}

function stages(samples) {
  const rows = STAGES.filter(([name]) => has(samples, name)).map(([name, title]) => {
    const seen = quantiles(ago(samples, MINUTE), samples.at(-1), name);
    if (!seen) return [title, "–", "–", "–", "0"];
    return [title, ...[0.5, 0.99, 0.999].map((share) => duration(seen.at(share))), count(seen.count)];
  });
  if (!rows.length) return null;
  return panel("Latency by stage", "last minute", table(["Stage", "p50", "p99", "p99.9", "Count"], rows));
}

function layers(samples) {
  const sizes = samples.at(-1).metrics.tidings_memory_bytes;
  if (!sizes) return null;
  const open = total(samples.at(-1).metrics, "tidings_connections_open") ?? 0;
  const most = Math.max(...LAYERS.map(([name]) => sizes[name] ?? 0));
  const rows = LAYERS.filter(([name]) => sizes[name] !== undefined && (sizes[name] || name !== "kernel_sockets")).map(
    ([name, title]) => [title, bytes(sizes[name]), bar(sizes[name] / most)],
  );
  const note = open >= 100 ? counted(open, "connection") : "";
  const pauses = samples.at(-1).metrics.tidings_gc_pause_seconds?.["2"];
  const full = pauses?.count ? `${counted(pauses.count, "full garbage collection")} so far, ${duration(pauses.sum)} in total` : "";
  const link = element("a", { href: "debug/memory" }, "Why do the layers differ?");
  const foot = element("p", { class: "quiet" }, full ? `${full}. ` : "", link);
  return panel("Memory by layer", note, table(["Layer", "Now", "Share"], rows), foot);
}

/** What each worker publishes, or this process. */
function published(sample, name) {
  const sources = sample.workers ? Object.values(sample.workers) : [sample];
  return sources.map((source) => source[name]).filter(Boolean);
}

/** Of several feeds of a shard, the worse. */
export function merged(sample) {
  const shards = new Map();
  for (const told of published(sample, "shards")) {
    for (const [shard, feed] of Object.entries(told)) {
      const known = shards.get(shard);
      const worse = !known || !feed.live || (known.live && feed.lag_seconds > known.lag_seconds);
      if (worse) shards.set(shard, feed);
    }
  }
  return [...shards].sort(([one], [other]) => one - other);
}

function shards(samples) {
  const told = merged(samples.at(-1));
  if (!published(samples.at(-1), "shards").length) return null;
  if (!told.length) return panel("Lag by shard", "", element("p", { class: "quiet" }, "This gateway reads no shard, because no client needs one."));
  const cells = told.map(([shard, feed]) => {
    const lag = `last batch ${duration(feed.silent_seconds)} ago, ${duration(feed.lag_seconds)} after its append`;
    const state = !feed.live ? "bad" : feed.lag_seconds > 1 ? "wait" : "good";
    const words = `shard ${shard}: ${feed.live ? "live" : "not live"}, ${lag}`;
    return element("li", { class: `shard ${state}`, title: words }, shard);
  });
  const dead = told.filter(([, feed]) => !feed.live).length;
  const worst = told.reduce((one, other) => (other[1].lag_seconds > one[1].lag_seconds ? other : one));
  const words = [
    `${counted(told.length, "shard")} read, ${dead ? `${count(dead)} of them not live` : "all live"}.`,
    `Slowest: shard ${worst[0]}. Its last batch came ${duration(worst[1].lag_seconds)} after its append.`,
  ];
  return panel("Lag by shard", "", element("ol", { class: "shards" }, ...cells), element("p", { class: "quiet" }, words.join(" ")));
}

function talkers(samples) {
  const told = published(samples.at(-1), "talkers");
  if (!told.length) return null;
  const shares = new Map();
  for (const one of told.flat()) shares.set(one.account, (shares.get(one.account) ?? 0) + one.share / told.length);
  const rows = [...shares].sort((one, other) => other[1] - one[1]).slice(0, 6);
  if (!rows.length) return panel("Top talkers", "", element("p", { class: "quiet" }, "Too few recent pushes to show."));
  const link = (account) => element("a", { href: `debug/accounts/${encodeURIComponent(account)}` }, account);
  const lines = rows.map(([account, share]) => [link(account), percent(share), bar(share / rows[0][1])]);
  return panel("Top talkers", "share of pushes, sampled", table(["Account", "Share", ""], lines));
}

function closes(samples) {
  const name = "tidings_connections_closed_total";
  if (!has(samples, "tidings_connections_open")) return null;
  const recent = new Map(grown(ago(samples, ROOM), samples.at(-1), name));
  const rows = grown(null, samples.at(-1), name)
    .slice(0, 8)
    .map(([labels, number]) => {
      const [format, reason] = labels.split(",");
      return [`${FORMATS[format] ?? format}: ${CLOSES[reason] ?? reason}`, count(recent.get(labels) ?? 0), count(number)];
    });
  if (!rows.length) return panel("Closes by reason", "", element("p", { class: "quiet" }, "No connection has been closed yet."));
  return panel("Closes by reason", "", table(["Reason", "2 min", "All"], rows));
}

function refusals(samples) {
  const rows = [
    ["tidings_rejections_total", (label) => `connection: ${label}`],
    ["tidings_publisher_requests_total", (label) => `ingest: ${label}`],
    ["tidings_publisher_batches_total", (label) => `batch ${label}`],
  ].flatMap(([name, words]) => {
    const recent = new Map(grown(ago(samples, ROOM), samples.at(-1), name));
    return grown(null, samples.at(-1), name).map(([label, number]) => [words(label), count(recent.get(label) ?? 0), count(number)]);
  });
  if (!rows.length) return null;
  return panel("Answers and outcomes", "", table(["Outcome", "2 min", "All"], rows.slice(0, 8)));
}

function feeds(samples) {
  const newest = samples.at(-1);
  const facts = [
    ["tidings_feeds_lost_total", "feeds lost"],
    ["tidings_feed_gaps_total", "gaps"],
    ["tidings_resyncs_total", "clients told to resynchronise"],
    ["tidings_batches_undecodable_total", "undecodable batches"],
    ["tidings_connection_faults_total", "connections closed after an error in the gateway"],
    ["tidings_publisher_failures_total", "errors in the publisher"],
  ].filter(([name]) => growth(ago(samples, ROOM), newest, name) > 0);
  if (!facts.length) return null;
  const lines = facts.map(([name, words]) => {
    const number = growth(ago(samples, ROOM), newest, name);
    return element("li", {}, `${count(number)} ${words} in the last two minutes`);
  });
  return panel("Look at this", "", element("ul", { class: "alarms" }, ...lines));
}

/** What explains them. */
export function panels(samples) {
  return [feeds, stages, layers, shards, talkers, closes, refusals].map((draw) => draw(samples)).filter(Boolean);
}
