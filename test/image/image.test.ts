// The image: made twice it is the same, and it holds nothing that could run anything but Kith.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { dependenciesOf, withoutSymbols } from '../../deploy/image/elf.ts'
import { tar } from '../../deploy/image/tar.ts'

const folder = mkdtempSync(join(tmpdir(), 'kith-image-test-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const skip = process.platform === 'linux' ? false : 'needs Linux'

test('made twice, the archive is the same; its files are Node, its libraries and Kith', { skip }, () => {
  const build = (out: string): string => execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', 'deploy/image/build.ts', '--out', join(folder, out), '--tag', 'test'], { encoding: 'utf8' })
  const [first, second] = [build('1.tar'), build('2.tar')]
  assert.match(first, /^kith\.dev\/proxyv2:test\nkith\.dev\/pilot:test\nsha256:[0-9a-f]{64}\n/)
  assert.equal(first, second)
  // As docs/install.md says: a pull is part of a pod's start.
  const [, packed, unpacked] = /^([0-9.]+) MB packed, ([0-9.]+) MB unpacked$/m.exec(first) ?? []
  assert.ok(Number(packed) <= 52 && Number(unpacked) <= 142, `${packed} MB packed, ${unpacked} MB unpacked`)
  assert.ok(readFileSync(join(folder, '1.tar')).equals(readFileSync(join(folder, '2.tar'))))

  const index = JSON.parse(execFileSync('tar', ['-xOf', join(folder, '1.tar'), 'index.json'], { encoding: 'utf8' })) as { manifests: { digest: string }[] }
  assert.equal(new Set(index.manifests.map((m) => m.digest)).size, 1)
  const blob = (digest: string): Buffer => execFileSync('tar', ['-xOf', join(folder, '1.tar'), `blobs/${digest.replace(':', '/')}`], { maxBuffer: 1 << 28 })
  const manifest = JSON.parse(blob((index.manifests[0] as { digest: string }).digest).toString()) as { layers: { digest: string }[] }
  const files = manifest.layers.flatMap((l) => execFileSync('tar', ['-tz'], { input: blob(l.digest), encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n')).filter((f) => f !== '' && !f.endsWith('/'))
  const outside = files.filter((f) => !f.startsWith('opt/kith/') && !/^lib(64)?\//.test(f)).sort()
  assert.deepEqual(outside, ['etc/group', 'etc/nsswitch.conf', 'etc/passwd', 'usr/bin/node', 'usr/local/bin/kith', 'usr/local/bin/kith-agent'])
  assert.deepEqual(files.filter((f) => /\.test\.ts$|\.map$|\.d\.ts$|node_modules\/(protoc|typescript|oxlint|fast-check|\.bin)\//.test(f)), [])
})

test('a long path is split, one that can’t be is refused', () => {
  const long = `${'a/'.repeat(60)}${'b'.repeat(90)}`
  const archive = tar([{ path: long, kind: 'file', content: Buffer.from('x') }])
  assert.equal(execFileSync('tar', ['-t'], { input: archive, encoding: 'utf8' }).trim().split('\n').at(-1), long)
  assert.throws(() => tar([{ path: 'c'.repeat(120), kind: 'file', content: Buffer.from('x') }]), /too long/)
})

test('of an ELF file: what it loads, and itself without symbols', { skip }, () => {
  const node = readFileSync(process.execPath)
  const small = withoutSymbols(node)
  assert.ok(small.length < node.length)
  assert.deepEqual(dependenciesOf(small), dependenciesOf(node))
  assert.ok(dependenciesOf(node).libraries.includes('libc.so.6'))
})
