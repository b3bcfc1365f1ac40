{{/*
Number of shards of the log: from the values, or else from the running gateways, because another number starts another log. An upgrade fails if
Helm cannot see the gateways. Then set `shards` to the installed number.
*/}}
{{- define "tidings.shards" -}}
{{- $name := printf "%s-gateway" (include "tidings.fullname" .) -}}
{{- $shards := .Values.shards -}}
{{- if kindIs "invalid" $shards -}}
{{- range $found := list $name (printf "%s-0" $name) -}}
{{- range dig "spec" "template" "spec" "containers" list (lookup "apps/v1" "Deployment" $.Release.Namespace $found) -}}
{{- range .env -}}
{{- if eq .name "TIDINGS_SHARDS" -}}{{- $shards = .value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (kindIs "invalid" $shards) .Release.IsUpgrade -}}
{{- fail (printf "shards: Helm cannot see the Deployment %s, which has the number of shards of this installation (helm --dry-run=server can see the cluster). Set shards to that number. It is 64 if an earlier version of this chart chose it. Another number starts another log: see \"Change the number of shards\" in docs/operate/roll.md" $name) -}}
{{- end -}}
{{- default 16 $shards -}}
{{- end -}}
