// Loaded before every test file (scripts/test.ts): what properties draw is the same in every run, so that a change fails by its own fault alone.
// SEED=random, or a number, draws anew; a failure prints the seed that it had.
import fc from 'fast-check'

const asked = process.env['SEED']
if (asked !== 'random') fc.configureGlobal({ seed: asked === undefined ? 20260101 : Number(asked) })
