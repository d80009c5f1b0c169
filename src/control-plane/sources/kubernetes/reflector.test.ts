import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KubernetesObject, WatchEvent } from '#lib/kubernetes/types.ts'
import { keyOf, Reflector, type Changes } from './reflector.ts'
import { dueMs, notice } from './settle.ts'

const object = (name: string, uid: string, resourceVersion: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'foo', uid, resourceVersion } })

/** What an API server keeps: objects, and a history that may be cut off at any time. */
class Server {
  version = 1
  readonly objects = new Map<string, KubernetesObject>()
  history: { readonly version: number; readonly event: WatchEvent }[] = []
  oldest = 1

  put(name: string): void {
    const before = this.objects.get(name)
    const now = object(name, before?.metadata.uid ?? `u${this.version}`, String(++this.version))
    this.objects.set(name, now)
    this.history.push({ version: this.version, event: { type: before === undefined ? 'ADDED' : 'MODIFIED', object: now } })
  }
  remove(name: string): void {
    const before = this.objects.get(name)
    if (before === undefined) return
    this.objects.delete(name)
    this.history.push({ version: ++this.version, event: { type: 'DELETED', object: { ...before, metadata: { ...before.metadata, resourceVersion: String(this.version) } } } })
  }
  compact(): void {
    this.oldest = this.version
    this.history = []
  }
  /** undefined: gone. */
  since(version: string): WatchEvent[] | undefined {
    return Number(version) < this.oldest ? undefined : this.history.filter((h) => h.version > Number(version)).map((h) => h.event)
  }
}

class Mirror {
  readonly held = new Map<string, string>()
  take({ put, gone }: Changes): void {
    for (const o of put) this.held.set(keyOf(o), `${o.metadata.uid} ${o.metadata.resourceVersion}`)
    for (const key of gone) assert.ok(this.held.delete(key), `${key} was not held`)
  }
}

type Command = 'put a' | 'put b' | 'put c' | 'put d' | 'remove a' | 'remove b' | 'remove c' | 'compact' | 'step' | 'step cut' | 'unreachable' | 'forbidden' | 'expired' | 'internal'
const commands: readonly Command[] = ['put a', 'put b', 'put c', 'put d', 'remove a', 'remove b', 'remove c', 'compact', 'step', 'step', 'step', 'step cut', 'unreachable', 'forbidden', 'expired', 'internal']

/** One step of the shell, as `follow` takes it, against a server that changes between a list's pages and a watch's events. */
function step(server: Server, reflector: Reflector, mirror: Mirror, cut: boolean, between: () => void): void {
  const { next } = reflector
  if (next.do === 'wait') return reflector.waited()
  if (next.do === 'list') {
    reflector.begin()
    const [all, version] = [[...server.objects.values()], String(server.version)]
    mirror.take(reflector.page(all.slice(0, 2)))
    between()
    if (cut) return reflector.failed('K8S_UNREACHABLE', 'cut off', 0.5)
    mirror.take(reflector.page(all.slice(2)))
    return mirror.take(reflector.listed(version))
  }
  const events = server.since(next.from)
  if (events === undefined) {
    mirror.take(reflector.event({ type: 'ERROR', object: { code: 410, message: 'too old' } as unknown as KubernetesObject }, 0.5))
    return reflector.ended(0.5)
  }
  reflector.opened()
  for (const [i, event] of events.entries()) {
    mirror.take(reflector.event(event, 0.5))
    if (cut && i === 1) return reflector.failed('K8S_UNREACHABLE', 'cut off', 0.5)
  }
  if (!cut) mirror.take(reflector.event({ type: 'BOOKMARK', object: { ...object('', '', String(server.version)), metadata: { resourceVersion: String(server.version) } } }, 0.5))
  reflector.ended(0.5)
}

test('whatever is changed, cut off, refused or forgotten in between, what is held ends as a fresh list', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...commands), { maxLength: 60 }), (script) => {
    const [server, reflector, mirror] = [new Server(), new Reflector(), new Mirror()]
    for (const command of script) {
      const [verb, name = ''] = command.split(' ')
      if (verb === 'put') server.put(name)
      else if (verb === 'remove') server.remove(name)
      else if (verb === 'compact') server.compact()
      else if (verb === 'step') step(server, reflector, mirror, name === 'cut', () => server.put('b'))
      // The API server's loss, and its no, take nothing away.
      else if (reflector.next.do !== 'wait') {
        const before = mirror.held.size
        reflector.failed({ unreachable: 'K8S_UNREACHABLE', forbidden: 'K8S_FORBIDDEN', expired: 'K8S_GONE', internal: 'K8S_FAILED' }[verb as 'expired'], verb as string, 0.5)
        assert.equal(mirror.held.size, before)
      }
    }
    for (let i = 0; i < 12; i++) step(server, reflector, mirror, false, () => undefined)
    assert.deepEqual([...mirror.held].sort(), [...server.objects.values()].map((o) => [keyOf(o), `${o.metadata.uid} ${o.metadata.resourceVersion}`]).sort())
    assert.equal(reflector.lost, undefined)
    assert.equal(reflector.next.do, 'watch')
  }), { numRuns: 1000 })
})

test('a list that breaks off takes nothing away; a whole one takes what it does not name', () => {
  const r = new Reflector()
  r.begin()
  assert.equal(r.page([object('a', '1', '1'), object('b', '2', '2')]).put.length, 2)
  r.listed('2')
  r.failed('K8S_GONE', 'too old', 0)
  r.begin()
  assert.deepEqual(r.page([object('a', '1', '1')]), { put: [], gone: [] })
  r.failed('K8S_UNREACHABLE', 'cut off', 0)
  assert.equal(r.size, 2)
  r.waited()
  r.begin()
  r.page([object('a', '1', '1')])
  assert.deepEqual(r.listed('3').gone, ['foo/b'])
})

test('an object made anew under its old name is another one', () => {
  const r = new Reflector()
  r.begin()
  r.page([object('a', '1', '7')])
  r.listed('7')
  assert.equal(r.event({ type: 'ADDED', object: object('a', '2', '7') }, 0).put.length, 1)
  assert.equal(r.event({ type: 'MODIFIED', object: object('a', '2', '7') }, 0).put.length, 0)
})

test('back-off doubles, ends at a limit, is jittered, and begins anew when something comes', () => {
  const waits = (code: string, pick: number): number[] => {
    const r = new Reflector()
    return Array.from({ length: 12 }, () => {
      r.failed(code, '', pick)
      const { next } = r
      r.waited()
      return next.do === 'wait' ? next.ms : 0
    })
  }
  assert.deepEqual(waits('K8S_UNREACHABLE', 1).slice(0, 4), [200, 400, 800, 1600])
  assert.deepEqual(waits('K8S_UNREACHABLE', 0).slice(0, 2), [100, 200])
  assert.equal(waits('K8S_UNREACHABLE', 1).at(-1), 30_000)
  assert.deepEqual([waits('K8S_NOT_FOUND', 1)[0], waits('K8S_NOT_FOUND', 1).at(-1)], [2000, 60_000])
  const r = new Reflector()
  r.begin()
  r.listed('1')
  for (let i = 0; i < 5; i++) {
    r.failed('K8S_UNREACHABLE', '', 1)
    r.waited()
  }
  r.event({ type: 'BOOKMARK', object: object('', '', '9') }, 0)
  r.failed('K8S_UNREACHABLE', '', 1)
  assert.deepEqual(r.next, { do: 'wait', ms: 200, to: 'watch' })
  r.waited()
  assert.deepEqual(r.next, { do: 'watch', from: '9' })
})

test('a watch that ends at once, again and again, is not asked for without a pause; one that said something is', () => {
  const r = new Reflector()
  r.begin()
  r.listed('1')
  r.ended(1)
  assert.deepEqual(r.next, { do: 'wait', ms: 200, to: 'watch' })
  r.waited()
  r.event({ type: 'BOOKMARK', object: object('', '', '4') }, 0)
  r.ended(1)
  assert.deepEqual(r.next, { do: 'watch', from: '4' })
})

test('410 lists anew at once, but not in a circle without pause', () => {
  const r = new Reflector()
  r.begin()
  r.listed('1')
  r.event({ type: 'ERROR', object: { code: 410 } as unknown as KubernetesObject }, 1)
  assert.deepEqual(r.next, { do: 'list' })
  r.begin()
  r.listed('1')
  r.failed('K8S_GONE', '', 1)
  assert.equal(r.next.do, 'wait')
})

test('a change waits for quiet, at most ten seconds; one of endpoints does not wait, but rests twice as long as the last took', () => {
  let pending = notice(undefined, 0, false)
  assert.equal(dueMs(pending, undefined), 100)
  for (let t = 50; t <= 20_000; t += 50) pending = notice(pending, t, false)
  assert.equal(dueMs(pending, undefined), 10_000)
  assert.equal(dueMs(notice(notice(undefined, 1000, false), 1040, true), undefined), 1000)
  assert.equal(dueMs(notice(undefined, 1000, true), { endMs: 990, tookMs: 30 }), 1050)
  assert.equal(dueMs(notice(undefined, 2000, true), { endMs: 990, tookMs: 30 }), 2000)
})
