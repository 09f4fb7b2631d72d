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

{{- /* The file of settings: what the values say, and over that .Values.settings. What differs from pod to pod stands in its environment. */ -}}
{{- define "memring.settings" -}}
{{- $name := include "memring.fullname" . -}}
{{- $settings := dict
  "listen" (list "0.0.0.0")
  "cluster" (printf "%s/%s" .Release.Namespace $name)
  "join" (list (printf "%s-members.%s.svc" $name .Release.Namespace))
  "admin-listen" "0.0.0.0:9150"
  "memory-limit" (int64 .Values.memory.limitMB)
  "conn-limit" (int64 .Values.maxConnections)
  "copies" (int64 .Values.copies)
  "ack" .Values.ack
  "read-from" .Values.readFrom
  "drain-timeout" (printf "%ds" (int64 .Values.drainSeconds))
  "rebalance-delay" .Values.rebalanceDelay
-}}
{{- if .Values.snapshots.enabled -}}
{{- $_ := set $settings "snapshot-dir" "/var/lib/memring" -}}
{{- end -}}
{{- if .Values.clusterKey.enabled -}}
{{- $_ := set $settings "cluster-key-file" (printf "/etc/memring/cluster/%s" .Values.clusterKey.key) -}}
{{- else -}}
{{- $_ := set $settings "insecure-peers" true -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $settings "enable-ssl" true -}}
{{- $_ := set $settings "extended" (dict "ssl_chain_cert" "/etc/memring/tls/tls.crt" "ssl_key" "/etc/memring/tls/tls.key") -}}
{{- end -}}
{{- if .Values.auth.existingSecret -}}
{{- $_ := set $settings "auth-file" (printf "/etc/memring/auth/%s" .Values.auth.key) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $settings .Values.settings) -}}
{{- end -}}
