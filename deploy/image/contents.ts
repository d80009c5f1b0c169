// Which files make the image: Node and the libraries it loads, Kith with its production dependencies, and nothing that could run anything else.
// Law: what is in it follows from the checkout, its lock file and this machine's C library; never from time, user or folder.
import { createHash } from 'node:crypto'
import { existsSync, globSync, lstatSync, readFileSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { dependenciesOf, withoutSymbols } from './elf.ts'
import { lockedNode } from './locked-node.ts'
import type { Component } from '../../scripts/sbom.ts'
import type { TarEntry } from './tar.ts'

const home = join(import.meta.dirname, '../..')
export const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
const libraryFolders = [`/lib/${triplet}`, `/usr/lib/${triplet}`, '/lib64', '/usr/lib64', '/lib', '/usr/lib']
const nodePackage = `node-linux-${process.arch}`
export const nodeBinary = join(home, `node_modules/${nodePackage}/bin/node`)

const file = (path: string, from: string): TarEntry => ({ path, kind: 'file', content: readFileSync(from), executable: (lstatSync(from).mode & 0o111) !== 0 })

/** Node, the C library and what else Node loads: changes with Node's version alone. */
export function runtimeLayer(): TarEntry[] {
  const node = lockedNode(nodePackage)
  if (!node.equals(readFileSync(nodeBinary))) {
    throw new Error(`${nodeBinary} is not the file of the package that package-lock.json names: run npm ci`)
  }
  const { loader, libraries } = dependenciesOf(node)
  const found = new Map<string, Buffer>()
  const add = (name: string): void => {
    if (found.has(name) || loader.endsWith(`/${name}`)) return
    const content = readFileSync(realpathSync(libraryPath(name)))
    found.set(name, content)
    dependenciesOf(content).libraries.forEach(add)
  }
  libraries.forEach(add)
  return [
    { path: 'usr/bin/node', kind: 'file', content: withoutSymbols(node), executable: true },
    file('usr/share/licenses/node/LICENSE', join(home, `node_modules/${nodePackage}/LICENSE`)),
    { path: loader.slice(1), kind: 'file', content: readFileSync(realpathSync(loader)), executable: true },
    ...[...found].map(([name, content]): TarEntry => ({ path: `lib/${triplet}/${name}`, kind: 'file', content })),
    { path: 'tmp', kind: 'directory', mode: 0o1777 },
    ...['proc', 'sys', 'dev', 'run'].map((path): TarEntry => ({ path, kind: 'directory' })),
  ]
}

function libraryPath(name: string): string {
  const folder = libraryFolders.find((f) => existsSync(join(f, name)))
  if (folder === undefined) throw new Error(`this machine lacks ${name}, which Node loads`)
  return join(folder, name)
}

interface Locked {
  readonly dev?: boolean
  readonly optional?: boolean
}

/** Licences are part of what is given on. */
const licence = /(^|\/)(licen[cs]e|notice|copying)[^/]*$/i
/** Types, maps, pages and sources serve whoever builds, not what runs. */
const unread = /\.(d\.[cm]?ts|[cm]?tsx?|map|md|markdown|flow|html|proto|yml|yaml|tsbuildinfo)$|^(\.[^/]+|test|tests|__tests__|benchmarks?|docs?|examples?|coverage)\//i
/** Of packages that carry the same code several times over, the copies that Node does not load. */
const copies = /^(@types|undici-types|@bufbuild\/protobuf\/dist\/cjs|yaml\/browser|protobufjs\/(dist|cli))\/|^(re2js\/build\/index\.umd|@peculiar\/x509\/build\/x509)\.js$/

/** Production dependencies, as the lock file has them. */
export function dependenciesLayer(): TarEntry[] {
  const { packages } = JSON.parse(readFileSync(join(home, 'package-lock.json'), 'utf8')) as { packages: Record<string, Locked> }
  const wanted = Object.entries(packages).filter(([path, p]) => path !== '' && p.dev !== true && p.optional !== true).map(([path]) => path)
  return wanted.flatMap((path) => filesBelow(path).filter((f) => (licence.test(f) || !unread.test(f.slice(path.length + 1))) && !copies.test(f.slice('node_modules/'.length))).map((f) => file(`opt/kith/${f}`, join(home, f))))
}

/** A package's own files: what it nests in node_modules stands in the lock file by itself. */
function filesBelow(folder: string): string[] {
  return readdirSync(join(home, folder), { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? (e.name === 'node_modules' ? [] : filesBelow(`${folder}/${e.name}`)) : e.isFile() ? [`${folder}/${e.name}`] : []))
}

/** The files of the first layer that npm does not know, for the bill of materials. */
export function runtimeComponents(layer: readonly TarEntry[]): Component[] {
  return layer.flatMap((e): Component[] => {
    if (e.kind !== 'file' || !e.path.startsWith('lib')) return []
    const content = createHash('sha256').update(e.content).digest('hex')
    return [{ type: 'library', name: e.path, hashes: [{ alg: 'SHA-256', content }] }]
  })
}

/** Kith itself, its ways in, and what a C library looks up. */
export function kithLayer(): TarEntry[] {
  const own = [...globSync('src/**/*.ts', { cwd: home }).filter((f) => !f.endsWith('.test.ts')), 'generated/envoy.binpb', 'package.json', 'LICENSE', 'NOTICE']
  const root = join(import.meta.dirname, 'root')
  const given = globSync('**', { cwd: root }).filter((f) => !lstatSync(join(root, f)).isDirectory())
  return [
    ...own.map((f) => file(`opt/kith/${f}`, join(home, f))),
    ...given.map((f): TarEntry => (lstatSync(join(root, f)).isSymbolicLink() ? { path: f, kind: 'link', to: readlinkSync(join(root, f)) } : file(f, join(root, f)))),
  ]
}
