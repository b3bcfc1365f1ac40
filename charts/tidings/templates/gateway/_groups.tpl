{{/*
The groups of gateways, as JSON: for each a list of what its names and labels have beyond `gateway`. One group has nothing, and is what all
gateways are.
*/}}
{{- define "tidings.gateway.groups" -}}
{{- $groups := list -}}
{{- range until (int .Values.gateway.groups) -}}
{{- $groups = append $groups (list (toString .)) -}}
{{- end -}}
{{- ternary (list list) $groups (eq (len $groups) 1) | toJson -}}
{{- end -}}

{{/* Arguments: root context, then what a group has. */}}
{{- define "tidings.gateway.name" -}}
{{- concat (list (include "tidings.fullname" (first .)) "gateway") (rest .) | join "-" -}}
{{- end -}}

{{/*
Which paths lead where, as JSON: to all gateways what has no group, and what was a group before there were fewer; to each group its own.
The longest path that fits counts.
*/}}
{{- define "tidings.gateway.routes" -}}
{{- $all := include "tidings.gateway.paths" . | fromJsonArray -}}
{{- $routes := list -}}
{{- range $group := include "tidings.gateway.groups" . | fromJsonArray -}}
{{- range $group -}}
{{- $routes = append $routes (dict "group" $group "service" (include "tidings.gateway.name" (list $ .)) "paths" (list (printf "/g/%s" .))) -}}
{{- end -}}
{{- end -}}
{{- if $routes -}}
{{- $all = append $all "/g" -}}
{{- end -}}
{{- prepend $routes (dict "group" list "service" (include "tidings.gateway.name" (list .)) "paths" $all) | toJson -}}
{{- end -}}
