// Which plain words of YAML are numbers to kubectl and istioctl (go-yaml): `012` is 10, `0o7` 7, `080` 80 and `1e3` 1000; `22:22` is text.
import { NOT_RESOLVED, floatYaml11Tag, intYaml11Tag, type ScalarTagDefinition } from 'js-yaml'

const whole = /^[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)$/
const decimal = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/

function wholeNumber(source: string): number | typeof NOT_RESOLVED {
  const plain = source.includes('_') ? source.replaceAll('_', '') : source
  if (!whole.test(plain)) return NOT_RESOLVED
  const digits = plain.replace(/^[-+]/, '')
  const value = Number(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits)
  return plain.startsWith('-') && value !== 0 ? -value : value
}

/** What is larger than a number can be is text. */
function decimalNumber(source: string): number | typeof NOT_RESOLVED {
  const plain = source.includes('_') && !source.startsWith('.') ? source.replaceAll('_', '') : source
  const value = decimal.test(plain) ? Number(plain) : Number.NaN
  return Number.isFinite(value) ? value : /inf|nan/i.test(source) ? (floatYaml11Tag as ScalarTagDefinition<number>).resolve(source, false, '') : NOT_RESOLVED
}

export const wholeTag: ScalarTagDefinition = { ...(intYaml11Tag as ScalarTagDefinition), resolve: wholeNumber }
export const decimalTag: ScalarTagDefinition = { ...(floatYaml11Tag as ScalarTagDefinition), resolve: decimalNumber }
