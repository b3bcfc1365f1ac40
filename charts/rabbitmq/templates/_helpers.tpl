{{- define "rabbitmq.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Never the name of the chart that this one is part of, and short enough for the names of pods and Services. */}}
{{- define "rabbitmq.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | replace "." "-" | trunc 31 | trimSuffix "-") (include "rabbitmq.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rabbitmq.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rabbitmq.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rabbitmq.labels" -}}
{{ include "rabbitmq.selectorLabels" . }}
app.kubernetes.io/component: log
app.kubernetes.io/part-of: tidings
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Without versions of the chart: a node is restarted when something in it changes. */}}
{{- define "rabbitmq.podLabels" -}}
{{ include "rabbitmq.selectorLabels" . }}
app.kubernetes.io/component: log
app.kubernetes.io/part-of: tidings
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rabbitmq.secretName" -}}
{{- default (include "rabbitmq.fullname" .) .Values.auth.existingSecret -}}
{{- end -}}

{{- define "rabbitmq.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rabbitmq.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The domain of the nodes' names, after the pod's. */}}
{{- define "rabbitmq.nodeDomain" -}}
{{- printf "%s-nodes.%s.svc.%s" (include "rabbitmq.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{- define "rabbitmq.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rabbitmq.validate" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.persistence.enabled) -}}
{{- fail "rabbitmq.replicas 3 needs rabbitmq.persistence.enabled: a node that comes back without its data cannot rejoin its cluster" -}}
{{- end -}}
{{- end -}}
