// The lane `cluster`: the mesh on a real Kubernetes node, as the seed tells it. One cluster, the stories one after another; the first that fails ends it, with what the cluster has to say.
import { after, test } from 'node:test'
import { tryKubectl } from './cluster.ts'
import { loadImages } from './images.ts'
import { lab, labMissing, labUp } from './lab.ts'
import { namespaces, stories } from './stories/index.ts'

const required = (process.env['REQUIRE'] ?? '').split(',').includes('cluster')
const missing = labMissing()
if (missing !== undefined && required) throw new Error(`REQUIRE=cluster, but ${missing}`)
const barMinutes = 15
const startedMs = performance.now()
const seconds = (): string => `${((performance.now() - startedMs) / 1000).toFixed(0)} s`
let ours = false

const say = (text: string): void => void process.stdout.write(`    ${text.replaceAll('\n', '\n    ')}\n`)

/** What one would look at first. */
function report(): void {
  for (const line of ['get pods -A -o wide', 'get events -A --sort-by=.lastTimestamp', 'logs -n istio-system deploy/istiod --tail=15']) {
    const { stdout, stderr } = tryKubectl(line.split(' '))
    say(`$ kubectl ${line}\n${(stdout + stderr).trim().split('\n').slice(-25).join('\n')}`)
  }
}

after(() => {
  if (ours) lab('down')
})

test('the mesh on a real cluster', { skip: missing === undefined ? false : `needs a cluster: ${missing}`, timeout: barMinutes * 60_000 }, async (t) => {
  // Before the cluster is up: it takes them in while its API server starts.
  loadImages()
  say(`images are made: ${seconds()}`)
  ours = labUp().ours
  // A cluster that was there may hold what an earlier run that was cut off has left.
  if (!ours) tryKubectl(['delete', 'namespace', ...namespaces, '--ignore-not-found'])
  say(`the cluster is up: ${seconds()}`)
  for (const story of stories) {
    let passed = false
    await t.test(story.title, async () => {
      try {
        await story.run(say)
        passed = true
      } catch (error) {
        report()
        throw error
      }
    })
    say(`${story.title}: ${seconds()}`)
    if (!passed) break
  }
  const minutes = (performance.now() - startedMs) / 60_000
  say(`end to end: ${minutes.toFixed(1)} minutes; bar ${barMinutes}`)
})
