// h2spec against a port: which of its cases fail.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface H2specRun {
  readonly cases: number
  /** `http2/5.1: closed: Sends a DATA frame`, in h2spec's order. */
  readonly failed: readonly string[]
}

/** `sections`: `http2/5.1` and so on; all where empty. `report`: where its JUnit report is written. */
export async function runH2spec(program: string, port: number, report: string, sections: readonly string[] = []): Promise<H2specRun> {
  const child = spawn(program, [...sections, '-h', '127.0.0.1', '-p', String(port), '-j', report], { stdio: ['ignore', 'ignore', 'inherit'] })
  await new Promise<void>((resolve, reject) => child.once('error', reject).once('close', () => resolve()))
  const text = readFileSync(report, 'utf8')
  const cases = [...text.matchAll(/<testcase package="([^"]*)" classname="([^"]*)" time="[^"]*">(\s*<(?:failure|error))?/g)]
  if (cases.length === 0) throw new Error('h2spec ran no case')
  return { cases: cases.length, failed: cases.filter((c) => c[3] !== undefined).map((c) => `${c[1]}: ${plain(c[2] as string)}`) }
}

function plain(text: string): string {
  return text.replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}
