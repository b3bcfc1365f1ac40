/** The page's own functions, called so that their errors are theirs. */

/**
 * Calls back; what goes wrong there is reported like any uncaught error, and is not this client's end.
 * @template T
 * @param {((value: T) => void) | undefined} callback
 * @param {T} value
 */
export function call(callback, value) {
  try {
    callback?.(value);
  } catch (error) {
    report(error);
  }
}

/** @param {unknown} error */
export function report(error) {
  if (globalThis.reportError) globalThis.reportError(error);
  else console.error(error);
}
