// The long form: `npm run fuzz`, an hour for all targets together. SEED=n, DURATION=seconds, TARGETS=heads,frames change that. Exit code 1 where something was found.
import { fuzz, targets } from './run.ts'

const seed = process.env['SEED'] === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(process.env['SEED'])
const seconds = Number(process.env['DURATION'] ?? 3600)
const asked = process.env['TARGETS']?.split(',')
const wanted = targets.filter((t) => asked === undefined || asked.includes(t.name))
const unknown = asked?.filter((a) => !targets.some((t) => t.name === a)) ?? []
if (!Number.isInteger(seed) || !(seconds > 0) || unknown.length > 0 || wanted.length === 0) {
  process.stderr.write(`SEED takes a whole number, DURATION seconds, TARGETS some of ${targets.map((t) => t.name).join(',')}\n`)
  process.exit(2)
}
process.stdout.write(`SEED=${seed} DURATION=${seconds} TARGETS=${wanted.map((t) => t.name).join(',')}\n`)
for (const target of wanted) {
  const { inputs, failure } = await fuzz(target, seed, (seconds * 1000) / wanted.length)
  process.stdout.write(`${target.name}: ${inputs} inputs, ${failure === undefined ? 'nothing found' : `FOUND\n${failure}`}\n`)
  if (failure !== undefined) process.exitCode = 1
}
