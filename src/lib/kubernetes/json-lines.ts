// A watch's body: one JSON object a line, cut anywhere by the network. Law: a line is parsed once, when its end has come.

/** Beyond this no API server sends an object (etcd's own limit is 1.5 MB). */
const longestLine = 64 * 1024 * 1024

export async function* jsonLines(chunks: AsyncIterable<Buffer>): AsyncIterable<unknown> {
  let held: Buffer[] = []
  let length = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const last = chunk.subarray(from, end)
      from = end + 1
      const line = held.length === 0 ? last : Buffer.concat([...held, last])
      held = []
      length = 0
      if (!isBlank(line)) yield JSON.parse(line.toString('utf8'))
    }
    if (from === chunk.length) continue
    held.push(from === 0 ? chunk : chunk.subarray(from))
    length += chunk.length - from
    if (length > longestLine) throw new Error(`a line is longer than ${longestLine} bytes`)
  }
  // What has no end was cut off: it is not what the server meant.
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 32 || byte === 13 || byte === 9)
}
