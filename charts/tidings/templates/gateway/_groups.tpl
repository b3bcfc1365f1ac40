{{/*
The groups of gateways, as JSON. Each group is a list of what follows `gateway` in its names and labels. A single group is an empty list: all
gateways belong to it.
*/}}
{{- define "tidings.gateway.groups" -}}
{{- $groups := list -}}
{{- range until (default 1 .Values.gateway.groups | int) -}}
{{- $groups = append $groups (list (toString .)) -}}
{{- end -}}
{{- ternary (list list) $groups (eq (len $groups) 1) | toJson -}}
{{- end -}}

{{/* Arguments: root context, then the list of the group. */}}
{{- define "tidings.gateway.name" -}}
{{- concat (list (include "tidings.fullname" (first .)) "gateway") (rest .) | join "-" -}}
{{- end -}}

{{/*
Routes from paths to Services, as JSON. Paths of a group lead to the group. All other paths lead to all gateways, also paths of a group that was
removed. The longest matching path wins.
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
