import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { compileTemplate, structs, TemplateError } from './index.ts'

const yaml = { parse: (t: string) => parse(t) as unknown, print: (v: unknown) => stringify(v) }
const data = structs({
  ObjectMeta: { labels: { app: 'web' }, annotations: { 'a/b': 'yes', empty: '' } },
  Spec: { containers: [{ name: 'web', ports: [{ containerPort: 80 }, { containerPort: 53, protocol: 'UDP' }] }, { name: 'istio-proxy' }], serviceAccountName: 'sa', hostPID: true },
  Values: { global: { hub: 'h', tag: 1.5, port: 15020, on: true, list: ['x', 'y'], nothing: null, deep: { b: 1, a: 2 } } },
  ProxyConfig: { interceptionMode: 'REDIRECT', tracing: { tlsSettings: { caCertificates: '/etc/x/ca.pem' } }, proxyMetadata: { B: '2', A: '1' } },
})
const render = (text: string): string => compileTemplate('t', text, yaml).render(data)

test('what templates do, by Go’s rules', () => {
  const cases: readonly (readonly [string, string])[] = [
    // text, trimming, comments
    ['a {{- 1 -}} b', 'a1b'], ['a {{/* no {{ }} */}} b', 'a  b'], ['a {{- /* x */ -}} b', 'ab'], ['{{"}}"}}', '}}'], ['{{`"`}}{{"\\t\\u0041"}}', '"\tA'],
    // fields: structs by their Go names, maps by their keys
    ['{{.Values.global.hub}}:{{.Values.global.tag}}', 'h:1.5'], ['{{.Spec.ServiceAccountName}}{{.Spec.HostPID}}', 'satrue'], ['{{(index .Spec.Containers 0).Name}}', 'web'], ['{{.ProxyConfig.GetTracing.GetTlsSettings.GetCaCertificates | directory}}', '/etc/x/'], ['{{.ProxyConfig.InterceptionMode.String}}', 'REDIRECT'], ['{{.Spec.NodeName}}', ''],
    ['{{if (.Values.none).deeper}}y{{else}}n{{end}}{{eq (.Values.none).env "true"}}', 'nfalse'],
    // branches
    ['{{if .Values.global.on}}y{{else}}n{{end}}', 'y'], ['{{if .Values.global.nothing}}y{{else if eq 1 1}}two{{else}}n{{end}}', 'two'], ['{{with .Values.global.hub}}{{.}}{{else}}-{{end}}', 'h'], ['{{if and .Values.global.on (not .Values.global.nothing)}}y{{end}}', 'y'], ['{{or .Values.global.nothing "z"}}', 'z'],
    // loops and variables
    ['{{range $i, $c := .Spec.Containers}}{{if ne $i 0}},{{end}}{{$c.Name}}{{end}}', 'web,istio-proxy'], ['{{range .Values.global.list}}[{{.}}{{$.Values.global.hub}}]{{end}}', '[xh][yh]'], ['{{range $k, $v := .ProxyConfig.ProxyMetadata}}{{$k}}={{$v}} {{end}}', 'A=1 B=2 '],
    ['{{range .Values.global.nothing}}x{{else}}none{{end}}', 'none'], ['{{$first := true}}{{range until 3}}{{if not $first}},{{end}}{{.}}{{$first = false}}{{end}}', '0,1,2'], ['{{range until 9}}{{if eq . 2}}{{continue}}{{end}}{{if gt . 3}}{{break}}{{end}}{{.}}{{end}}', '013'],
    ['{{define "x"}}<{{.}}>{{end}}{{template "x" 7}}{{block "y" .Values.global.hub}}({{.}}){{end}}', '<7>(h)'],
    // Istio's functions
    ['{{annotation .ObjectMeta `a/b` "no"}}{{annotation .ObjectMeta `c` 5}}{{annotation .ObjectMeta `empty` "x"}}', 'yes5'], ['{{valueOrDefault "" "d"}}{{valueOrDefault .Values.global.nothing "e"}}{{valueOrDefault false "f"}}', 'defalse'], ['{{isset .ObjectMeta.Annotations `empty`}}{{isset .ObjectMeta.Annotations `none`}}', 'truefalse'],
    ['{{excludeInboundPort 15020 "80, 81"}} {{excludeInboundPort "80" "80,81"}} {{excludeInboundPort 0 "1"}}', '80,81,15020 80,81 1'], ['{{includeInboundPorts .Spec.Containers}}', '80'], ['{{contains "/" "a/b"}}', 'true'], ['{{toJSON .ObjectMeta.Labels}}', '{"app":"web"}'], ['{{structToJSON (index (index .Spec.Containers 0).Ports 0)}}', '{"containerPort":80}'],
    ['a:\n  {{toYaml .Values.global.deep | indent 2}}', 'a:\n  b: 1\n  a: 2'], ['{{"a\\nb" | nindent 1}}', '\n a\n b'],
    // sprig's
    ['{{index .ObjectMeta.Labels `x` | default (index .ObjectMeta.Labels `app`) | default "d" | quote}}', '"web"'], ['{{$l := list}}{{$l = append $l "a"}}{{$l = append $l "b"}}{{$l | join ","}}{{len $l}}', 'a,b2'], ['{{dict "a" 1 | toJson}}{{ternary "y" "n" true}}{{printf "%s-%d-%q" "a" 3 "b"}}', '{"a":1}yn'.replace('yn', 'y') + 'a-3-"b"'],
    ['{{trunc 3 "abcdef"}}{{trimSuffix "f" "ef"}}{{add 1 2}}{{has "x" .Values.global.list}}{{eq .Spec.NodeName ""}}', 'abce3truetrue'], ['{{env "HOME" "dflt"}}', 'dflt'],
  ]
  for (const [text, expected] of cases) assert.equal(render(text), expected, text)
})

test('a mistake is named with its line and column', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['a\n  {{ nosuch 1 }}', 't:2:6: there is no function nosuch'], ['{{ anotation .ObjectMeta "a" "b" }}', 'did you mean annotation?'], ['{{if .X}}', 't:1:3: this has no {{end}}'], ['{{end}}', 'with nothing open'], ['x {{ .A', 't:1:3: this action has no end'], ['{{ "a }}', 'this string has no end'], ['{{ $x }}', '$x is not declared'],
    ['{{/* x', 'this comment has no end'], ['{{.Values.global.none}}', 't:1:3: .Values.global.none is not set; valueOrDefault'], ['\n{{.Values.nope.deeper}}', 't:2:3: .Values.nope.deeper is not set'], ['{{.Values.global.hub.deeper}}', '.Values.global.hub is h, which has no deeper'], ['{{range 1.5 | printf "%s"}}{{end}}', 'range needs a list'], ['{{template "no"}}', 'there is no template "no"'],
    ['{{define "x"}}{{template "x"}}{{end}}{{template "x"}}', 'too deeply'], ['{{range until 10000}}{{range until 10000}}{{end}}x{{end}}', 'too many steps'], ['{{fail "no way"}}', 'fail: no way'], ['{{index .Values.global.list 5}}', 'there is no item 5'], ['{{break}}', 'outside of {{range}}'], ['{{.A | .B}}', 'only a function'], ['{{div 1 0}}', 'division by zero'], ['{{ ( 1 }}', 'this ( has no )'], ['{{}}', 'a value is missing'],
  ]
  for (const [text, expected] of cases) assert.throws(() => render(text), (e: unknown) => e instanceof TemplateError && e.message.includes(expected), `${text} → ${expected}`)
})
