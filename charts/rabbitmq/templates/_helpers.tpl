{{- define "tidings-rabbitmq.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Never the name of the chart that this one is part of, and short enough for the names of pods and Services. */}}
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

{{/* Without versions of the chart: a node is restarted when something in it changes. */}}
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

{{/* The domain of the nodes' names, after the pod's. */}}
{{- define "tidings-rabbitmq.nodeDomain" -}}
{{- printf "%s-nodes.%s.svc.%s" (include "tidings-rabbitmq.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{/*
A new random value, in base64. Where Helm sees no cluster it cannot tell whether there is a value already, and nothing is made: volumes, storages
and clients know the old one. Every namespace has an account `default`, and where the namespace is not there yet, kube-system is.
Arguments: root context, length, key of the Secret, its name, the value of the chart that names another Secret.
*/}}
{{- define "tidings-rabbitmq.random" -}}
{{- $release := (index . 0).Release -}}
{{- if not (or (lookup "v1" "ServiceAccount" $release.Namespace "default") (lookup "v1" "Namespace" "" "kube-system")) -}}
{{- fail (printf "%s in the Secret %s: no cluster is seen from here (helm template, --dry-run=client, Argo CD), so the one that may be there is not known, and another would shut out whoever has it. Make a Secret and name it in %s: see \"Make the Secrets\" in docs/operate/gitops.md" (index . 2) (index . 3) (index . 4)) -}}
{{- end -}}
{{- randAlphaNum (index . 1) | b64enc -}}
{{- end -}}

{{/*
How many nodes the cluster has that is there already, 0 for none, as far as Kubernetes tells: those of the StatefulSet, or, where that is
gone or scaled down, those whose volumes are left. Without a cluster to look at, as in `helm template`, nobody can know.
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
{{- fail (printf "rabbitmq.replicas %d: the broker %s has %d node%s, and to change their number is an outage. Leave rabbitmq.replicas at %d. The way round is a new broker of %d under another name (rabbitmq.fullnameOverride): see \"Change the number of nodes\" in docs/operate/broker.md" (int .Values.replicas) (include "tidings-rabbitmq.fullname" .) $there (ternary "" "s" (eq $there 1)) $there (int .Values.replicas)) -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.persistence.enabled) -}}
{{- fail "rabbitmq.replicas 3 needs rabbitmq.persistence.enabled: a node that comes back without its data cannot rejoin its cluster" -}}
{{- end -}}
{{- end -}}
