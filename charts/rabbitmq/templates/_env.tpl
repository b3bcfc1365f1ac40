{{- define "tidings-rabbitmq.nodeEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: RABBITMQ_NODENAME, value: "rabbit@$(POD_NAME).{{ include "tidings-rabbitmq.nodeDomain" . }}"}
- {name: RABBITMQ_USE_LONGNAME, value: "true"}
- {name: RABBITMQ_CONFIG_FILE, value: /etc/tidings-rabbitmq/rabbitmq.conf}
- {name: RABBITMQ_ENABLED_PLUGINS_FILE, value: /etc/tidings-rabbitmq/enabled_plugins}
- {name: RABBITMQ_LOGS, value: "-"}
# RabbitMQ logs to the console. It still writes an upgrade log and crash dumps to files.
- {name: RABBITMQ_LOG_BASE, value: /tmp}
- name: RABBITMQ_DEFAULT_USER
  valueFrom: {secretKeyRef: {name: {{ include "tidings-rabbitmq.secretName" . }}, key: username}}
- name: RABBITMQ_DEFAULT_PASS
  valueFrom: {secretKeyRef: {name: {{ include "tidings-rabbitmq.secretName" . }}, key: password}}
{{- end -}}
