// kith explain FROM TO: both ends of a call, the verdict, every rule that had a say.
import { Command, Option } from 'commander'
import { explain, formatExplanation, formatNotApplied, whyNot } from '#insight'
import { ExitError } from '../failure.ts'
import { clusterOptions, type ClusterOptions } from '../cluster.ts'
import { loadMesh } from '../load-mesh.ts'
import { withObserved } from '../observed.ts'
import { formatProblem } from '../problems.ts'
import { textOptions } from '../terminal.ts'

interface Options extends ClusterOptions {
  readonly filename: string[]
  readonly output: 'text' | 'json' | 'yaml'
  readonly header: string[]
  readonly method?: string
  readonly namespace: string
  readonly meshConfigFile?: string
  readonly local?: boolean | string
  readonly whyNot?: boolean
}

const collect = (value: string, before: string[]): string[] => [...before, value]

export function build(): Command {
  return clusterOptions(new Command('explain'))
    .summary('both ends of a call: what each will do, the verdict, and which line of which policy did it')
    .description('Says what will happen to a call and why: both ends, the mode that each uses, the verdict, every rule that had a say with its file and line.')
    .argument('<from>', 'the caller: [kind/]name[.namespace]')
    .argument('<to>', 'the target as the application writes it: http://httpbin.bar:8000/get, tcp://db:3306, 10.0.0.7:80')
    .option('-f, --filename <path>', 'file, folder or - (repeatable)', collect, [])
    .option('--local [folder]', 'the mesh that runs on this machine')
    .option('-n, --namespace <name>', 'namespace of a caller without one', 'default')
    .option('--header <name: value>', 'a header of the request (repeatable)', collect, [])
    .option('--method <method>', 'the request’s method (default: GET, of grpc:// POST)')
    .option('--why-not', 'also: the rules that did not apply, and which clause ruled each out')
    .option('--meshConfigFile <file>', 'MeshConfig in a file of its own')
    .addOption(new Option('-o, --output <form>', 'text, json or yaml').choices(['text', 'json', 'yaml']).default('text'))
    .addHelpText('after', `
Examples:
  kith explain sleep.foo http://httpbin.bar:8000/get -f examples/walkthrough/mesh.yaml
  kith explain sleep.foo http://httpbin.bar:8000/get --local
  kith explain sleep.foo http://httpbin.bar:8000/get --context production
  kith explain sleep.legacy http://httpbin.bar:8000/ -f examples/walkthrough/mesh.yaml -f examples/walkthrough/peer-authentication.yaml -o json
Exit codes: 0 the call goes through, 1 something can't be read, 2 wrong usage, 3 the call is blocked.`)
    .action(async (from: string, to: string, options: Options) => {
      const loaded = await loadMesh(options)
      for (const problem of loaded.problems) process.stderr.write(formatProblem(problem) + '\n')
      const call = { from, to, ...(options.method === undefined ? {} : { method: options.method }), headers: parseHeaders(options.header), nowMs: Date.now() }
      const answer = await withObserved(loaded.mesh, explain(loaded.mesh, call, options.namespace), options.namespace, { fromFiles: options.filename.length > 0, ...(loaded.localDir === undefined ? {} : { localDir: loaded.localDir }) })
      const notApplied = options.whyNot === true ? whyNot(loaded.mesh, call, answer, options.namespace) : undefined
      const whole = notApplied === undefined ? answer : { ...answer, notApplied }
      if (options.output === 'json') process.stdout.write(JSON.stringify(whole, null, 2) + '\n')
      else if (options.output === 'yaml') process.stdout.write((await import('yaml')).stringify(whole))
      else {
        const text = textOptions()
        process.stdout.write(formatExplanation(answer, text))
        if (notApplied !== undefined) process.stdout.write(`\n${formatNotApplied(notApplied, text)}`)
      }
      if (answer.outcome === 'blocked') throw new ExitError(3)
    })
}

/** Names as they were written; a name that comes again is another line. */
function parseHeaders(given: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {}
  for (const h of given) {
    const colon = h.indexOf(':')
    if (colon < 1) throw new ExitError(2, `kith explain: --header takes "name: value", not "${h}"`)
    const name = h.slice(0, colon).trim()
    headers[name] = [...(headers[name] ?? []), h.slice(colon + 1).trim()]
  }
  return headers
}
