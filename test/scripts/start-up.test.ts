// What is made ahead of the commands: taken while it is current, the same answers as the sources give, and never taken once anything has changed.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const question = ['explain', 'sleep.foo', 'http://httpbin.bar:8000/get', '-f', 'examples/walkthrough/mesh.yaml']

test('a checkout’s commands are made ahead, answer as its sources do, and go by its sources once these have changed', () => {
  const home = mkdtempSync(join(tmpdir(), 'kith-start-up-'))
  const run = (command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): { status: number | null; out: string; traced: string } => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: home, encoding: 'utf8', timeout: 60_000, env: { PATH: process.env['PATH'], HOME: home, ...environment } })
    return { status, out: stdout, traced: stderr }
  }
  const kith = (args: readonly string[], environment?: Readonly<Record<string, string>>): ReturnType<typeof run> => run('sh', ['-x', 'bin/kith', ...args], environment)
  const sources = (args: readonly string[]): string => run(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', ...args]).out
  try {
    for (const part of ['bin', 'src', 'scripts', 'examples', 'package.json', 'tsconfig.json']) cpSync(part, join(home, part), { recursive: true, preserveTimestamps: true })
    mkdirSync(join(home, 'generated'))
    cpSync('generated/envoy.binpb', join(home, 'generated/envoy.binpb'))
    symlinkSync(resolve('node_modules'), join(home, 'node_modules'))
    const made = run(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', 'await (await import("./scripts/make-commands.ts")).makeCommands(process.execPath)'])
    assert.equal(made.traced, '')
    const blob = join(home, 'generated/commands/explain.blob')

    const first = kith(question)
    assert.match(first.traced, /--snapshot-blob/)
    assert.match(first.out, /: mutual TLS\n/)
    assert.equal(first.out, sources(question))
    assert.equal(kith([...question.slice(0, 2), 'http://nobody.bar:1/', ...question.slice(3)]).status, run(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', ...question.slice(0, 2), 'http://nobody.bar:1/', ...question.slice(3)]).status)
    // What is loaded later is loaded outside of the snapshot.
    const nowhere = kith(question.slice(0, 3), { KUBECONFIG: '/nonexistent', XDG_RUNTIME_DIR: home })
    assert.match(nowhere.traced, /^kith: .*\[\w+\]$/m)
    assert.equal(nowhere.status, 1)
    // Another V8, or another processor, would be refused.
    for (const other of [kith(question, { NODE_OPTIONS: '--stack-trace-limit=5' }), (writeFileSync(join(home, 'generated/commands/explain.cpu'), 'another\n'), kith(question))]) {
      assert.doesNotMatch(other.traced, /--snapshot-blob/)
      assert.equal(other.out, first.out)
    }

    const words = join(home, 'src/insight/explain/text.ts')
    writeFileSync(words, readFileSync(words, 'utf8').replaceAll('mutual TLS', 'MUTUAL'))
    assert.match(kith(question).out, /: MUTUAL\n/, 'the bundle is stale')
    writeFileSync(join(home, 'generated/commands/explain.cpu'), cpu())
    assert.match(kith(question).out, /: MUTUAL\n/, 'the snapshot is stale')
    assert.equal(existsSync(blob), false)
    assert.match(kith(question).out, /: MUTUAL\n/)
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
})

function cpu(): string {
  return existsSync('/proc/cpuinfo') ? (readFileSync('/proc/cpuinfo', 'utf8').split('\n').find((l) => /^(flags|Features)/.test(l)) ?? '') + '\n' : ''
}
