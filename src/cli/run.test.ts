import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

const main = join(import.meta.dirname, 'main.ts')
const kith = (...args: string[]): { code: number | null; out: string; err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], { encoding: 'utf8', input: '', timeout: 30_000 })
  return { code: status, out: stdout, err: stderr }
}

test('wrong usage ends with 2 and names the help, below a command of commands too', () => {
  for (const [args, message] of [
    [['describe', 'pod'], /missing required argument 'pod'\n\(kith describe pod --help/], [['describe', 'pod', 'x', '--nope'], /unknown option '--nope'\n\(kith describe pod --help/],
    [['--nope'], /unknown option '--nope'\n\(kith --help/], [['exlpain'], /Did you mean explain/], [['explain', 'sleep.foo', 'ftp://x', '-f', 'examples/walkthrough/mesh.yaml'], /the scheme ftp is not known.*\[WRONG_TARGET\]/], [['up', '.', '--timeout', 'x'], /argument 'x' is invalid\. It takes a number of seconds\./],
  ] as const) {
    const { code, err } = kith(...args)
    assert.deepEqual([code, message.test(err)], [2, true], err)
  }
})

test('help of a command is its own, and a list that begins empty has no default there', () => {
  const help = kith('help', 'explain')
  assert.equal(help.code, 0)
  assert.match(help.out, /Usage: kith explain \[options\] <from> <to>/)
  assert.doesNotMatch(help.out, /\[\]/)
  assert.match(kith('--version').out, /client version: /)
})

test('what the operating system refuses is no bug of ours', () => {
  const refused = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'up', import.meta.dirname], { encoding: 'utf8', env: { ...process.env, XDG_RUNTIME_DIR: '', TMPDIR: '/dev/null' } })
  assert.deepEqual([refused.status, /^kith: what a running mesh keeps has no place: can't mkdir \/dev\/null\/kith-\d+: not a directory; set .* \[STATE_UNWRITABLE\]\n$/.test(refused.stderr)], [1, true], refused.stderr)
})

test('nothing was read: that is said, not that a name is wrong', () => {
  const { code, err } = kith('explain', 'web.shop', 'http://api.shop/', '-f', '-')
  assert.deepEqual([code, /no workload was read/.test(err)], [1, true], err)
})

test('validate names the kinds that Kith does not serve, and they stay valid', () => {
  const kinds: readonly (readonly [string, string, string])[] = [
    ['gateway.networking.k8s.io/v1', 'HTTPRoute', '{}'], ['gateway.networking.k8s.io/v1', 'Gateway', '{}'],
    ['extensions.istio.io/v1alpha1', 'WasmPlugin', '{url: "oci://x/y"}'], ['networking.istio.io/v1beta1', 'ProxyConfig', '{concurrency: 1}'],
    ['networking.istio.io/v1', 'Gateway', '{servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}'],
    ['networking.istio.io/v1alpha3', 'EnvoyFilter', '{configPatches: []}'], ['telemetry.istio.io/v1', 'Telemetry', '{accessLogging: [{disabled: true}]}'],
  ]
  for (const [apiVersion, kind, spec] of kinds) {
    const { status, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'validate', '-f', '-'], { encoding: 'utf8', input: `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x, namespace: a}\nspec: ${spec}\n` })
    assert.equal(status, 0, `${kind}: ${stderr}`)
    assert.match(stderr, new RegExp(`^note: ${kind} x: Kith does not serve this kind: .*\\(-:1\\)$`, 'm'))
  }
  assert.equal(kith('validate', '-f', 'examples/walkthrough').err, '')
})
