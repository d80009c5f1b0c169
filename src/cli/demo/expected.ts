// What `kith explain` says before a call is made, and whether what was measured is that.
import { explain, type Explanation } from '#insight'
import type { Mesh } from '#mesh'
import type { Measured } from './measure.ts'
import type { DemoCall } from './steps.ts'

export interface Row {
  readonly call: DemoCall
  readonly expected: Explanation
  readonly measured: Measured
  /** Empty: as explained. */
  readonly differences: readonly string[]
}

export function expectCall(mesh: Mesh, call: DemoCall): Explanation {
  return explain(mesh, { from: call.from, to: call.to })
}

/** Outcome, and for mTLS both identities: the server's application must have received what was explained. */
export function compareCall(call: DemoCall, expected: Explanation, measured: Measured): Row {
  const differences: string[] = []
  if (expected.outcome !== measured.outcome) differences.push(`explained ${expected.outcome}, measured ${measured.outcome}`)
  if (expected.outcome === 'mtls' && measured.outcome === 'mtls') {
    if (expected.client.identity !== measured.client) differences.push(`explained client ${expected.client.identity}, measured ${measured.client}`)
    if (expected.server?.identity !== measured.server) differences.push(`explained server ${expected.server?.identity}, measured ${measured.server}`)
  }
  return { call, expected, measured, differences }
}
