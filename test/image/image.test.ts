// The image: made twice it is the same, and it holds nothing that could run anything but Kith.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
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
  assert.equal(first.replace('1.cdx.json', '2.cdx.json'), second)
  assert.ok(readFileSync(join(folder, '1.cdx.json')).equals(readFileSync(join(folder, '2.cdx.json'))))
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
  assert.deepEqual(outside, ['etc/group', 'etc/nsswitch.conf', 'etc/passwd', 'usr/bin/node', 'usr/local/bin/kith', 'usr/local/bin/kith-agent', 'usr/share/licenses/node/LICENSE'])
  const licensed = new Set(files.filter((f) => /\/(licen[cs]e|notice|copying)[^/]*$/i.test(f)).map((f) => f.slice(0, f.lastIndexOf('/'))))
  for (const name of ['jose', 'pino', 're2js', '@grpc/grpc-js']) assert.ok(licensed.has(`opt/kith/node_modules/${name}`), `the licence of ${name}`)
  const bom = JSON.parse(readFileSync(join(folder, '1.cdx.json'), 'utf8')) as { components: { name: string }[] }
  const components = new Set(bom.components.map((c) => c.name))
  const modules = new Set(files.flatMap((f) => /^opt\/kith\/node_modules\/((@[^/]+\/)?[^/]+)\//.exec(f)?.[1] ?? []))
  for (const name of [...modules, ...files.filter((f) => f.startsWith('lib/'))]) assert.ok(components.has(name), `${name} is in the bill of materials`)
  assert.deepEqual(files.filter((f) => /\.test\.ts$|\.map$|\.d\.ts$|node_modules\/(protoc|typescript|oxlint|fast-check|\.bin)\//.test(f)), [])
})

test('each command that copies the image into a registry names an image of the archive', { skip }, (t) => {
  const archive = join(folder, '1.tar')
  const index = JSON.parse(execFileSync('tar', ['-xOf', archive, 'index.json'], { encoding: 'utf8' })) as { manifests: { annotations: Record<string, string> }[] }
  const names = index.manifests.map((m) => m.annotations['org.opencontainers.image.ref.name']).sort()
  const page = readFileSync('deploy/image/README.md', 'utf8').replaceAll('registry.example.com/mesh', 'kith.dev').replaceAll('0.1.0', 'test')
  const loop = /^for image in (.*); do (skopeo copy .*); done$/m.exec(page)
  const commands = (loop?.[1] ?? '').split(' ').map((image) => (loop?.[2] ?? '').replaceAll('$image', image))
  assert.deepEqual(commands.map((c) => /oci-archive:kith\.tar:(\S+) docker:\/\/(\S+)/.exec(c)?.slice(1)).sort(), names.map((n) => [n, n]))
  if (spawnSync('skopeo', ['--version']).error !== undefined) return t.skip('skipped: needs skopeo')
  for (const [i, command] of commands.entries()) {
    const to = command.replace('oci-archive:kith.tar:', `oci-archive:${archive}:`).replace(/docker:.*/, `dir:${join(folder, `copy-${i}`)}`)
    const run = spawnSync('skopeo', to.split(' ').slice(1), { encoding: 'utf8' })
    assert.equal(run.status, 0, run.stderr)
  }
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

test('a Node that is not what the lock file names is not built in', { skip }, () => {
  const home = join(folder, 'altered')
  mkdirSync(join(home, 'node_modules'), { recursive: true })
  for (const part of ['deploy', 'scripts', 'src', 'generated', 'package.json', 'LICENSE', 'NOTICE', '.npmrc']) symlinkSync(resolve(part), join(home, part))
  for (const name of readdirSync('node_modules')) symlinkSync(resolve('node_modules', name), join(home, 'node_modules', name))
  const lock = readFileSync('package-lock.json', 'utf8')
  const name = `node_modules/node-linux-${process.arch}`
  const { integrity } = (JSON.parse(lock) as { packages: Record<string, { integrity: string }> }).packages[name] ?? { integrity: '' }
  const other = `sha512-${Buffer.alloc(64).toString('base64')}`
  writeFileSync(join(home, 'package-lock.json'), lock.replace(integrity, other))
  const build = (): string => execFileSync(process.execPath, ['--preserve-symlinks', '--preserve-symlinks-main', '--disable-warning=ExperimentalWarning', join(home, 'deploy/image/build.ts'), '--out', join(folder, 'altered.tar')], { encoding: 'utf8', stdio: 'pipe' })
  assert.throws(build, /package-lock\.json names sha512-A+=*: the image is not built/)
  assert.equal(existsSync(join(folder, 'altered.tar')), false)
})
