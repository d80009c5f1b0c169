// What `kith up` prints while a mesh runs: a line an event, coloured on a terminal, plain in a pipe.
import { relative } from 'node:path'
import { styleText } from 'node:util'
import type { MeshEvent, PodView } from '#local'
import { formatProblem } from './problems.ts'

export class LiveView {
  readonly #startedMs = Date.now()
  readonly #shown = new Map<string, string>()
  readonly #said = new Set<string>()
  readonly #print: (line: string) => void
  /** Programs of explicit mode, and nobody has been told yet what to do when they meet on a port. */
  #sharedPorts = false

  constructor(print: (line: string) => void = (line) => process.stdout.write(line + '\n')) {
    this.#print = print
  }

  /** Prints what a person should see of it; much is not worth a line. */
  show(event: MeshEvent): void {
    for (const line of this.#lines(event)) this.#print(`${paint('dim', this.#clock())} ${line}`)
  }

  #clock(): string {
    return `${((Date.now() - this.#startedMs) / 1000).toFixed(1).padStart(6)}s`
  }

  #lines(event: MeshEvent): string[] {
    switch (event.event) {
      case 'started':
        this.#sharedPorts = event.mode === 'explicit'
        return [event.mode === 'namespaced' ? 'mode namespaced: each pod is a network namespace of its own' : `mode explicit: pods share the loopback, sidecars are reached by HTTP_PROXY${event.reason === undefined ? '' : `; ${event.reason}`}`]
      case 'problem':
        return [paint(event.problem.severity === 'error' ? 'red' : 'yellow', formatProblem(event.problem))]
      case 'control-plane':
        return [event.status === 'failed' ? paint('red', `control plane failed: ${event.detail ?? ''}`) : `control plane ${event.status}`]
      case 'control-plane-log':
        return this.#log(event.level, event.message, event.fields)
      case 'pod':
        return this.#pod(event.pod, event.detail)
      case 'ready':
        return [paint('green', `ready: ${event.pods} pods`)]
      case 'mended':
        this.#said.clear()
        return [paint('green', `${relative(process.cwd(), event.file)}: read again, nothing is refused any more`)]
      case 'applied':
        return event.changes.map((c) => `${c.ref.kind} ${c.ref.namespace === '' ? '' : `${c.ref.namespace}/`}${c.ref.name} ${c.action}${c.note === undefined ? '' : ` (${c.note})`}`)
      case 'stopping':
        return [`going down: ${event.why}`]
    }
  }

  /** The control plane repeats what is wrong each time it reads; once is enough, until something changes. */
  #log(level: string, message: string, fields: Readonly<Record<string, unknown>>): string[] {
    const lines = logLines(level, message, fields)
    if (message === 'change pushed') {
      if (lines.length > 0) this.#said.clear()
      return lines
    }
    const fresh = lines.filter((l) => !this.#said.has(l))
    for (const l of fresh) this.#said.add(l)
    return fresh
  }

  #pod(pod: PodView, detail: string | undefined): string[] {
    const ready = pod.containers.filter((c) => c.ready).length
    const bad = ['CrashLoopBackOff', 'ErrImagePull', 'Error'].includes(pod.status)
    if (!pod.ready && !bad && pod.status !== 'Completed' && pod.status !== 'Terminating' && this.#shown.get(`${pod.namespace}/${pod.name}`) === undefined) return []
    const state = `${ready}/${pod.containers.length} ${pod.status}`
    const key = `${pod.namespace}/${pod.name}`
    if (this.#shown.get(key) === state) return []
    this.#shown.set(key, state)
    return [`pod ${pod.namespace}/${pod.name} ${paint(pod.ready ? 'green' : bad ? 'red' : 'yellow', state)}${pod.ready || detail === undefined ? '' : `: ${detail}`}`, ...this.#portAdvice(detail)]
  }

  /** Once. */
  #portAdvice(detail = ''): string[] {
    if (!this.#sharedPorts || !/EADDRINUSE|address already in use/i.test(detail)) return []
    this.#sharedPorts = false
    return [paint('yellow', 'in explicit mode all pods share this machine’s ports: let programs listen on $(PORT_8080) in place of 8080, or on $PORT (docs/local.md)')]
  }
}

/** Of the control plane's log: what changed for whom, what was refused. */
function logLines(level: string, message: string, fields: Readonly<Record<string, unknown>>): string[] {
  if (message === 'change pushed') {
    const changed = (Array.isArray(fields['changed']) ? (fields['changed'] as string[]) : []).filter((c) => !/^(?:Pod|LocalMesh) /.test(c))
    const sent = Object.keys((fields['sent'] ?? {}) as object)
    if (changed.length === 0) return []
    return [`${changed.join(', ')}: ${sent.length === 0 ? 'changes nothing for any sidecar' : `new configuration for ${sent.join(', ')}`}`]
  }
  if (level !== 'error' && level !== 'warn') return []
  const { file, line, field, problem, help, reason, code } = fields
  const place = typeof file === 'string' ? `${relative(process.cwd(), file)}${line === undefined ? '' : `:${String(line)}`}: ` : ''
  const where = typeof field === 'string' && field !== '' && !String(problem).includes(field) ? `${field}: ` : ''
  const what = [problem === undefined ? reason : `${where}${String(problem)}`, help].filter((t) => t !== undefined).join('; ')
  return [paint(level === 'error' ? 'red' : 'yellow', `${place}${message}${what === '' ? '' : `: ${what}`}${code === undefined ? '' : ` [${String(code)}]`}`)]
}

function paint(style: Parameters<typeof styleText>[0], text: string): string {
  return styleText(style, text, { stream: process.stdout })
}
