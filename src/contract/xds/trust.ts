// How the control plane tells sidecars of the mesh's roots over ADS: the Secret ROOTCA. A mark above its certificates says from when on a sidecar's own certificate must be.

export const trustName = 'ROOTCA'

const mark = /^# certificates from before (\S+) shall be renewed$/m

export function renewalMark(beforeMs: number | undefined): string {
  return beforeMs === undefined ? '' : `# certificates from before ${new Date(beforeMs).toISOString()} shall be renewed\n`
}

/** undefined: any certificate will do. */
export function renewalMarkOf(text: string): number | undefined {
  const found = mark.exec(text)?.[1]
  return found === undefined ? undefined : Date.parse(found)
}

/** The clocks of verifiers may be so far behind: a certificate begins that much before it is made, a short-lived one by its lifetime. */
export const issueSkewMs = 120_000

/** When a certificate was made, by its times. */
export function issuedMs(notBeforeMs: number, notAfterMs: number): number {
  return notBeforeMs + Math.min(issueSkewMs, (notAfterMs - notBeforeMs) / 2)
}
