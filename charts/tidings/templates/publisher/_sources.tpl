{{/* Sources of the publisher: variables, mounts and volumes of each source in the values. */}}
{{- define "tidings.publisher.sourcesEnv" -}}
{{- $publisher := .Values.publisher -}}
{{- if $publisher.maildir.enabled }}
- {name: TIDINGS_MAILDIR, value: /data/mail}
{{- end }}
{{- with $publisher.postgres.existingSecret }}
- name: TIDINGS_POSTGRES_URL
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $publisher.postgres.urlKey }}}}
{{- end }}
{{- with $publisher.imap.url }}
- {name: TIDINGS_IMAP_URL, value: {{ . | quote }}}
- {name: TIDINGS_IMAP_ACCOUNTS, value: {{ printf "/etc/tidings/imap/%s" $publisher.imap.accountsKey | quote }}}
{{- end }}
{{- if $publisher.journal.existingClaim }}
- {name: TIDINGS_JOURNAL_DIR, value: /data/journal}
{{- end }}
{{- with $publisher.stalwart.existingSecret }}
- name: TIDINGS_STALWART_SECRET
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $publisher.stalwart.secretKey }}}}
{{- end }}
{{- if $publisher.accountMap.existingConfigMap }}
- {name: TIDINGS_ACCOUNT_MAP, value: {{ printf "/etc/tidings/account-map/%s" $publisher.accountMap.key | quote }}}
{{- end }}
{{- end -}}

{{- define "tidings.publisher.sourcesMounts" -}}
{{- $publisher := .Values.publisher -}}
{{- if $publisher.maildir.enabled }}
- {name: mail, mountPath: /data/mail}
{{- end }}
{{- /* Mount whole directories: Kubernetes does not update a single key that is mounted with subPath. */}}
{{- if $publisher.imap.url }}
- {name: imap, mountPath: /etc/tidings/imap, readOnly: true}
{{- end }}
{{- if $publisher.journal.existingClaim }}
- name: journal
  mountPath: /data/journal
  {{- with $publisher.journal.subPath }}
  subPath: {{ . }}
  {{- end }}
{{- end }}
{{- if $publisher.accountMap.existingConfigMap }}
- {name: account-map, mountPath: /etc/tidings/account-map, readOnly: true}
{{- end }}
{{- end -}}

{{- define "tidings.publisher.sourcesVolumes" -}}
{{- $publisher := .Values.publisher -}}
{{- if $publisher.maildir.enabled }}
{{- if $publisher.maildir.existingClaim }}
- name: mail
  persistentVolumeClaim: {claimName: {{ $publisher.maildir.existingClaim }}}
{{- else if not $publisher.persistence.enabled }}
- name: mail
  emptyDir: {}
{{- end }}
{{- end }}
{{- if $publisher.imap.url }}
- name: imap
  secret: {secretName: {{ $publisher.imap.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- with $publisher.journal.existingClaim }}
- name: journal
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- with $publisher.accountMap.existingConfigMap }}
- name: account-map
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}
