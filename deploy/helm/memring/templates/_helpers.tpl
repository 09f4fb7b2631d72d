{{- define "memring.fullname" -}}
{{- if contains "memring" .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- else -}}{{ printf "%s-memring" .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "memring.selector" -}}
app.kubernetes.io/name: memring
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "memring.labels" -}}
{{ include "memring.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "memring.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "memring.fullname" .) .Values.serviceAccount.name }}{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{- define "memring.clusterKeySecret" -}}
{{ default (printf "%s-cluster-key" (include "memring.fullname" .)) .Values.clusterKey.existingSecret }}
{{- end -}}
