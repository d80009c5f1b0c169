// What the workloads of the lane run in: httpbin (Node and a few small servers) and sleep (busybox and curl), and Kith's own image; each an archive that the lab loads.
import { execFileSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { architecture, runtimeLayer } from '../../deploy/image/contents.ts'
import { ociArchive } from '../../deploy/image/oci.ts'
import { lab } from './lab.ts'

const home = join(import.meta.dirname, '../..')

/** Made and loaded; takes half a minute. */
export function loadImages(): void {
  const folder = mkdtempSync(join(tmpdir(), 'kith-lane-'))
  try {
    const kith = join(folder, 'kith.tar')
    execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', join(home, 'deploy/image/build.ts'), '--out', kith])
    lab('load', kith)
    const servers = [join(home, 'examples/walkthrough/httpbin.ts'), ...globSync(join(import.meta.dirname, 'servers/*.ts'))]
    const files = servers.map((f) => ({ path: `app/${basename(f)}`, kind: 'file' as const, content: readFileSync(f) }))
    const httpbin = ociArchive([runtimeLayer(), files], { architecture, entrypoint: ['/usr/bin/node', '/app/httpbin.ts'], environment: ['PATH=/usr/bin'], user: '0', labels: {} }, ['kith.dev/httpbin:1'])
    writeFileSync(join(folder, 'httpbin.tar'), httpbin.bytes)
    lab('load', join(folder, 'httpbin.tar'))
    lab('base-rootfs', join(folder, 'sleep'))
    lab('image', 'kith.dev/sleep:1', join(folder, 'sleep'), '--entrypoint', '["/bin/sleep", "infinity"]')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
