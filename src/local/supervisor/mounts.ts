// What a container sees of the file system: the machine's own, but for the pod's names, its token and an empty /run.
import { chmodSync, chownSync, closeSync, existsSync, lstatSync, mkdirSync, openSync, readlinkSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { mount } from '#netlink'
import { writeFile } from '../replace-file.ts'

export const secretsDir = '/run/secrets'

export interface ContainerFiles {
  readonly resolvConf: string
  readonly hosts: string
  readonly nsswitch: string
  /** Folder with `istio-token`; absent without a sidecar. */
  readonly tokens?: string
}

export interface ContainerFacts {
  readonly resolvConf: string
  readonly hostname: string
  readonly address: string
  readonly token?: string
  readonly tokenOwner?: number
}

/**
 * Gives the sandbox a /run of its own (daemons' sockets of the machine would answer names for pods, and more), in which `kept` folders stay visible.
 * Called once, before the first pod.
 */
export function privateRun(kept: readonly string[]): void {
  const O_PATH = 0o10000000
  const inside = kept.filter((k) => k.startsWith('/run/') || k.startsWith('/var/run/')).map((path) => ({ path, fd: openSync(path, O_PATH) }))
  mount('tmpfs', '/run', { type: 'tmpfs', flags: ['nosuid', 'nodev'], data: 'mode=755' })
  for (const { path, fd } of inside) {
    mkdirSync(path, { recursive: true })
    mount(`/proc/self/fd/${fd}`, path, { flags: ['bind', 'recursive'] })
    closeSync(fd)
  }
  if (existsSync('/var/run') && !lstatSync('/var/run').isSymbolicLink()) mount('/run', '/var/run', { flags: ['bind', 'recursive'] })
  for (const name of ['tokens', 'istio']) mkdirSync(`${secretsDir}/${name}`, { recursive: true })
  // Servers outside the mesh leave their CA's certificate here for the sidecars.
  chmodSync(secretsDir, 0o1777)
  for (const path of ['/etc/resolv.conf', '/etc/hosts']) keepLinkTarget(path)
}

/** resolv.conf is often a link into /run, which is empty now: a bind mount needs something to stand on. */
function keepLinkTarget(path: string): void {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() || existsSync(path)) return
  const target = resolve(dirname(path), readlinkSync(path))
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, '')
}

/** Writes a pod's own files below `dir`. */
export function writeContainerFiles(dir: string, facts: ContainerFacts): ContainerFiles {
  const put = (name: string, text: string): string => {
    writeFile(`${dir}/${name}`, text, { mode: 0o644 })
    return `${dir}/${name}`
  }
  const hosts = `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${facts.address}\t${facts.hostname}\n`
  const files = { resolvConf: put('resolv.conf', facts.resolvConf), hosts: put('hosts', hosts), nsswitch: put('nsswitch.conf', 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n') }
  if (facts.token === undefined) return files
  mkdirSync(`${dir}/tokens`, { recursive: true })
  writeToken(dir, facts.token, facts.tokenOwner ?? 0)
  return { ...files, tokens: `${dir}/tokens` }
}

/** The token in place of an older one; readable by the sidecar's user alone. */
export function writeToken(dir: string, token: string, owner: number): void {
  const path = `${dir}/tokens/istio-token`
  writeFile(path, token, { mode: 0o600 })
  chmodSync(path, 0o600)
  if (owner !== 0 && process.getuid?.() === 0) chownSync(path, owner, owner)
}

/** Inside a fresh mount namespace. `rootCertificates`: the folder to see at /run/secrets/istio; only a sidecar has it, and the token. */
export function arrangeContainer(files: ContainerFiles, rootCertificates: string | undefined): void {
  const bind = (from: string, to: string): void => {
    if (existsSync(to)) mount(from, to, { flags: ['bind'] })
  }
  bind(files.resolvConf, '/etc/resolv.conf')
  bind(files.hosts, '/etc/hosts')
  bind(files.nsswitch, '/etc/nsswitch.conf')
  if (rootCertificates === undefined) return
  bind(rootCertificates, `${secretsDir}/istio`)
  if (files.tokens !== undefined) bind(files.tokens, `${secretsDir}/tokens`)
}
