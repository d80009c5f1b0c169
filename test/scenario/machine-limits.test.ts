// What the machine refuses: a full disk and too few open files. Each failure names its cause, and a mesh that runs goes on.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { hasNamespaces } from './fixtures/lane.ts'
import { openLane, type Lane } from './fixtures/mesh-lane.ts'

const kith = join(process.cwd(), 'bin/kith')

/** Runs a script of sh where the state of meshes lies on a disk of its own, of so many KiB. */
function onDisk(lane: Lane, kilobytes: number, script: string): { status: number | null; stdout: string; stderr: string } {
  const root = process.getuid?.() === 0 ? [] : ['-Ur']
  const whole = `mount -t tmpfs -o size=${kilobytes}k,mode=700 none "$XDG_RUNTIME_DIR" || exit 99\n${script}`
  const env = { ...process.env, XDG_RUNTIME_DIR: lane.runtime, KITH_DIR: lane.dir, KITH: kith }
  return spawnSync('unshare', [...root, '-m', 'sh', '-c', whole], { env, encoding: 'utf8', timeout: 60_000 })
}

test('on a full disk kith up ends with 1 and ENOSPC, wherever the space ends', (t: TestContext) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const failed: number[] = []
  for (let kilobytes = 4; ; kilobytes += kilobytes < 60 ? 28 : 8) {
    const { status, stderr } = onDisk(lane, kilobytes, '"$KITH" up "$KITH_DIR" -- true')
    if (status === 0) break
    failed.push(kilobytes)
    assert.ok(kilobytes < 1000, 'it never fits')
    assert.equal(status, 1, `${kilobytes} KiB: ${stderr}`)
    assert.match(stderr, /^kith: .*: no space left on device \[ENOSPC\]$/m, `${kilobytes} KiB`)
    assert.doesNotMatch(stderr, /bug of ours|at .*\.ts:\d+/)
  }
  assert.ok(failed.length >= 3, `failed with ${failed.join(', ')} KiB`)
  assert.deepEqual(lane.leftovers(), [])
})

test('a disk that is full later: apply says ENOSPC, the mesh goes on, and takes up what it could not write', (t: TestContext) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const pod = 'apiVersion: v1\\nkind: Pod\\nmetadata: {name: late, namespace: foo}\\nspec: {containers: [{name: app, image: example/client:1}]}'
  const inside = `
dd if=/dev/zero of="$XDG_RUNTIME_DIR/filler" bs=1k 2>/dev/null
printf '${pod}' | "$KITH" apply -f -; echo "applied $?"
printf -- '---\\n${pod}' >> "$KITH_DIR/mesh.yaml"
until "$KITH" ps -n foo | grep -q late; do sleep 0.1; done; echo "seen"
"$KITH" exec -n foo pod/client -- curl -s -o /dev/null -w 'call %{http_code}\\n' --max-time 10 http://echo.foo:8000/
rm "$XDG_RUNTIME_DIR/filler"
until "$KITH" ps -n foo | grep late | grep -q 2/2; do sleep 0.1; done; echo "taken up"`
  const { status, stdout, stderr } = onDisk(lane, 2000, `"$KITH" up "$KITH_DIR" -- timeout 40 sh -c '${inside.replaceAll("'", "'\\''")}'`)
  assert.equal(stdout.trim(), 'applied 1\nseen\ncall 200\ntaken up', stderr)
  assert.match(stderr, /^kith: can't write .*: no space left on device \[ENOSPC\]$/m)
  assert.match(stderr, /the pod has no place yet, and is tried again: .*\[ENOSPC\]/)
  assert.equal(status, 0)
})

test('too few open files: the limit is named, with what the mesh needs', (t: TestContext) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const env = { ...process.env, XDG_RUNTIME_DIR: lane.runtime }
  const { status, stderr } = spawnSync('sh', ['-c', `ulimit -n 64; exec "${kith}" up "${lane.dir}" -- true`], { env, encoding: 'utf8', timeout: 60_000 })
  assert.equal(status, 1)
  assert.match(stderr, /kith: the limit of open files is 64, and a mesh of \d+ containers needs \d+; raise it: ulimit -n 4096 \[OPEN_FILES_LIMIT\]\n$/)
  assert.deepEqual(lane.leftovers(), [])
})
