{{- define "tidings.publisher.env" -}}
{{- $publisher := .Values.publisher -}}
{{- include "tidings.opsEnv" . | nindent 0 }}
- {name: TIDINGS_INGEST_PORT, value: "8081"}
- {name: TIDINGS_PROBE_PORT, value: "9191"}
- {name: TIDINGS_SHARDS, value: {{ include "tidings.shards" . | quote }}}
{{- include "tidings.retentionEnv" . | nindent 0 }}
{{- with include "tidings.tracingEnv" . | trim }}{{ . | nindent 0 }}{{ end }}
{{- if .Values.tracing.endpoint }}
- {name: TIDINGS_TRACING_RATIO, value: {{ .Values.tracing.ratio | quote }}}
{{- end }}
- {name: TIDINGS_STATE_DIR, value: /data/state}
{{- with include "tidings.publisher.sourcesEnv" . | trim }}{{ . | nindent 0 }}{{ end }}
{{- with include "tidings.busEnv" . | trim }}{{ . | nindent 0 }}{{ end }}
{{- include "tidings.ingestEnv" (list . "TIDINGS_INGEST_TOKENS" .Values.ingest.tokensKey) | nindent 0 }}
{{- with include "tidings.settingsEnv" (merge (include "tidings.publisher.spool" . | fromYaml) $publisher.settings) | trim }}{{ . | nindent 0 }}{{ end }}
{{- end -}}
