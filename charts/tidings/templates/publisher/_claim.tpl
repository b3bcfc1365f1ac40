{{/* Arguments: root context, name, size. */}}
{{- define "tidings.publisher.claim" -}}
{{- $root := index . 0 -}}
{{- $persistence := $root.Values.publisher.persistence -}}
- metadata:
    name: {{ index . 1 }}
    labels:
      {{- include "tidings.selectorLabels" (list $root "publisher") | nindent 6 }}
    {{- with $persistence.annotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with $persistence.storageClass }}
    storageClassName: {{ if eq . "-" }}""{{ else }}{{ . }}{{ end }}
    {{- end }}
    resources:
      requests: {storage: {{ index . 2 }}}
{{- end -}}
