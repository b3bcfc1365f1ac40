{{- define "tidings-rabbitmq.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* This name differs from the name of the parent chart, and is short enough for the names of pods and Services. */}}
{{- define "tidings-rabbitmq.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | replace "." "-" | trunc 31 | trimSuffix "-") (include "tidings-rabbitmq.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidings-rabbitmq.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tidings-rabbitmq.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidings-rabbitmq.labels" -}}
{{ include "tidings-rabbitmq.selectorLabels" . }}
app.kubernetes.io/component: log
app.kubernetes.io/part-of: tidings
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* These labels have no version of the chart, so that a new version restarts a node only if the pod changes. */}}
{{- define "tidings-rabbitmq.podLabels" -}}
{{ include "tidings-rabbitmq.selectorLabels" . }}
app.kubernetes.io/component: log
app.kubernetes.io/part-of: tidings
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tidings-rabbitmq.secretName" -}}
{{- default (include "tidings-rabbitmq.fullname" .) .Values.auth.existingSecret -}}
{{- end -}}

{{- define "tidings-rabbitmq.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidings-rabbitmq.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* DNS domain of the nodes. The name of a node is the name of its pod, a dot and this domain. */}}
{{- define "tidings-rabbitmq.nodeDomain" -}}
{{- printf "%s-nodes.%s.svc.%s" (include "tidings-rabbitmq.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{/*
A new random value, in base64. Rendering fails if Helm cannot see a cluster. A Secret may exist there, and volumes, storages and clients use its
value. Helm sees a cluster if the namespace has a ServiceAccount `default`, or, before the namespace exists, if there is a namespace `kube-system`.
Arguments: root context, length, key of the Secret, name of the Secret, the chart's value that names another Secret.
*/}}
{{- define "tidings-rabbitmq.random" -}}
{{- $release := (index . 0).Release -}}
{{- if not (or (lookup "v1" "ServiceAccount" $release.Namespace "default") (lookup "v1" "Namespace" "" "kube-system")) -}}
{{- fail (printf "%s in the Secret %s: Helm cannot see the cluster (helm template, --dry-run=client, Argo CD). The cluster may have this Secret already, and a new random value would lock out everybody who uses the old one. Make a Secret and name it in %s: see \"Make the Secrets\" in docs/operate/gitops.md" (index . 2) (index . 3) (index . 4)) -}}
{{- end -}}
{{- randAlphaNum (index . 1) | b64enc -}}
{{- end -}}

{{/*
Number of nodes of the RabbitMQ that runs already, or 0. The number is the StatefulSet's. If the StatefulSet is gone or scaled down, the number
is that of the volumes that are left. The result is 0 too if Helm cannot see the cluster, as in `helm template`.
*/}}
{{- define "tidings-rabbitmq.nodesThere" -}}
{{- $name := include "tidings-rabbitmq.fullname" . -}}
{{- $nodes := dig "spec" "replicas" 0 (lookup "apps/v1" "StatefulSet" .Release.Namespace $name) | int -}}
{{- if not $nodes -}}
{{- range $node := until 3 -}}
{{- if lookup "v1" "PersistentVolumeClaim" $.Release.Namespace (printf "data-%s-%d" $name $node) -}}
{{- $nodes = add1 $node -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $nodes -}}
{{- end -}}

{{- define "tidings-rabbitmq.validate" -}}
{{- $there := include "tidings-rabbitmq.nodesThere" . | int -}}
{{- if and $there (ne $there (int .Values.replicas)) -}}
{{- fail (printf "rabbitmq.replicas %d: the broker %s has %d node%s. A running broker cannot change its number of nodes without an outage. Leave rabbitmq.replicas at %d. To have %d, start a new broker under another name (rabbitmq.fullnameOverride): see \"Change the number of nodes\" in docs/operate/broker.md" (int .Values.replicas) (include "tidings-rabbitmq.fullname" .) $there (ternary "" "s" (eq $there 1)) $there (int .Values.replicas)) -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.persistence.enabled) -}}
{{- fail "rabbitmq.replicas 3 needs rabbitmq.persistence.enabled: a node that comes back without its data cannot rejoin its cluster" -}}
{{- end -}}
{{- end -}}
