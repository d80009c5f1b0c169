// The way in: the command asked for as a few files, where they were made of just these sources (made.ts); else the sources.
import { madeEntry } from './made.ts'

const home = import.meta.dirname.slice(0, -'/src/cli'.length)
const asked = process.argv.slice(2).find((a) => !a.startsWith('-') && a !== 'x' && a !== 'experimental') ?? ''
const made = /^[a-z-]+$/.test(asked) ? madeEntry(home, asked) : undefined
await import(made === undefined ? './main.ts' : `file://${made}`)
