// Pods by label, so that many selectors over many pods stay cheap.
import type { Labels } from './context.ts'

export class LabelIndex {
  readonly #byLabel = new Map<string, Labels[]>()
  readonly #all: readonly Labels[]

  constructor(all: readonly Labels[]) {
    this.#all = all
    for (const labels of all) {
      for (const [key, value] of Object.entries(labels)) {
        const list = this.#byLabel.get(`${key}\0${value}`)
        if (list === undefined) this.#byLabel.set(`${key}\0${value}`, [labels])
        else list.push(labels)
      }
    }
  }

  /** Whether somebody has all these labels. */
  has(selector: Labels): boolean {
    const wanted = Object.entries(selector)
    if (wanted.length === 0) return this.#all.length > 0
    let fewest: readonly Labels[] | undefined
    for (const [key, value] of wanted) {
      const list = this.#byLabel.get(`${key}\0${value}`)
      if (list === undefined) return false
      if (fewest === undefined || list.length < fewest.length) fewest = list
    }
    return (fewest as readonly Labels[]).some((labels) => wanted.every(([key, value]) => labels[key] === value))
  }
}
