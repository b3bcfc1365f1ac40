{{/* Text that Helm prints after an installation. Parent charts print it too, because Helm does not print the notes of subcharts. */}}
{{- define "tidings.notes" -}}
{{- $name := include "tidings.fullname" . -}}
{{- $kubectl := printf "kubectl --namespace %s" .Release.Namespace -}}
Tidings {{ .Chart.AppVersion }} is starting. Wait until it is ready:

  {{ $kubectl }} rollout status statefulset/{{ $name }}-publisher
{{- range $group := include "tidings.gateway.groups" . | fromJsonArray }}
  {{ $kubectl }} rollout status deployment/{{ include "tidings.gateway.name" (prepend $group $) }}
{{- end }}
{{ if eq (include "tidings.testable" .) "true" }}
Send a change and wait until it arrives:

  helm test {{ .Release.Name }} --namespace {{ .Release.Namespace }}
{{ else if .Values.tests.enabled }}
helm test runs nothing yet, because only your identity provider can make a token for it. Put a token into a Secret and set tests.tokenSecret.
{{ end }}{{ if .Values.webmail.enabled }}
Open the webmail at http://127.0.0.1:8082 while these two commands run:

  {{ $kubectl }} port-forward service/{{ $name }}-gateway 8080:{{ .Values.gateway.service.port }}
  {{ $kubectl }} port-forward service/{{ $name }}-webmail 8082:8082
{{ end }}
Open the dashboards of a gateway (http://127.0.0.1:9090) and of a publisher (http://127.0.0.1:9190) while these two commands run:

  {{ $kubectl }} port-forward deployment/{{ include "tidings.gateway.name" (prepend (include "tidings.gateway.groups" . | fromJsonArray | first) .) }} 9090:9090
  {{ $kubectl }} port-forward statefulset/{{ $name }}-publisher 9190:9190
{{ if not .Values.ingest.existingSecret }}
Read the token for storages:

  {{ $kubectl }} get secret {{ $name }} --output jsonpath='{.data.{{ .Values.ingest.tokensKey }}}' | base64 --decode
{{ end }}
Storages send changes to {{ include "tidings.ingestUrl" . }}/v1/changes.
{{- if .Values.ingress.enabled }}
Clients connect to {{ range .Values.ingress.hosts }}{{ . }}/jmap/ws {{ end }}
{{- end }}
{{- if eq .Values.auth.mode "none" }}

Clients are not authenticated (auth.mode none): everybody who can connect to the gateway can read the notifications of every account.
{{- end }}
{{- if and (eq .Values.rabbitmq.mode "bundled") (not .Values.rabbitmq.persistence.enabled) }}

The log is not on a volume. A restart of RabbitMQ loses the log, and clients resynchronise.
{{- end }}
{{- end -}}
