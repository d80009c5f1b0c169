// What users must hear of, in the control plane's log.
import type { Logger } from '#lib/log.ts'
import { formatRef, type Problem } from '#lib/problem.ts'

/** Once each time that it is read. */
export function reportProblems(problems: readonly Problem[], log: Logger): void {
  for (const p of problems) {
    const fields = { code: p.code, where: formatRef(p.ref), file: p.ref.file, line: p.ref.line, field: p.ref.path, problem: p.message, help: p.help }
    if (p.severity === 'error') log.error(fields, 'refused, the last good one stays')
    else log.warn(fields, 'worth a look')
  }
}

/** Takes all that is to be said of the objects that there are, and logs what was not said of those before: an object that is read anew is told once. */
export function reportsOnce(log: Logger): (problems: readonly Problem[]) => void {
  let said: ReadonlySet<string> = new Set()
  return (problems) => {
    const keyed = new Map(problems.map((p) => [`${p.code} ${formatRef(p.ref)} ${p.message}`, p]))
    reportProblems([...keyed].flatMap(([key, p]) => (said.has(key) ? [] : [p])), log)
    said = new Set(keyed.keys())
  }
}
