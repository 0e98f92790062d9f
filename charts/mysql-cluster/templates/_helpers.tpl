{{- define "mysql-cluster.name" -}}
{{- .Values.name | default .Release.Name -}}
{{- end }}

{{- define "mysql-cluster.probeSelector" -}}
app.kubernetes.io/name: mysql-cluster
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: probe
{{- end }}

{{- define "mysql-cluster.labels" -}}
app.kubernetes.io/name: mysql-cluster
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: porpoise
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Whether the hooks are rendered: as backupHook.enabled says, else if there is a spec.backup. */}}
{{- define "mysql-cluster.backupHook" -}}
{{- $enabled := .Values.backupHook.enabled -}}
{{- if kindIs "bool" $enabled }}{{ $enabled }}{{ else }}{{ not (empty .Values.spec.backup) }}{{ end -}}
{{- end }}

{{- define "mysql-cluster.backupHookLabels" -}}
{{ include "mysql-cluster.labels" . }}
app.kubernetes.io/component: backup-hook
{{- end }}

{{- /* The weight is the argument: accounts and rights come before the Job. */}}
{{- define "mysql-cluster.backupHookAnnotations" -}}
helm.sh/hook: pre-upgrade,pre-rollback,pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
