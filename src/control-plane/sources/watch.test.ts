import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Objects } from './objects.ts'
import { watchFiles } from './watch.ts'

const policy = (mode: string): string => `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: foo}\nspec: {mtls: {mode: ${mode}}}\n`
const modes = (now: Objects): unknown[] => now.objects.map((o) => (o.spec as { mtls?: { mode?: string } }).mtls?.mode)

/** Changes as they come; `until` waits for the first that is as asked. */
function follow(paths: readonly string[]): { current(): Objects; until(as: (now: Objects) => boolean): Promise<Objects>; close(): void } {
  let wake = (): void => {}
  const watch = watchFiles(paths, () => wake())
  return {
    current: () => watch.current(),
    close: () => watch.close(),
    async until(as) {
      while (!as(watch.current())) await new Promise<void>((resolve) => (wake = resolve))
      return watch.current()
    },
  }
}

test('a folder: changes are taken up, what is wrong keeps its last good self and is said', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-watch-'))
  const file = join(folder, 'policy.yaml')
  writeFileSync(file, policy('STRICT'))
  const watch = follow([folder])
  try {
    assert.deepEqual(modes(watch.current()), ['STRICT'])
    writeFileSync(join(folder, 'new'), policy('PERMISSIVE'))
    renameSync(join(folder, 'new'), file)
    await watch.until((now) => modes(now)[0] === 'PERMISSIVE')
    writeFileSync(file, policy('DISABLED'))
    const refused = await watch.until((now) => now.problems.length > 0)
    assert.deepEqual(modes(refused), ['PERMISSIVE'])
    assert.equal(refused.problems[0]?.help, 'did you mean DISABLE?')
    writeFileSync(file, 'a: [')
    assert.deepEqual(modes(await watch.until((now) => now.problems[0]?.code === 'KITH0001')), ['PERMISSIVE'])
    writeFileSync(file, policy('DISABLE'))
    assert.deepEqual((await watch.until((now) => modes(now)[0] === 'DISABLE')).problems, [])
    rmSync(file)
    await watch.until((now) => now.objects.length === 0)
  } finally {
    watch.close()
    rmSync(folder, { recursive: true })
  }
})

test('a file by its name: put in place anew, it is still watched; one that is missing is waited for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-watch-'))
  const file = join(folder, 'policy.yaml')
  writeFileSync(file, policy('STRICT'))
  const watch = follow([file, join(folder, 'later')])
  try {
    assert.equal(watch.current().problems.length, 1)
    for (const mode of ['PERMISSIVE', 'DISABLE', 'STRICT']) {
      writeFileSync(`${file}.tmp`, policy(mode))
      renameSync(`${file}.tmp`, file)
      await watch.until((now) => modes(now)[0] === mode)
    }
  } finally {
    watch.close()
    rmSync(folder, { recursive: true })
  }
})
