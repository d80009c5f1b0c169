// SPIFFE ids as the mesh writes them: spiffe://<trust domain>/ns/<namespace>/sa/<service account>.
// https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md

export interface SpiffeId {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

const form = /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/(?!\.{1,2}\/)([A-Za-z0-9._-]+)\/sa\/(?!\.{1,2}$)([A-Za-z0-9._-]+)$/

/** undefined: no SPIFFE id of this form. A trust domain with capitals is none, nor is a path with `.` or `..`. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  const match = form.exec(text)
  return match === null ? undefined : { trustDomain: match[1] as string, namespace: match[2] as string, serviceAccount: match[3] as string }
}

export function formatSpiffeId(id: SpiffeId): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`
}
