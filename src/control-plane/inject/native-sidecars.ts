// Whether sidecars are native: init containers that go on running. Only where every kubelet that might get the pod knows them well. Pure.
// Istio: pkg/kube/inject/webhook.go and ENABLE_NATIVE_SIDECARS=auto: kubelets from 1.33 on.
const since = [1, 33] as const

export type NativeSetting = 'true' | 'false' | 'auto'

/** Anything else than true and false is `auto`, as in Istio. */
export function nativeSetting(text: string | undefined): NativeSetting {
  const word = text?.trim().toLowerCase()
  return word === 'true' || word === 'false' ? word : 'auto'
}

/** `kubelets`: node → version as in `status.nodeInfo.kubeletVersion`. `node`: where the pod is bound already. */
export function nativeSidecars(setting: NativeSetting, kubelets: ReadonlyMap<string, string>, node: string | undefined): boolean {
  if (setting !== 'auto') return setting === 'true'
  const bound = node === undefined ? undefined : kubelets.get(node)
  const asked = bound === undefined ? [...kubelets.values()] : [bound]
  return asked.length > 0 && asked.every(knowsNative)
}

function knowsNative(version: string): boolean {
  const [, major = '0', minor = '0'] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  return Number(major) > since[0] || (Number(major) === since[0] && Number(minor) >= since[1])
}
