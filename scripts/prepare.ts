// After `npm ci`: generated/ is made, and the project's own command stands where npx looks for it.
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { generateProto } from './generate-proto.ts'

generateProto()
mkdirSync('node_modules/.bin', { recursive: true })
if (!existsSync('node_modules/.bin/kith')) symlinkSync('../../bin/kith', 'node_modules/.bin/kith')
