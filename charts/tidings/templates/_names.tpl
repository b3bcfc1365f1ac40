{{/* At most 57 characters: `NAME-check` is a label too, and a label has at most 63 characters. */}}
{{- define "tidings.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 57 | trimSuffix "-" -}}
{{- end -}}

{{/*
At most 42 characters: the StatefulSet is named `NAME-publisher`. Kubernetes puts the StatefulSet's name and a hash into a label, so 52 characters
are the limit. The name of a release may have dots, the name of a Service may not.
*/}}
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

{{/* Arguments: root context, component, and the component's group if it has one. */}}
{{- define "tidings.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tidings.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- range slice . 2 }}
tidings/group: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "tidings.commonLabels" -}}
app.kubernetes.io/part-of: tidings
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Arguments: the same as tidings.selectorLabels. */}}
{{- define "tidings.labels" -}}
{{ include "tidings.selectorLabels" . }}
{{ include "tidings.commonLabels" (index . 0) }}
{{- end -}}

{{/*
Labels of pods. They have no version of the chart, so that a new version replaces a pod only if the pod changes. Arguments: the same as
tidings.selectorLabels.
*/}}
{{- define "tidings.podLabels" -}}
{{ include "tidings.selectorLabels" . }}
app.kubernetes.io/part-of: tidings
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of objects that belong to no component. */}}
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
