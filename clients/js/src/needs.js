/** What pages want to hear of, together and each. Nothing here acts. */

/** @import { Changed, Needs } from "./types.js" */

/** @typedef {readonly string[] | null} Some */

/** @param {Some} one @param {Some} other @returns {Some} */
function both(one, other) {
  return one && other && [...new Set([...one, ...other])].sort();
}

/** @param {Some} given @param {Some} wanted */
function includes(given, wanted) {
  return given === null || (wanted !== null && wanted.every((name) => given.includes(name)));
}

/** @param {Iterable<Needs>} all one or more @returns {Needs} */
export function union(all) {
  return [...all].reduce((sum, { types, accounts }) => ({
    types: both(sum.types, types),
    accounts: both(sum.accounts, accounts),
  }));
}

/** @param {Needs} given @param {Needs} wanted @returns {boolean} whether who has the one has the other */
export function covers(given, wanted) {
  return includes(given.types, wanted.types) && includes(given.accounts, wanted.accounts);
}

/** @param {Changed} changed @param {Needs} needs @returns {Changed} what of it is wanted */
export function only(changed, { types, accounts }) {
  /** @type {Changed} */
  const found = {};
  for (const [account, states] of Object.entries(changed)) {
    const wanted = Object.entries(states).filter(([type]) => types?.includes(type) ?? true);
    if ((accounts?.includes(account) ?? true) && wanted.length > 0) found[account] = Object.fromEntries(wanted);
  }
  return found;
}
