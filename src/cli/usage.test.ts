// What help promises holds, for all commands: each example can be read, each alias leads to its command, and an option
// whose value may be left out takes no argument for it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Command } from 'commander'
import { commands } from './commands.ts'
import { parserOf } from './run.ts'

interface Read {
  readonly args: readonly string[]
  readonly options: Readonly<Record<string, unknown>>
}

/** What the command would be run with. Nothing runs. */
async function read(given: readonly string[]): Promise<Read> {
  const { program, argv } = await parserOf(given)
  const found: Read[] = []
  const silence = (command: Command): void => {
    command.configureOutput({ writeErr: () => undefined })
    for (const child of command.commands) silence(child)
    if (command.commands.length === 0) command.action(() => void found.push({ args: command.args, options: command.opts() }))
  }
  silence(program)
  await program.parseAsync(argv, { from: 'user' })
  assert.equal(found.length, 1, given.join(' '))
  return found[0] as Read
}

interface Leaf {
  readonly path: readonly string[]
  readonly command: Command
}

/** Every command that does something, with the words that lead to it. */
async function leaves(): Promise<Leaf[]> {
  const below = (command: Command, path: readonly string[]): Leaf[] =>
    command.commands.length === 0 ? [{ path, command }] : command.commands.flatMap((c) => below(c, [...path, c.name()]))
  const built = await Promise.all(commands.map(async ({ name, load }) => below((await load()).build(), [name])))
  return built.flat()
}

async function helpOf(path: readonly string[]): Promise<string> {
  const { program } = await parserOf(path)
  let command = program
  for (const word of path) command = command.commands.find((c) => [c.name(), ...c.aliases()].includes(word)) as Command
  let text = ''
  command.configureOutput({ writeOut: (t) => (text += t) })
  command.outputHelp()
  return text
}

/** The arguments of each `kith …` in the examples of a help text. */
function examplesIn(help: string): string[][] {
  const lines = help.split('\n').filter((l) => /^ {2}(?:\S.* \| )?kith /.test(l))
  return lines.flatMap((line) => line.split(/ [|>] | < /).filter((part) => part.trim().startsWith('kith ')).map((part) => part.trim().split(/\s+/).slice(1)))
}

test('every example in the help of every command can be read', async () => {
  let seen = 0
  for (const { name } of commands) {
    for (const example of examplesIn(await helpOf([name]))) {
      seen++
      await assert.doesNotReject(read(example), `kith ${example.join(' ')}`)
    }
  }
  assert.ok(seen >= 40, `only ${seen} examples were found`)
})

test('every alias leads to its command', async () => {
  for (const { name, aliases = [] } of commands) for (const alias of aliases) assert.equal(await helpOf([alias]), await helpOf([name]))
  for (const alias of ['pc', 'd', 'dash', 'des', 'v']) assert.ok(commands.some((c) => c.aliases?.includes(alias) === true), alias)
  for (const { name, load } of commands) {
    for (const child of (await load()).build().commands) {
      for (const alias of child.aliases()) assert.equal(await helpOf([name, alias]), await helpOf([name, child.name()]))
    }
  }
  assert.deepEqual((await read(['pc', 'all', 'deploy/sleep', '-n', 'foo'])).args, ['deploy/sleep'])
  assert.deepEqual((await read(['exp', 'des', 'po', 'x.foo'])).args, ['x.foo'])
})

test('no name or alias is used twice', async () => {
  const words = commands.flatMap((c) => [c.name, ...(c.aliases ?? [])])
  assert.equal(new Set(words).size, words.length)
})

test('an option whose value may be left out takes no argument for it, in any command', async () => {
  let seen = 0
  for (const { path, command } of await leaves()) {
    const given = command.registeredArguments.map((_, i) => `argument-${i}`)
    const required = command.options.filter((o) => o.mandatory).flatMap((o) => [o.long as string, 'x'])
    for (const option of command.options.filter((o) => o.optional)) {
      const name = option.attributeName()
      for (const flag of [option.long, option.short].filter((f) => f !== undefined && f !== null)) {
        seen++
        const before = await read([...path, ...required, flag, ...given])
        assert.deepEqual([before.args, before.options[name]], [given, true], `${path.join(' ')} ${flag} ${given.join(' ')}`)
        const valued = await read([...path, ...required, `${flag}=mesh`, ...given])
        assert.deepEqual([valued.args, valued.options[name]], [given, 'mesh'], `${path.join(' ')} ${flag}=mesh`)
      }
    }
  }
  assert.ok(seen >= 20, `only ${seen} were found`)
})

test('the value of another option is never read as a flag, and what follows -- is no option', async () => {
  assert.deepEqual((await read(['explain', '--method', '--local', 'a', 'b'])).options['method'], '--local')
  const { args, options } = await read(['analyze', '-A', '--', '--local', 'x'])
  assert.deepEqual([args, options['local']], [['--local', 'x'], undefined])
  assert.deepEqual((await read(['analyze', '-Ak', 'x'])).options['useKube'], true)
  assert.deepEqual((await read(['analyze', '-kfalse', 'x'])).options['useKube'], 'false')
})

test('help writes such an option with =', async () => {
  assert.match(await helpOf(['explain']), /--local\[=folder\]/)
})
