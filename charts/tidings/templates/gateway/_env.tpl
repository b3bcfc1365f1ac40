{{/* Arguments: root context, group of the gateway (empty without groups). */}}
{{- define "tidings.gateway.env" -}}
{{- $root := index . 0 -}}
{{- $group := index . 1 -}}
{{- $settings := $root.Values.gateway.settings -}}
{{- /* A webmail behind `kubectl port-forward` has this origin. */}}
{{- if and $root.Values.webmail.enabled (not $settings.allowOrigin) -}}
{{- $settings = merge (dict "allowOrigin" (list "http://127.0.0.1:8082" "http://localhost:8082")) $settings -}}
{{- end -}}
{{- include "tidings.opsEnv" $root | nindent 0 }}
- {name: TIDINGS_PORT, value: "8080"}
- {name: TIDINGS_PROBE_PORT, value: "9091"}
- {name: TIDINGS_SHARDS, value: {{ include "tidings.shards" $root | quote }}}
{{- include "tidings.retentionEnv" $root | nindent 0 }}
{{- with include "tidings.tracingEnv" $root | trim }}{{ . | nindent 0 }}{{ end }}
{{- if $group }}
- {name: TIDINGS_GROUPS, value: {{ $root.Values.gateway.groups | quote }}}
{{- end }}
{{- with include "tidings.busEnv" $root | trim }}{{ . | nindent 0 }}{{ end }}
{{- include "tidings.authEnv" $root | nindent 0 }}
{{- with include "tidings.gateway.upstreamEnv" $root | trim }}{{ . | nindent 0 }}{{ end }}
{{- with include "tidings.settingsEnv" $settings | trim }}{{ . | nindent 0 }}{{ end }}
{{- end -}}
