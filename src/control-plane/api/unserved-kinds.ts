// Kinds of a mesh's API that Kith does not serve: what the object has no effect on. Field by field: unserved.ts.

const byGroup: Readonly<Record<string, Readonly<Record<string, string>> | string>> = {
  'networking.istio.io': {
    EnvoyFilter: 'sidecars do not carry out patches',
    Gateway: 'gateways do not open its ports',
    ProxyConfig: 'sidecars do not take settings from it',
  },
  'telemetry.istio.io': { Telemetry: 'sidecars write the same metrics and logs without it' },
  'extensions.istio.io': { WasmPlugin: 'sidecars do not load modules' },
  'gateway.networking.k8s.io': 'no route or gateway is made of it',
  'gateway.networking.x-k8s.io': 'no route or gateway is made of it',
  'inference.networking.k8s.io': 'no route or gateway is made of it',
  'install.istio.io': { IstioOperator: 'no operator reads it; kith install -f does' },
}

/** Why an object of this kind has no effect in a Kith mesh, as the end of a sentence; undefined: Kith serves the kind, or it is no kind of a mesh. */
export function unservedKind(apiVersion: string, kind: string): string | undefined {
  const of = byGroup[apiVersion.split('/')[0] as string]
  return typeof of === 'string' ? of : of !== undefined && Object.hasOwn(of, kind) ? of[kind] : undefined
}
