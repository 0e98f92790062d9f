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
