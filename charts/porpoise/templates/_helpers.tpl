{{/* Name of everything in the operator's namespace. */}}
{{- define "porpoise.name" -}}
{{- if contains "porpoise" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-porpoise" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Name of what has no namespace: two releases in two namespaces do not meet. */}}
{{- define "porpoise.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "porpoise.name" .) -}}
{{- end }}

{{- define "porpoise.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "porpoise.name" .) -}}
{{- end }}

{{- define "porpoise.selector" -}}
app.kubernetes.io/name: porpoise
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "porpoise.labels" -}}
{{ include "porpoise.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: porpoise
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The operator's image: registry, repository, digest or tag. */}}
{{- define "porpoise.image" -}}
{{- $repository := .Values.image.repository -}}
{{- if .Values.imageRegistry }}{{ $repository = printf "%s/%s" .Values.imageRegistry $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "porpoise.mysqlImage" -}}
{{- if .Values.imageRegistry }}{{ .Values.imageRegistry }}/{{ end }}{{ .Values.mysqlImage }}
{{- end }}

{{/* Rules from the one table of permissions: watched, own, cluster, nodes. */}}
{{- define "porpoise.rules" -}}
{{- .Files.Get "files/rules.yaml" -}}
{{- end }}

{{- define "porpoise.subject" -}}
- kind: ServiceAccount
  name: {{ include "porpoise.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
