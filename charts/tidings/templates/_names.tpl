{{/* 57 characters at most: it is a label, also with `-check` behind it. */}}
{{- define "tidings.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 57 | trimSuffix "-" -}}
{{- end -}}

{{/* 42 characters at most: a StatefulSet, whose name goes into labels with a hash, may have 52. A release may have dots, a Service not. */}}
{{- define "tidings.fullname" -}}
{{- $name := include "tidings.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 42 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 42 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 42 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Arguments: root context, component, and its group if it has some. */}}
{{- define "tidings.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tidings.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- range slice . 2 }}
tidings/group: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Labels of every object, whatever it is for. */}}
{{- define "tidings.commonLabels" -}}
app.kubernetes.io/part-of: tidings
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Arguments: those of tidings.selectorLabels. */}}
{{- define "tidings.labels" -}}
{{ include "tidings.selectorLabels" . }}
{{ include "tidings.commonLabels" (index . 0) }}
{{- end -}}

{{/* Arguments: those of tidings.selectorLabels. Without versions of the chart: a pod is replaced when something in it changes. */}}
{{- define "tidings.podLabels" -}}
{{ include "tidings.selectorLabels" . }}
app.kubernetes.io/part-of: tidings
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of what belongs to no component. */}}
{{- define "tidings.sharedLabels" -}}
app.kubernetes.io/name: {{ include "tidings.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{ include "tidings.commonLabels" . }}
{{- end -}}

{{- define "tidings.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidings.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tidings.gatewayUrl" -}}
http://{{ include "tidings.fullname" . }}-gateway.{{ .Release.Namespace }}.svc:{{ .Values.gateway.service.port }}
{{- end -}}

{{- define "tidings.ingestUrl" -}}
http://{{ include "tidings.fullname" . }}-publisher.{{ .Release.Namespace }}.svc:{{ .Values.publisher.service.port }}
{{- end -}}
