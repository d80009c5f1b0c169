// Where in a template something stands, and the error that says so.
export interface Source {
  readonly name: string
  readonly text: string
}

/** A user's mistake in a template; its message begins with `name:line:column`. */
export class TemplateError extends Error {
  readonly line: number
  readonly column: number
  constructor(source: Source, at: number, message: string) {
    const before = source.text.slice(0, at)
    const line = before.split('\n').length
    const column = at - (before.lastIndexOf('\n') + 1) + 1
    super(`template ${source.name}:${line}:${column}: ${message}`)
    this.name = 'TemplateError'
    this.line = line
    this.column = column
  }
}
