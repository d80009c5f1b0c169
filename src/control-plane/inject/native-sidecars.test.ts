import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nativeSetting, nativeSidecars } from './native-sidecars.ts'

test('native where every kubelet that may get the pod is 1.33 or later, unless somebody says otherwise', () => {
  const nodes = (...versions: string[]): Map<string, string> => new Map(versions.map((v, i) => [`n${i}`, v]))
  const cases: readonly (readonly [string | undefined, Map<string, string>, string | undefined, boolean])[] = [
    [undefined, nodes('v1.33.0', 'v1.36.3'), undefined, true], [undefined, nodes('v1.33.0', 'v1.32.9'), undefined, false], [undefined, nodes('v1.33.0-gke.100+x', 'v2.0.0'), undefined, true], [undefined, nodes(), undefined, false], [undefined, nodes('odd'), undefined, false],
    [undefined, nodes('v1.33.0', 'v1.32.9'), 'n0', true], [undefined, nodes('v1.33.0', 'v1.32.9'), 'n1', false], [undefined, nodes('v1.33.0'), 'unknown', true],
    ['true', nodes('v1.28.0'), undefined, true], ['false', nodes('v1.36.0'), undefined, false], ['auto', nodes('v1.36.0'), undefined, true], ['perhaps', nodes('v1.36.0'), undefined, true],
  ]
  for (const [setting, kubelets, node, expected] of cases) assert.equal(nativeSidecars(nativeSetting(setting), kubelets, node), expected, JSON.stringify([setting, [...kubelets.values()], node]))
})
