// Options whose value may be left out (`--local`, `--local=FOLDER`): the value stands behind `=` and nowhere else, as
// in istioctl and kubectl. An argument behind the option is always an argument: commander would take it as the value.
import { Help, type Command, type Option } from 'commander'

/** Makes this hold for a command. Its help then writes such an option as `--local[=folder]`. */
export function valuesBehindEquals(command: Command): void {
  const parse = command.parseOptions.bind(command)
  command.parseOptions = (argv) => parse(separated(command.options, argv))
  for (const option of command.options.filter((o) => o.optional)) {
    const { parseArg } = option
    // What `separated` writes for an option without a value.
    option.argParser((value: string, before: unknown) => (value === '' ? true : parseArg === undefined ? value : parseArg(value, before)))
  }
}

export function optionTerm(option: Option): string {
  return new Help().optionTerm(option).replace(/ \[([^\]]+)\]$/, '[=$1]')
}

/** The same arguments, with `=` behind each option whose value was left out. */
function separated(options: readonly Option[], argv: readonly string[]): string[] {
  const named = (flag: string): Option | undefined => options.find((o) => o.short === flag || o.long === flag)
  const result: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] as string
    if (arg === '--') return [...result, ...argv.slice(i)]
    const { flags, last } = shortFlags(arg, named)
    if (last?.optional === true) result.push(...flags, `${last.long ?? last.short}=${valueOf(arg)}`)
    else if (last?.required === true && named(arg) !== undefined && i + 1 < argv.length) result.push(arg, argv[++i] as string)
    else result.push(arg)
  }
  return result
}

/** `-Ak` is `-A` and `-k`. `last`: the option that the argument ends with, its value aside. */
function shortFlags(arg: string, named: (flag: string) => Option | undefined): { readonly flags: readonly string[]; readonly last: Option | undefined } {
  const name = arg.replace(/=.*$/s, '')
  const whole = named(name)
  if (whole !== undefined || !/^-[A-Za-z]{2,}$/.test(name)) return { flags: [], last: whole }
  const flags = Array.from(name.slice(1), (letter) => `-${letter}`)
  const known = flags.map(named)
  const areSwitches = known.slice(0, -1).every((o) => o?.isBoolean() === true)
  return areSwitches ? { flags: flags.slice(0, -1), last: known.at(-1) } : { flags: [], last: undefined }
}

function valueOf(arg: string): string {
  const equals = arg.indexOf('=')
  return equals === -1 ? '' : arg.slice(equals + 1)
}
