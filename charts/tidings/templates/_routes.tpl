{{/*
Ingress and HTTPRoute, for clients and for storages. Arguments of both: root context, values of the Ingress or HTTPRoute, component, routes, and
the name or number of the Services' port. Each route has a Service, its group and its paths. The value `paths` replaces the paths of the first route.
*/}}
{{- define "tidings.ingress" -}}
{{- $root := index . 0 -}}
{{- $ingress := index . 1 -}}
{{- $component := index . 2 -}}
{{- $routes := index . 3 -}}
{{- $port := index . 4 -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "tidings.fullname" $root }}-{{ $component }}
  labels:
    {{- include "tidings.labels" (list $root $component) | nindent 4 }}
    {{- with $ingress.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range $ingress.hosts }}
    - host: {{ . | quote }}
      http:
        paths:
          {{- with $ingress.extraPaths }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
          {{- range $index, $route := $routes }}
          {{- range ternary $route.paths (default $route.paths $ingress.paths) (gt $index 0) }}
          - path: {{ . }}
            pathType: {{ $ingress.pathType }}
            backend: {service: {name: {{ $route.service }}, port: {name: {{ $port }}}}}
          {{- end }}
          {{- end }}
    {{- end }}
{{- end -}}

{{/* An HTTPRoute has at most 16 rules, so each group gets its own HTTPRoute. */}}
{{- define "tidings.httpRoutes" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $component := index . 2 -}}
{{- $port := index . 4 -}}
{{- range $index, $route := index . 3 }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ $route.service }}
  labels:
    {{- include "tidings.labels" (concat (list $root $component) $route.group) | nindent 4 }}
    {{- with $values.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    {{- toYaml $values.parentRefs | nindent 4 }}
  {{- with $values.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        {{- range ternary $route.paths (default $route.paths $values.paths) (gt $index 0) }}
        - path: {type: PathPrefix, value: {{ . }}}
        {{- end }}
      {{- with $values.filters }}
      filters:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      backendRefs:
        - {name: {{ $route.service }}, port: {{ $port }}}
      {{- with $values.timeouts }}
      timeouts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- if and $values.extraRules (eq $index 0) }}
    {{- toYaml $values.extraRules | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* Arguments: root context, path of the values, values of the Ingress, values of the HTTPRoute. */}}
{{- define "tidings.validateRoutes" -}}
{{- $path := index . 0 -}}
{{- $ingress := index . 1 -}}
{{- $route := index . 2 -}}
{{- if and $ingress.enabled $route.enabled -}}
{{- fail (printf "%singress.enabled and %shttpRoute.enabled exclude each other: enable one" $path $path) -}}
{{- end -}}
{{- if and $ingress.enabled (not $ingress.hosts) -}}
{{- fail (printf "%singress.enabled needs %singress.hosts" $path $path) -}}
{{- end -}}
{{- if and $route.enabled (not $route.parentRefs) -}}
{{- fail (printf "%shttpRoute.enabled needs %shttpRoute.parentRefs: the Gateway of the route" $path $path) -}}
{{- end -}}
{{- end -}}
