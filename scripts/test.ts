// Runs the tests: every *.test.ts below src/ and test/ (but the lanes that test/lanes.ts names), by node's own runner.
// REQUIRE=namespaces,envoy,… turns a skip in those lanes into a failure; SEED=random draws properties anew. Arguments name files or folders.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { generateProto } from './generate-proto.ts'

generateProto()
const asked = process.argv.slice(2)
const options = asked.filter((a) => a.startsWith('--'))
const places = asked.filter((a) => !a.startsWith('--'))
const wanted = places.length > 0 ? places : ['src', 'test']
const files = wanted.flatMap((p) => (p.endsWith('.test.ts') ? [p] : globSync(`${p}/**/*.test.ts`))).filter((f) => places.length > 0 || !/^test\/(envoy|cluster|suites)\//.test(f)).sort()
if (files.length === 0) {
  process.stderr.write('no tests there\n')
  process.exit(1)
}
const run = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--import=./test/property/seed.ts', '--test', '--test-concurrency=2', ...options, ...files], { stdio: 'inherit' })
process.exit(run.status ?? 1)
