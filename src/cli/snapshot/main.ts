// The commands that answer and end, as they stand in a start-up snapshot: loaded, and warm from having answered about the examples.
// Law: nothing of the machine, the user or the examples stays in it. Whoever starts it finds it stale leaves it (leave.ts).
import { readFileSync, rmSync } from 'node:fs'
import { startupSnapshot } from 'node:v8'
import { areCurrent, type Stamps } from '../made.ts'
import { run } from '../run.ts'
import { leave } from './leave.ts'

interface Plan {
  readonly home: string
  /** Where it will lie. */
  readonly snapshot: string
  readonly inputs: Stamps
  readonly questions: readonly (readonly string[])[]
}

const { home, snapshot, inputs, questions } = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as Plan

/** So that the next start need not find out again. */
function dropSnapshot(): void {
  try {
    rmSync(snapshot)
  } catch {
    // Not ours to remove: it is only slower.
  }
}

/** Answers that nobody hears. */
async function warm(): Promise<void> {
  const silent = { write: () => true, on: () => undefined, isTTY: false, columns: 80, listenerCount: () => 0 }
  const streams = (['stdout', 'stderr'] as const).map((name) => [name, Object.getOwnPropertyDescriptor(process, name) as PropertyDescriptor] as const)
  for (const [name] of streams) Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => silent })
  for (const question of questions) await run(question)
  for (const [name, before] of streams) Object.defineProperty(process, name, before)
  process.exitCode = undefined
}

void warm().then(() => startupSnapshot.setDeserializeMainFunction(() => {
  if (process.argv[1] !== `${home}/src/cli/start.ts`) leave()
  if (!areCurrent(home, inputs)) {
    dropSnapshot()
    leave()
  }
  void run(process.argv.slice(2))
}))
