{{/*
Into how many shards the log is divided: what the values say, or else what the gateways have that are there already, since another number is
another log. An upgrade that cannot look at them stops: whoever renders without a cluster knows what is installed, the chart does not.
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
{{- fail (printf "shards: the Deployment %s, which says how many shards this installation has, cannot be seen from here (helm --dry-run=server looks at the cluster). Set shards to that number, 64 where an earlier chart chose it: another number is another log, see \"Change the number of shards\" in docs/operate/roll.md" $name) -}}
{{- end -}}
{{- default 16 $shards -}}
{{- end -}}
