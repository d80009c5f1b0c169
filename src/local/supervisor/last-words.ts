// Of what a program wrote before it ended, the line that says why.

/** A runtime's own: `Error: listen EADDRINUSE`, `ModuleNotFoundError: …`, `panic: …`. */
const named = /^(?:[\w.]*(?:Error|Exception)\b|error\b|fatal\b|panic\b)[^:]*:/i
const likely = /error|cannot|can't|failed|not found/i
/** Where in the program it was, not what. */
const stackFrame = /^(?:at |File "|goroutine )|\bat:$|^throw /

/** undefined: nothing that looks like a reason. */
export function lastWords(lines: readonly string[]): string | undefined {
  const said = lines.map((l) => l.trim()).filter((l) => l !== '' && !stackFrame.test(l))
  return (said.findLast((l) => named.test(l)) ?? said.findLast((l) => likely.test(l)))?.slice(0, 200)
}
