// The options by which install, manifest and precheck take values: istioctl's and Helm's, in the order in which they win: -f, --set, --set-string, then flags.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { load } from 'js-yaml'
import { parseSet, resolveValues, type Layer, type Values } from '#deploy'
import { isRecord } from '#api'
import { ExitError } from './failure.ts'

export interface ValuesOptions {
  readonly filename?: readonly string[]
  readonly set?: readonly string[]
  readonly setString?: readonly string[]
  readonly revision?: string
  readonly istioNamespace?: string
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

export function valuesOptions(command: Command): Command {
  return command
    .option('-f, --filename <file>', 'values: Helm’s, or an IstioOperator; - for standard input; repeatable, later ones win', collect)
    .option('--set <key=value>', 'one value, such as pilot.replicaCount=2, hub=…, tag=… or meshConfig.accessLogFile=/dev/stdout; repeatable', collect)
    .option('--set-string <key=value>', 'the same, always as text', collect)
    .option('-r, --revision <name>', 'a control plane beside others, chosen by namespaces with the label istio.io/rev')
    .option('-i, --istioNamespace <namespace>', 'namespace of the control plane (istio-system)')
}

/** Whole values; warnings go to stderr, an error ends the command. */
export function readValues(options: ValuesOptions): Values {
  const layers: Layer[] = [...(options.filename ?? []).map(readLayer), ...(options.set ?? []).map((s) => setLayer('--set', s)), ...(options.setString ?? []).map((s) => setLayer('--set-string', s))]
  if (options.revision !== undefined) layers.push({ from: '--revision', value: { revision: options.revision } })
  if (options.istioNamespace !== undefined) layers.push({ from: '--istioNamespace', value: { global: { istioNamespace: options.istioNamespace } } })
  const { values, problems } = resolveValues(layers)
  for (const { severity, message, help, ref } of problems) if (severity !== 'error') process.stderr.write(`warning: ${ref.file ?? ''}: ${message}${help === undefined ? '' : `; ${help}`}\n`)
  const errors = problems.filter((p) => p.severity === 'error')
  if (errors.length > 0) throw new ExitError(1, errors.map((e) => `kith: ${e.ref.file ?? ''}: ${e.message}${e.help === undefined ? '' : `; ${e.help}`}`).join('\n'))
  const revision = values['revision']
  if (typeof revision === 'string' && revision !== '' && !/^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$/.test(revision)) throw new ExitError(1, `kith: "${revision}" is no revision: lower-case letters, digits and - only, at most 50`)
  return values
}

function readLayer(file: string): Layer {
  let value: unknown
  try {
    value = load(readFileSync(file === '-' ? 0 : file, 'utf8'))
  } catch (error) {
    throw new ExitError(1, `kith: ${file} can't be read: ${(error as Error).message}`)
  }
  if (isRecord(value) && typeof value['kind'] === 'string' && value['kind'] !== 'IstioOperator') throw new ExitError(1, `kith: ${file} is a ${value['kind']}; -f takes values or an IstioOperator (kubectl apply -f takes the mesh's own kinds)`)
  return { from: file, value }
}

function setLayer(from: '--set' | '--set-string', text: string): Layer {
  const parsed = parseSet(text, from === '--set-string')
  if ('fault' in parsed) throw new ExitError(2, `kith: ${from} ${text}: ${parsed.fault}`)
  return { from: `${from} ${text}`, value: parsed.value }
}
