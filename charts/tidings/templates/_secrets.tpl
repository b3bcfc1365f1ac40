{{/*
Content of the chart's Secret, as YAML. The first installation makes random values. Upgrades look them up. The result is cached, so that all
templates of a rendering get the same values.
*/}}
{{- define "tidings.secretData" -}}
{{- if not (hasKey .Values "secretData") -}}
{{- $name := include "tidings.fullname" . -}}
{{- $old := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict -}}
{{- $data := dict -}}
{{- if not .Values.ingest.existingSecret -}}
{{- $key := .Values.ingest.tokensKey -}}
{{- $_ := set $data $key (get $old $key | default (include "tidings-rabbitmq.random" (list . 40 $key $name "ingest.existingSecret"))) -}}
{{- end -}}
{{- if and (eq .Values.auth.mode "jwt") (not .Values.auth.existingSecret) (not .Values.auth.jwksUrl) -}}
{{- $key := .Values.auth.jwtSecretKey -}}
{{- $_ := set $data $key (get $old $key | default (include "tidings-rabbitmq.random" (list . 64 $key $name "auth.existingSecret"))) -}}
{{- end -}}
{{- $_ := set .Values "secretData" $data -}}
{{- end -}}
{{- toYaml .Values.secretData -}}
{{- end -}}

{{/* The variable TIDINGS_BUS: address and credentials of the broker, from the chart's Secret or from yours. */}}
{{- define "tidings.busEnv" -}}
{{- $external := .Values.externalRabbitmq -}}
{{- $bundled := eq .Values.rabbitmq.mode "bundled" -}}
{{- if and (not $bundled) $external.urlKey }}
- name: TIDINGS_BUS
  valueFrom: {secretKeyRef: {name: {{ $external.existingSecret }}, key: {{ $external.urlKey }}}}
{{- else }}
{{- $secret := $external.existingSecret -}}
{{- $keys := $external -}}
{{- if $bundled -}}
{{- $secret = include "tidings-rabbitmq.secretName" .Subcharts.rabbitmq -}}
{{- $keys = dict "usernameKey" "username" "passwordKey" "password" "hostKey" "host" "portKey" "port" "tls" false "caSecret" "" "vhost" "/" -}}
{{- end }}
{{- range $variable, $key := dict "BUS_USERNAME" $keys.usernameKey "BUS_PASSWORD" $keys.passwordKey "BUS_HOST" $keys.hostKey "BUS_PORT" $keys.portKey }}
- name: {{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}
{{- end }}
- name: TIDINGS_BUS
  value: {{ printf "%s://$(BUS_USERNAME):$(BUS_PASSWORD)@$(BUS_HOST):$(BUS_PORT)/%s%s" (ternary "amqps" "amqp" $keys.tls) (trimPrefix "/" $keys.vhost) (ternary "?cafile=/etc/tidings/bus-ca/ca.crt" "" (not (empty $keys.caSecret))) | quote }}
{{- end }}
{{- end -}}

{{/* Retention of new streams. Every service that declares streams has these variables. */}}
{{- define "tidings.retentionEnv" -}}
- {name: TIDINGS_RETENTION_SECONDS, value: {{ int64 .Values.retention.seconds | quote }}}
- {name: TIDINGS_RETENTION_BYTES, value: {{ int64 .Values.retention.bytes | quote }}}
{{- end -}}

{{/* Authentication of clients, for gateway and webmail. */}}
{{- define "tidings.authEnv" -}}
- {name: TIDINGS_AUTH, value: {{ .Values.auth.mode }}}
{{- if eq .Values.auth.mode "none" }}
# The service listens on the pod's address, because the Service needs it. There is no Ingress, and the NetworkPolicy allows only the release's pods.
- {name: TIDINGS_INSECURE, value: "true"}
{{- end }}
{{- with include "tidings.jwtEnv" . }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Key that verifies tokens. `helm test` makes its token with the same key. */}}
{{- define "tidings.jwtEnv" -}}
{{- if eq .Values.auth.mode "jwt" -}}
{{- if .Values.auth.jwksUrl -}}
- {name: TIDINGS_JWKS_URL, value: {{ .Values.auth.jwksUrl | quote }}}
{{- else -}}
- name: TIDINGS_JWT_SECRET
  valueFrom: {secretKeyRef: {name: {{ default (include "tidings.fullname" .) .Values.auth.existingSecret }}, key: {{ .Values.auth.jwtSecretKey }}}}
{{- end }}
{{- with .Values.auth.issuer }}
- {name: TIDINGS_JWT_ISSUER, value: {{ . | quote }}}
{{- end }}
{{- with .Values.auth.audience }}
- {name: TIDINGS_JWT_AUDIENCE, value: {{ . | quote }}}
{{- end }}
{{- if ne .Values.auth.accountClaim "sub" }}
- {name: TIDINGS_JWT_ACCOUNT_CLAIM, value: {{ .Values.auth.accountClaim | quote }}}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Whether `helm test` can connect as a client: with the secret that makes tokens, with a given token, or without authentication. */}}
{{- define "tidings.testable" -}}
{{- and .Values.tests.enabled (or (not .Values.auth.jwksUrl) (not (empty .Values.tests.tokenSecret))) -}}
{{- end -}}

{{/* Arguments: root context, name of the variable, key of the Secret. */}}
{{- define "tidings.ingestEnv" -}}
{{- $root := index . 0 -}}
- name: {{ index . 1 }}
  valueFrom: {secretKeyRef: {name: {{ default (include "tidings.fullname" $root) $root.Values.ingest.existingSecret }}, key: {{ index . 2 }}}}
{{- end -}}

{{/* Collector of traces, for every service that makes traces. */}}
{{- define "tidings.tracingEnv" -}}
{{- with .Values.tracing.endpoint }}
- {name: TIDINGS_TRACING_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- end -}}
