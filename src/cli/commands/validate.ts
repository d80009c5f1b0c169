// kith validate -f FILE…: whether a cluster would admit what the files hold. Output and exit codes as istioctl's: 0 valid (warnings or not), 1 not.
import { Command } from 'commander'
import { isRecord, read, whyKindNotServed, type Origin } from '#api'
import type { Problem } from '#lib/problem.ts'
import { readFiles } from '#sources'
import { checkServicePorts } from '#insight/validate/service-ports.ts'
import { ExitError } from '../failure.ts'
import { problemText } from '../problem-text.ts'

export function build(): Command {
  return new Command('validate')
    .summary('whether a cluster would take these files')
    .description('Checks Istio’s objects in files: every field, and what the fields mean together. Exit code 1 where one is wrong. Kinds that Kith does not serve are named.')
    .option('-f, --filename <path>', 'file, folder, or - for standard input; repeatable', (value: string, all: string[]) => [...all, ...value.split(',')], [])
    .option('-i, --istioNamespace <namespace>', 'namespace of the control plane', 'istio-system')
    .action(({ filename, istioNamespace }: { filename: string[]; istioNamespace: string }) => {
      if (filename.length === 0) throw new ExitError(1, 'name the files with -f: kith validate -f policies.yaml')
      const verdict = judge(filename, istioNamespace)
      process.stdout.write(verdict.said.join(''))
      process.stderr.write(verdict.notes.join('') + verdict.refused)
      if (verdict.refused !== '') process.exitCode = 1
    })
}

interface Verdict {
  readonly said: readonly string[]
  /** What is valid for Istio and has no effect in Kith. */
  readonly notes: readonly string[]
  /** Empty: a cluster would take all of it. */
  readonly refused: string
}

function judge(paths: readonly string[], istioNamespace: string): Verdict {
  const input = readFiles(paths)
  const isNote = (p: Problem): boolean => p.code === 'KITH0007'
  const problems: Problem[] = input.problems.filter((p) => !isNote(p))
  for (const { value, origin } of input.documents) {
    const { draft, faults, findings } = read(value, origin)
    const own = [...faults.map((fault) => (fault.kind === 'stranger' ? stranger(fault.problem) : fault.problem)), ...findings]
    if (draft !== undefined && draft.metadata.namespace !== istioNamespace) own.push(...checkServicePorts(draft))
    problems.push(...(namesNamespace(value) ? own : own.map((p) => ({ ...p, ref: { ...p.ref, namespace: '' } }))))
  }
  const errors = problems.filter((p) => p.severity === 'error')
  const said: string[] = []
  for (const file of input.files) {
    const warnings = problems.filter((p) => p.severity !== 'error' && (p.ref.file ?? file) === file)
    if (warnings.length > 0) said.push(file === '-' ? warnings.map((w) => `warning: ${problemText(w)}\n`).join('') : `"${file}" has warnings: \n${warnings.map((w) => `\t* ${problemText(w)}\n`).join('')}`)
    else if (errors.length === 0) said.push(file === '-' ? 'validation succeed\n' : `"${file}" is valid\n`)
  }
  const notes = [...input.problems.filter(isNote).map((p) => `note: ${problemText(p)}\n`), ...input.documents.flatMap(({ value, origin }) => noteOf(value, origin))]
  if (errors.length === 0) return { said, notes, refused: '' }
  return { said, notes, refused: `Error: ${errors.length} error${errors.length === 1 ? '' : 's'} occurred:\n${errors.map((e) => `\t* ${problemText(e)}\n`).join('')}\n` }
}

/** On stderr: what istioctl prints on stdout stays as it is. */
function noteOf(value: unknown, { file, line }: Origin): string[] {
  if (!isRecord(value) || typeof value['apiVersion'] !== 'string' || typeof value['kind'] !== 'string') return []
  const why = whyKindNotServed(value['apiVersion'], value['kind'])
  const name = isRecord(value['metadata']) ? String(value['metadata']['name'] ?? '') : ''
  const place = file === undefined ? '' : ` (${file}${line === undefined ? '' : `:${line}`})`
  return why === undefined ? [] : [`note: ${value['kind']} ${name}: Kith does not serve this kind: ${why}${place}\n`]
}

/** An object is named as its file names it: `Kind//name` where no namespace is written, as by istioctl. */
function namesNamespace(value: unknown): boolean {
  return isRecord(value) && isRecord(value['metadata']) && value['metadata']['namespace'] !== undefined && value['metadata']['namespace'] !== null
}

/** What names no API is nobody's object, and nobody refuses it. */
function stranger(problem: Problem): Problem {
  return { ...problem, severity: 'warning', ref: { ...problem.ref, kind: '', name: '' }, message: `${problem.message}, so this document is no object and was left out` }
}
