{{/*
The webmail runs in the publisher's pod. inotify reports only changes made on the same machine, and most volumes can be mounted on one machine
only.
*/}}
{{- define "tidings.webmail.container" -}}
- name: webmail
  image: {{ include "tidings-rabbitmq.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [webmail]
  env:
    {{- include "tidings.opsEnv" . | nindent 4 }}
    - {name: TIDINGS_PORT, value: "8082"}
    - {name: TIDINGS_PROBE_PORT, value: "9291"}
    - {name: TIDINGS_MAILDIR, value: /data/mail}
    {{- include "tidings.authEnv" . | nindent 4 }}
    {{- with include "tidings.settingsEnv" .Values.webmail.settings | trim }}{{ . | nindent 4 }}{{ end }}
  ports:
    - {name: webmail, containerPort: 8082, protocol: TCP}
    - {name: webmail-probe, containerPort: 9291, protocol: TCP}
    {{- if .Values.admin.existingSecret }}
    - {name: webmail-admin, containerPort: 9290, protocol: TCP}
    {{- end }}
  {{- include "tidings.probes" "webmail-probe" | nindent 2 }}
  resources:
    {{- toYaml .Values.webmail.resources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: mail, mountPath: /data/mail}
{{- end -}}
