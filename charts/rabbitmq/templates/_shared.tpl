{{/* Parts that workloads of this chart and of its parent chart share. Each template gives YAML. */}}

{{/* The image. `global.imageRegistry` replaces its registry. */}}
{{- define "tidings-rabbitmq.image" -}}
{{- $image := .Values.image -}}
{{- $repository := $image.repository -}}
{{- with (.Values.global | default dict).imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") -}}
{{- end -}}
{{- if $image.digest -}}{{ $repository }}@{{ $image.digest }}{{- else -}}{{ $repository }}:{{ default .Chart.AppVersion $image.tag }}{{- end -}}
{{- end -}}

{{/* The part of a pod's spec that all workloads share. Arguments: root context, values of the workload, its selector. */}}
{{- define "tidings-rabbitmq.podSpec" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $selector := index . 2 -}}
{{- $secrets := list -}}
{{- range concat ((($root.Values.global | default dict).imagePullSecrets) | default list) $root.Values.imagePullSecrets -}}
{{- /* Parent charts list pull secrets as objects or as strings. */}}
{{- $secrets = append $secrets (kindIs "map" . | ternary . (dict "name" .)) -}}
{{- end -}}
{{- $spreads := list -}}
{{- range $values.topologySpreadConstraints -}}
{{- $spreads = append $spreads (merge (dict "labelSelector" (default (dict "matchLabels" $selector) .labelSelector)) .) -}}
{{- end -}}
{{- $spec := dict "automountServiceAccountToken" false "enableServiceLinks" false "securityContext" $root.Values.podSecurityContext -}}
{{- $given := pick $values "affinity" "dnsConfig" "dnsPolicy" "hostAliases" "nodeSelector" "priorityClassName" "runtimeClassName" "tolerations" -}}
{{- range $name, $value := merge (dict "imagePullSecrets" (uniq $secrets) "topologySpreadConstraints" $spreads) $given -}}
{{- if $value -}}
{{- $_ := set $spec $name $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $spec -}}
{{- end -}}

{{/*
Environment variables: the chart's and `extraEnv`. Rendering fails if both have a variable, because Kubernetes would silently use the last one.
Arguments: variables of the chart as YAML, values of the workload, the path of these values.
*/}}
{{- define "tidings-rabbitmq.env" -}}
{{- $own := index . 0 | fromYamlArray -}}
{{- $path := index . 2 -}}
{{- $names := list -}}
{{- range $own -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range (index . 1).extraEnv -}}
{{- if has .name $names -}}
{{- fail (printf "%s.extraEnv sets %s, which the chart sets already: use the chart's value for it" $path .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- toYaml (concat $own (index . 1).extraEnv) -}}
{{- end -}}

{{/* Arguments: values of the Service, its selector, name of its port (and of the container's port), number of its port. */}}
{{- define "tidings-rabbitmq.serviceSpec" -}}
{{- $service := index . 0 -}}
{{- $type := default "ClusterIP" $service.type -}}
{{- range $name, $value := pick $service "nodePort" "externalTrafficPolicy" -}}
{{- if and $value (eq $type "ClusterIP") -}}
{{- fail (printf "service.%s needs service.type NodePort or LoadBalancer" $name) -}}
{{- end -}}
{{- end -}}
{{- $port := dict "name" (index . 2) "port" (index . 3) "targetPort" (index . 2) "protocol" "TCP" -}}
{{- $spec := dict "type" $type "selector" (index . 1) -}}
{{- range $name, $value := pick $service "nodePort" "appProtocol" -}}
{{- if $value -}}{{- $_ := set $port $name $value -}}{{- end -}}
{{- end -}}
{{- range $name, $value := pick $service "externalTrafficPolicy" "trafficDistribution" -}}
{{- if $value -}}{{- $_ := set $spec $name $value -}}{{- end -}}
{{- end -}}
{{- toYaml (set $spec "ports" (list $port)) -}}
{{- end -}}

{{/* Arguments: values of the PodDisruptionBudget, its selector. */}}
{{- define "tidings-rabbitmq.budgetSpec" -}}
{{- $budget := index . 0 -}}
{{- $bound := ternary (dict "maxUnavailable" $budget.maxUnavailable) (dict "minAvailable" $budget.minAvailable) (kindIs "invalid" $budget.minAvailable) -}}
{{- toYaml (set $bound "selector" (dict "matchLabels" (index . 1))) -}}
{{- end -}}

{{/* Arguments: values of the ServiceMonitor, port. */}}
{{- define "tidings-rabbitmq.endpoint" -}}
{{- $endpoint := dict "port" (index . 1) "path" "/metrics" -}}
{{- range $name, $value := pick (index . 0) "interval" "scrapeTimeout" "relabelings" "metricRelabelings" -}}
{{- if $value -}}{{- $_ := set $endpoint $name $value -}}{{- end -}}
{{- end -}}
- {{ toYaml $endpoint | nindent 2 | trim }}
{{- end -}}
