// What a caller reads of an answer that a sidecar gives of its own: HTTP's status, or gRPC's where the call is gRPC. Law: the mapping is Envoy's.

/** By HTTP status: what a sidecar makes of it for gRPC. */
const grpcStatuses: Readonly<Record<number, readonly [number, string]>> = {
  400: [13, 'INTERNAL'], 401: [16, 'UNAUTHENTICATED'], 403: [7, 'PERMISSION_DENIED'], 404: [12, 'UNIMPLEMENTED'], 429: [14, 'UNAVAILABLE'], 502: [14, 'UNAVAILABLE'], 503: [14, 'UNAVAILABLE'], 504: [14, 'UNAVAILABLE'],
}

/** `403 “RBAC: access denied” from the server’s sidecar` · `gRPC status 14, UNAVAILABLE, from the caller’s sidecar (response flag UH)` */
export function answered(grpc: boolean, status: number, side: 'caller' | 'server', { message, flag }: { readonly message?: string; readonly flag?: string } = {}): string {
  const [code, name] = grpcStatuses[status] ?? [2, 'UNKNOWN']
  const what = grpc ? `gRPC status ${code}, ${name}${message === undefined ? ',' : `: “${message}”`}` : `${status}${message === undefined ? '' : ` “${message}”`}`
  return `${what} from the ${side}’s sidecar${flag === undefined ? '' : ` (response ${flag})`}`
}
