import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MeshEvent, PodView } from '#local'
import { LiveView } from './live-view.ts'

const at = '2026-01-01T00:00:00Z'
const pod = (status: string, detail?: string): MeshEvent => ({ at, event: 'pod', pod: { namespace: 'shop', name: 'cart-1', containers: [{ name: 'cart', ready: false, restarts: 0, status }], ready: false, status } as unknown as PodView, ...(detail === undefined ? {} : { detail }) })

function shown(events: readonly MeshEvent[]): string[] {
  const lines: string[] = []
  const view = new LiveView((line) => lines.push(line.replace(/^\s*[\d.]+s /, '')))
  for (const event of events) view.show(event)
  return lines
}

test('programs that meet on a port: in explicit mode what to do is said, once', () => {
  const crash = [pod('Error', 'exit code 1: Error: listen EADDRINUSE: address already in use :::8080'), pod('CrashLoopBackOff', 'exit code 1: Error: listen EADDRINUSE: address already in use :::8080')]
  const started = (mode: 'namespaced' | 'explicit'): MeshEvent => ({ at, event: 'started', mode, stateDir: '' })
  assert.equal(shown([started('explicit'), ...crash]).filter((l) => l.includes('$(PORT_8080)')).length, 1)
  assert.equal(shown([started('namespaced'), ...crash]).filter((l) => l.includes('$(PORT_8080)')).length, 0)
})

test('what is wrong is said once, and again when it has been mended in between', () => {
  const refused: MeshEvent = { at, event: 'control-plane-log', level: 'error', message: 'refused, the last good one stays', fields: { file: `${process.cwd()}/a.yaml`, line: 3, field: 'spec.mtls.mode', problem: 'x' } }
  const line = 'a.yaml:3: refused, the last good one stays: spec.mtls.mode: x'
  assert.deepEqual(shown([refused, refused, { at, event: 'mended', file: `${process.cwd()}/a.yaml` }, refused]), [line, 'a.yaml: read again, nothing is refused any more', line])
})
