// Secrets that stand among the objects: of YAML files, where whoever wrote them runs the mesh and nobody else is to be asked.
import type { ApiObject } from '#api'
import type { Logger } from '#lib/log.ts'
import { credentialResource, parseCredential, secretData, type Credentials } from './credentials.ts'

export function fileCredentials(objects: () => readonly ApiObject[], log: Logger): Credentials {
  const warned = new Map<string, ApiObject>()
  return {
    of(_stream, { namespace }, names) {
      const found = new Map<string, ApiObject>()
      for (const o of objects()) if (o.kind === 'Secret' && o.metadata.namespace === namespace) found.set(o.metadata.name, o)
      return new Map([...names].flatMap((name) => {
        const parsed = parseCredential(name, namespace)
        const secret = parsed?.secrets.map((s) => found.get(s)).find((s) => s !== undefined)
        if (parsed === undefined || secret === undefined) return []
        const made = credentialResource(name, parsed, secretData(secret.raw))
        if (typeof made !== 'string') return [[name, made] as const]
        if (warned.get(name) !== secret) log.warn({ secret: `${namespace}/${secret.metadata.name}`, reason: made }, 'secret of a credentialName can’t be used')
        warned.set(name, secret)
        return []
      }))
    },
    gone() {},
    close() {},
  }
}
