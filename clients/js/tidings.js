/**
 * Tidings' client: hear of every change in a JMAP account. Over one WebSocket (RFC 8887); where that cannot be had, over
 * an event stream (RFC 8620 section 7.3), and where that cannot be had either, by long polls. One cursor goes through all
 * of them.
 *
 * No dependencies, no build step. See README.md beside it.
 *
 * @module tidings-client
 */

export { TidingsClient } from "./src/client.js";
export { SharedClient } from "./src/shared.js";
export { backoff, betterIn } from "./src/timing.js";

/** @typedef {import("./src/types.js").Changed} Changed */
/** @typedef {import("./src/types.js").Needs} Needs */
/** @typedef {import("./src/types.js").Options} Options */
/** @typedef {import("./src/types.js").SharedOptions} SharedOptions */
/** @typedef {import("./src/types.js").Status} Status */
/** @typedef {import("./src/types.js").Transport} Transport */
