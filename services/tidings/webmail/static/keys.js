/** What keys mean. Those that are typed into something, or belong to the browser, are none of these. */

/** @typedef {"next" | "previous" | "delete"} Command */

/** @type {Record<string, Command>} */
const EVERYWHERE = { j: "next", k: "previous", Delete: "delete" };
// Elsewhere these scroll.
/** @type {Record<string, Command>} */
const IN_LIST = { ArrowDown: "next", ArrowUp: "previous" };

/**
 * @param {KeyboardEvent} event
 * @param {Element} list
 * @returns {Command | undefined}
 */
export function command(event, list) {
  const target = /** @type {Element} */ (event.target);
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return undefined;
  if (target.closest("input, textarea, select, dialog")) return undefined;
  return EVERYWHERE[event.key] ?? (list.contains(target) || target === document.body ? IN_LIST[event.key] : undefined);
}
