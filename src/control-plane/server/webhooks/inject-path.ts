// `/inject/cluster/east/net/n1`: one control plane injects for several clusters, whose webhooks say who they are in the path.
// Istio: pkg/kube/inject/webhook.go, parseInjectEnvs; `--slash--` stands for a slash inside a value.
import type { ReviewContext } from '#inject'

export function onPath(path: string, injector: ReviewContext): ReviewContext {
  const words = path.split('/').slice(2)
  if (words.length < 2) return injector
  const said = new Map<string, string>()
  for (let i = 0; i + 1 < words.length; i += 2) said.set(decoded(words[i] ?? ''), decoded(words[i + 1] ?? '').replaceAll('--slash--', '/'))
  const { settings } = injector
  return { ...injector, settings: { ...settings, cluster: said.get('cluster') || settings.cluster, network: said.get('net') || settings.network } }
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word)
  } catch {
    return word
  }
}
