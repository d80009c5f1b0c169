{{- /* The names and labels of src/deploy/settings.ts, for Helm. test/chart holds the two equal. */ -}}
{{- define "kith.revision" -}}{{ .Values.revision | default "default" }}{{- end -}}
{{- define "kith.suffix" -}}{{ if not (has (toString .Values.revision) (list "" "default")) }}-{{ .Values.revision }}{{ end }}{{- end -}}
{{- define "kith.name" -}}istiod{{ include "kith.suffix" . }}{{- end -}}
{{- define "kith.namespaceSuffix" -}}{{ if ne .Release.Namespace "istio-system" }}-{{ .Release.Namespace }}{{ end }}{{- end -}}

{{- define "kith.image" -}}
{{- if contains "/" .Values.pilot.image -}}
{{ .Values.pilot.image }}
{{- else -}}
{{ .Values.pilot.hub | default .Values.global.hub }}/{{ .Values.pilot.image }}:{{ .Values.pilot.tag | default .Values.global.tag }}
{{- end -}}
{{- end -}}

{{- define "kith.labels" -}}
app.kubernetes.io/managed-by: kith
app.kubernetes.io/part-of: istio
app.kubernetes.io/name: istiod
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
install.kith.dev/revision: {{ include "kith.revision" . | quote }}
app: istiod
istio.io/rev: {{ include "kith.revision" . | quote }}
{{- end -}}

{{- define "kith.selector" -}}
app: istiod
istio.io/rev: {{ include "kith.revision" . | quote }}
{{- end -}}

{{- /* Istio's default:info,ads:debug names scopes; ours has one level. */ -}}
{{- define "kith.logLevel" -}}
{{- $given := toString .Values.global.logging.level -}}
{{- $scoped := regexFind "(^|,)(default|all):[a-zA-Z0-9_]+" $given -}}
{{- $level := ternary $given (regexReplaceAll "^.*:" $scoped "") (eq $scoped "") -}}
{{- if has $level (list "trace" "debug" "info" "warn" "error" "fatal") }}{{ $level }}{{ else if eq $level "none" }}fatal{{ else }}info{{ end -}}
{{- end -}}
