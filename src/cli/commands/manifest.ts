// kith manifest generate: the objects that install would apply, as YAML, from nothing but the values. Same values, same bytes.
import { Command } from 'commander'
import { stringify } from 'yaml'
import { manifests } from '#deploy'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { readValues, valuesOptions, type ValuesOptions } from '../values-options.ts'

export function build(): Command {
  const generate = valuesOptions(new Command('generate'))
    .description('Prints the Kubernetes objects of an installation, in the order in which they must be applied. Needs no cluster.')
    .addHelpText('after', `
Examples:
  kith manifest generate > kith.yaml
  kith manifest generate --set pilot.replicaCount=2 | kubectl apply --server-side -f -
  kith manifest generate -f values.yaml --revision canary`)
    .action((options: ValuesOptions) => {
      process.stdout.write(manifestText(manifests(readValues(options))))
    })
  return new Command('manifest').description('The Kubernetes objects of an installation.').addCommand(generate)
}

export function manifestText(objects: readonly KubernetesObject[]): string {
  return objects.map((object) => `---\n${stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })}`).join('')
}
