// The seed's second half: its YAML files applied by kubectl, nine calls, STRICT, exceptions, routing, a service outside: each table as explained, and as `kith up` has it.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { meshFile, steps } from '../../../src/cli/demo/steps.ts'
import { kubectl, podsReady } from '../cluster.ts'
import { table, walkthrough as folder } from '../calls.ts'
import { localTables } from '../local-tables.ts'
import { startExternal } from './external.ts'
import type { Story } from './story.ts'

export const walkthrough: Story = {
  title: 'the seed’s policies, step by step: every table is what explain says and what kith up shows',
  async run(say) {
    const local = await localTables(steps)
    await startExternal()
    let standing = [meshFile]
    for (const [i, step] of steps.entries()) {
      for (const file of step.remove) kubectl(`delete -f ${join(folder, file)}`)
      for (const file of step.apply) kubectl(`apply -f ${join(folder, file)}`)
      standing = [...standing.filter((f) => !step.remove.includes(f)), ...step.apply]
      if (step.pods === true) await podsReady('foo', '1/1', 2, 'app!=httpbin,app!=sleep')
      const rows = await table(step.calls, standing)
      say(`${step.title}\n${rows.map((r) => `    ${r}`).join('\n')}`)
      assert.deepEqual(rows, local[i], step.title)
    }
  },
}
