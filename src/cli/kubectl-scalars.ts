// What a plain word of YAML is to kubectl and istioctl (go-yaml): YAML 1.1, but for its dates and base-60 numbers, which are text, and for numbers without a digit.
import type { ScalarTag, Tags } from 'yaml'

const anywhere = /^tag:yaml\.org,2002:(int|float|timestamp)$/
const integers: readonly (readonly [RegExp, number])[] = [[/^[-+]?0b[01_]*[01][01_]*$/, 2], [/^[-+]?0o?[0-7_]*[0-7][0-7_]*$/, 8], [/^[-+]?[0-9][0-9_]*$/, 10], [/^[-+]?0x[0-9a-fA-F_]*[0-9a-fA-F][0-9a-fA-F_]*$/, 16]]

/** For parse and parseDocument of yaml; what is written is in quotes wherever YAML 1.1 reads it otherwise (compat). Style is nobody's error: Istio's own templates have one that yaml would warn of. */
export const kubectlScalars = { version: '1.1', compat: 'yaml-1.1', logLevel: 'error', customTags: (tags: Tags): Tags => [...tags.filter((t) => typeof t === 'string' || !anywhere.test(t.tag)), ...integers.map(integer), float, notFinite] } as const

function integer([test, base]: readonly [RegExp, number]): ScalarTag {
  return { ...number('int'), test, resolve: (text) => exact(text, parseInt(text.replaceAll('_', '').replace(/^([-+]?)0[box]/, '$1'), base)) }
}

const float: ScalarTag = {
  ...number('float'), test: /^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$/, resolve: (text) => exact(text, parseFloat(text.replaceAll('_', ''))),
}
const notFinite: ScalarTag = { ...number('float'), test: /^(?:[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN)$/, resolve: (text) => (/nan/i.test(text) ? Number.NaN : text.startsWith('-') ? -Infinity : Infinity) }

function number(kind: 'int' | 'float'): Omit<ScalarTag, 'resolve'> {
  return { tag: `tag:yaml.org,2002:${kind}`, default: true, identify: (value) => typeof value === 'number' && Number.isInteger(value) === (kind === 'int') }
}

/** Digits that a number of ours does not hold stay text: a build's number as a label is not rounded. */
function exact(text: string, value: number): unknown {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value)) ? value : text
}
