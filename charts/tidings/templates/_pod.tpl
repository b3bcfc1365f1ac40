{{/* A map of settings as TIDINGS_* variables. YAML gives whole numbers as floats, and Helm would write 1000000 as 1e+06. */}}
{{- define "tidings.settingsEnv" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{- $text := toString $value -}}
{{- if kindIs "slice" $value -}}{{- $text = join "," $value -}}{{- end -}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) -}}{{- $text = $value | int64 | toString -}}{{- end }}
- {name: TIDINGS_{{ $name | snakecase | upper }}, value: {{ $text | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Variables of every service. */}}
{{- define "tidings.opsEnv" -}}
- {name: TIDINGS_HOST, value: {{ .Values.listenAddress | quote }}}
- {name: TIDINGS_PROBE_HOST, value: {{ .Values.listenAddress | quote }}}
- {name: TIDINGS_LOG_FORMAT, value: json}
- {name: TIDINGS_LOG_LEVEL, value: {{ .Values.logLevel }}}
{{- with .Values.admin }}
{{- if .existingSecret }}
- {name: TIDINGS_ADMIN_HOST, value: {{ $.Values.listenAddress | quote }}}
- name: TIDINGS_ADMIN_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .tokenKey }}}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Probes. A stuck main loop fails the liveness probe after 30 s. Three failures restart the container. Argument: name of the probe port. */}}
{{- define "tidings.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* A pause before SIGTERM. It is an exec, because the sleep action needs Kubernetes 1.34. Argument: seconds. */}}
{{- define "tidings.preStop" -}}
{{- if gt (int .) 0 }}
lifecycle:
  preStop:
    exec: {command: [sleep, {{ int . | quote }}]}
{{- end }}
{{- end -}}

{{/* The part of a pod's spec that all components share. Arguments: root context, values of the component, its name, its group if it has one. */}}
{{- define "tidings.podSpec" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "tidings.serviceAccountName" $root }}
{{ include "tidings-rabbitmq.podSpec" (list $root (index . 1) (include "tidings.selectorLabels" (prepend (slice . 2) $root) | fromYaml)) }}
{{- end -}}

{{/* Arguments: the same as tidings.podSpec. */}}
{{- define "tidings.podMeta" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
labels:
  {{- include "tidings.podLabels" (prepend (slice . 2) $root) | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- /* A changed setting changes the pod's spec and so restarts the pod. A changed value in the chart's Secret restarts the pod by this checksum. */}}
  checksum/secret: {{ include "tidings.secretData" $root | sha256sum }}
  {{- range $root.Values.admin.scrape }}
  profiles.grafana.com/{{ . }}.scrape: "true"
  profiles.grafana.com/{{ . }}.port: {{ ternary "9090" "9190" (eq (index $ 2) "gateway") | quote }}
  {{- end }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Volume and mount of the CA certificate that verifies the broker's certificate. */}}
{{- define "tidings.usesBusCa" -}}
{{- if and (eq .Values.rabbitmq.mode "external") .Values.externalRabbitmq.caSecret }}true{{ end -}}
{{- end -}}
{{- define "tidings.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if include "tidings.usesBusCa" . }}
- name: bus-ca
  secret: {secretName: {{ .Values.externalRabbitmq.caSecret }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end -}}
{{- define "tidings.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "tidings.usesBusCa" . }}
- {name: bus-ca, mountPath: /etc/tidings/bus-ca, readOnly: true}
{{- end }}
{{- end -}}
