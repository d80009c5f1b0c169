// A container → the local command that stands for it, and the PATH it runs with.
import { accessSync, constants } from 'node:fs'
import { dirname } from 'node:path'
import { nearest } from '#lib/nearest.ts'
import type { Container } from '#api'
import type { LocalImage } from './mesh-file.ts'

export interface LocalCommand {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Absolute, or relative to the mesh's folder. */
  readonly workingDir?: string
}

export interface NoCommand {
  /** What the user should do, in a sentence or two. */
  readonly problem: string
}

/**
 * As Kubernetes does it: `command` takes the place of the image's entry point, `args` follow; `$(NAME)` is replaced from the environment.
 * `fields`: the pod's own, for `valueFrom.fieldRef` (`status.podIP`).
 */
export function containerCommand(container: Container, images: Readonly<Record<string, LocalImage>>, given: Readonly<Record<string, string>> = {}, fields: Readonly<Record<string, string>> = {}): LocalCommand | NoCommand {
  const image = container.image ?? ''
  const local = imageFor(image, images)
  const entry = container.command ?? local?.command
  if (entry === undefined) return { problem: noCommand(image, images) }
  const literal = Object.fromEntries((container.env ?? []).flatMap((e) => {
    const value = e.value ?? fields[(e.valueFrom as { fieldRef?: { fieldPath?: string } } | undefined)?.fieldRef?.fieldPath ?? '']
    return value === undefined ? [] : [[e.name, value]]
  }))
  const env = { ...given, ...local?.env, ...literal }
  const expand = (text: string): string => text.replace(/\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (whole, name: string | undefined) => (name === undefined ? '$' : (env[name] ?? whole)))
  const argv = [...entry, ...(container.args ?? [])].map(expand)
  const workingDir = container.workingDir ?? local?.workingDir
  return { argv: argv[0] === 'node' ? [process.execPath, ...argv.slice(1)] : argv, env, ...(workingDir === undefined ? {} : { workingDir }) }
}

/** The very reference, or the image without tag and digest. */
function imageFor(image: string, images: Readonly<Record<string, LocalImage>>): LocalImage | undefined {
  return images[image] ?? images[image.replace(/@sha256:.*$/, '')] ?? images[withoutTag(image)]
}

function withoutTag(image: string): string {
  const plain = image.replace(/@sha256:.*$/, '')
  const cut = plain.lastIndexOf(':')
  return cut > plain.lastIndexOf('/') ? plain.slice(0, cut) : plain
}

function noCommand(image: string, images: Readonly<Record<string, LocalImage>>): string {
  if (image === '') return 'the container names neither an image nor a command'
  const near = nearest(image, Object.keys(images))
  const hint = near === undefined ? `add to kith.yaml: spec.images: {${JSON.stringify(image)}: {command: [node, ./server.ts]}}` : `did you mean ${JSON.stringify(near)}?`
  return `kith.yaml maps no command to the image ${JSON.stringify(image)}; ${hint}`
}

/** The path on which programs are looked up: the Node that runs Kith comes first. */
export function searchPath(): string {
  const folders = (process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin').split(':')
  return [dirname(process.execPath), ...folders.filter(isSearchable)].join(':')
}

/** A folder that may not be entered would make "no such program" a "permission denied". */
function isSearchable(folder: string): boolean {
  try {
    accessSync(folder, constants.X_OK)
    return true
  } catch {
    return false
  }
}
