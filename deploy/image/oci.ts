// Layers and how to run them, as an OCI archive (image-spec 1.1): a tar file that containerd, podman and skopeo load. Pure.
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { tar, type TarEntry } from './tar.ts'

export interface ImageConfig {
  readonly architecture: 'amd64' | 'arm64'
  readonly entrypoint: readonly string[]
  readonly environment: readonly string[]
  readonly user: string
  readonly labels: Readonly<Record<string, string>>
}

export interface Archive {
  readonly bytes: Buffer
  /** Of the manifest: what `image@sha256:…` names. */
  readonly digest: string
  readonly layerBytes: number
}

const type = (kind: string): string => `application/vnd.oci.image.${kind}`
const sha256 = (content: Uint8Array): string => `sha256:${createHash('sha256').update(content).digest('hex')}`

/** `names`: each as `host/name:tag`; all name this one image. Layers are in order, what changes least first. */
export function ociArchive(layers: readonly (readonly TarEntry[])[], config: ImageConfig, names: readonly string[]): Archive {
  const plain = layers.map(tar)
  const packed = plain.map((layer) => gzipSync(layer, { level: 5 }))
  const configuration = Buffer.from(JSON.stringify({
    architecture: config.architecture, os: 'linux',
    config: { User: config.user, Env: config.environment, Entrypoint: config.entrypoint, WorkingDir: '/', Labels: config.labels },
    rootfs: { type: 'layers', diff_ids: plain.map(sha256) },
  }))
  const describe = (kind: string, content: Uint8Array) => ({ mediaType: type(kind), digest: sha256(content), size: content.length })
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type('manifest.v1+json'), config: describe('config.v1+json', configuration), layers: packed.map((p) => describe('layer.v1.tar+gzip', p)) }))
  const index = Buffer.from(JSON.stringify({
    schemaVersion: 2, mediaType: type('index.v1+json'),
    manifests: names.map((name) => ({ ...describe('manifest.v1+json', manifest), platform: { architecture: config.architecture, os: 'linux' }, annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name } })),
  }))
  const blob = (content: Uint8Array): TarEntry => ({ path: `blobs/sha256/${sha256(content).slice('sha256:'.length)}`, kind: 'file', content })
  const bytes = tar([{ path: 'oci-layout', kind: 'file', content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') }, { path: 'index.json', kind: 'file', content: index }, ...[configuration, manifest, ...packed].map(blob)])
  return { bytes, digest: sha256(manifest), layerBytes: packed.reduce((sum, p) => sum + p.length, 0) }
}
