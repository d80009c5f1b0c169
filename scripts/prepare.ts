// After `npm ci`: generated/ is made, the project's own command stands where npx looks for it, and its code is compiled once.
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { makeCommands } from './make-commands.ts'
import { generateProto } from './generate-proto.ts'
import { warmCache } from './warm-cache.ts'

generateProto()
await makeCommands(process.execPath)
mkdirSync('node_modules/.bin', { recursive: true })
if (!existsSync('node_modules/.bin/kith')) symlinkSync('../../bin/kith', 'node_modules/.bin/kith')
warmCache(process.execPath)
