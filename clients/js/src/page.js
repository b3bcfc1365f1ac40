/** The life of the page, where there is one: in a worker, in Node and in Deno there is none to follow. */

/**
 * @typedef {object} Life
 * @property {() => void} [online] the network came back, perhaps another one
 * @property {() => void} [offline]
 * @property {() => void} visible
 * @property {() => void} left the page is left, or goes into the back/forward cache
 * @property {() => void} returned it comes out of there
 */

/**
 * @param {Life} life
 * @param {AbortSignal} signal ends it
 */
export function followPage({ online, offline, visible, left, returned }, signal) {
  const { document } = globalThis;
  if (!document) return;
  if (online) addEventListener("online", online, { signal });
  if (offline) addEventListener("offline", offline, { signal });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") visible();
  }, { signal });
  addEventListener("pagehide", left, { signal });
  addEventListener("pageshow", ({ persisted }) => persisted && returned(), { signal });
}
