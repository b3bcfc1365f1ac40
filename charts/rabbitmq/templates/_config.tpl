{{/* The node's configuration files, by file name. */}}
{{- define "tidings-rabbitmq.config" -}}
enabled_plugins: |
  [{{ prepend .Values.plugins "rabbitmq_prometheus" | uniq | join "," }}].
rabbitmq.conf: |
  listeners.tcp.default = 5672
  prometheus.tcp.port = 15692
  log.console = true
  vm_memory_high_watermark.relative = {{ .Values.memoryHighWatermark }}
  disk_free_limit.absolute = {{ .Values.diskFreeLimit }}
  {{- if gt (int .Values.replicas) 1 }}
  # The nodes of a StatefulSet have fixed names, so nodes do not need the Kubernetes API to find each other. A node
  # that lost its volume joins the other nodes and does not start a second cluster.
  cluster_formation.peer_discovery_backend = classic_config
  {{- range $i := until (int .Values.replicas) }}
  cluster_formation.classic_config.nodes.{{ add1 $i }} = rabbit@{{ include "tidings-rabbitmq.fullname" $ }}-{{ $i }}.{{ include "tidings-rabbitmq.nodeDomain" $ }}
  {{- end }}
  cluster_formation.target_cluster_size_hint = {{ .Values.replicas }}
  cluster_partition_handling = pause_minority
  queue_leader_locator = balanced
  {{- end }}
  {{- with .Values.extraConfig }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}
