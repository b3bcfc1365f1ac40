/** Event streams as bytes: what they say, not who sends them. */

/**
 * The events of a stream (HTML section 9.2.6), also those that dispatch nothing.
 * @param {ReadableStream<BufferSource>} body
 * @returns {AsyncGenerator<Record<string, string>>}
 */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  /** @type {Record<string, string>} */
  let event = {};
  let rest = "";
  for (let chunk; !(chunk = await reader.read()).done;) {
    // A CR at the end may be half of a CRLF.
    const lines = (rest + chunk.value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [name, value] = line.split(/: ?(.*)/s);
      if (line === "") {
        yield event;
        event = {};
      } else event[name] = name === "data" && "data" in event ? `${event.data}\n${value}` : value ?? "";
    }
  }
}
