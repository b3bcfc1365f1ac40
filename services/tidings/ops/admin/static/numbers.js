// Numbers as people read them, and what can be derived from cumulative ones. No DOM.

const THIN = "\u202f";

/** @param {number} value */
export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** A number of things. @param {number} value @param {string} one @param {string} [more] */
export function counted(value, one, more = `${one}s`) {
  return `${count(value)} ${Math.round(value) === 1 ? one : more}`;
}

/** A rate or another small number: three digits that matter. @param {number} value */
export function decimal(value) {
  if (value >= 100) return count(value);
  if (value >= 10) return value.toFixed(1).replace(/\.0$/, "");
  return value.toFixed(2).replace(/\.?0+$/, "");
}

/** @param {number} value */
export function percent(value) {
  const points = value * 100;
  return `${points >= 10 || points === 0 ? points.toFixed(0) : points.toFixed(1)}${THIN}%`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 0.0009995) return `${decimal(seconds * 1e6)}${THIN}µs`;
  if (seconds < 0.9995) return `${decimal(seconds * 1e3)}${THIN}ms`;
  if (seconds < 120) return `${decimal(seconds)}${THIN}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}${THIN}min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}${THIN}h`;
  return `${Math.round(seconds / 86400)}${THIN}days`;
}

/** @param {number} size */
export function bytes(size) {
  let value = size;
  for (const unit of ["B", "KiB", "MiB"]) {
    if (Math.abs(value) < 1024) return `${unit === "B" ? count(value) : decimal(value)}${THIN}${unit}`;
    value /= 1024;
  }
  return `${decimal(value)}${THIN}GiB`;
}

/** A metric's total, over all values of its labels; undefined when there is no such metric. */
export function total(metrics, name) {
  const value = metrics[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number") return value;
  return Object.values(value).reduce((sum, one) => sum + (one ?? 0), 0);
}

/** How much a counter grew between two samples, also when a process started anew in between. */
export function growth(before, after, name) {
  const now = total(after.metrics, name);
  if (now === undefined) return undefined;
  const then = total(before.metrics, name) ?? 0;
  return now >= then ? now - then : now;
}

/** Growth a second between two samples. */
export function rate(before, after, name) {
  const grown = growth(before, after, name);
  const seconds = after.time - before.time;
  return grown === undefined || seconds <= 0 ? undefined : grown / seconds;
}

/** Growth by label between two samples, the greatest first; nothing that did not grow. */
export function grown(before, after, name) {
  const now = after.metrics[name];
  if (now === undefined || typeof now === "number") return [];
  const then = before?.metrics[name] ?? {};
  return Object.entries(now)
    .map(([label, value]) => [label, value >= (then[label] ?? 0) ? value - (then[label] ?? 0) : value])
    .filter(([, value]) => value > 0)
    .sort((one, other) => other[1] - one[1]);
}

/**
 * What a histogram saw between two samples, as a function from a share to the value below which that share was.
 * Undefined when it saw nothing.
 */
export function quantiles(before, after, name) {
  const now = after.metrics[name];
  if (!now?.buckets) return undefined;
  const then = before.metrics[name]?.buckets ?? {};
  const restarted = now.count < (before.metrics[name]?.count ?? 0);
  const buckets = Object.entries(now.buckets).map(([bound, value]) => ({
    bound: bound === "+Inf" ? Infinity : Number(bound),
    value: value - (restarted ? 0 : (then[bound] ?? 0)),
  }));
  const all = buckets.at(-1)?.value ?? 0;
  if (!all) return undefined;
  const at = (share) => {
    let lower = { bound: 0, value: 0 };
    for (const bucket of buckets) {
      if (bucket.value >= share * all) {
        if (bucket.bound === Infinity) return lower.bound;
        const inside = bucket.value - lower.value;
        return lower.bound + (bucket.bound - lower.bound) * (inside ? (share * all - lower.value) / inside : 0);
      }
      lower = bucket;
    }
    return lower.bound;
  };
  return { count: all, at };
}
