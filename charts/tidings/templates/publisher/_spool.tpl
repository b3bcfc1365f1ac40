{{/*
Size of the spool. Without a volume, it is 0: accepted changes must survive the pod. With several publishers, it is 0 by default. They share one
Service, so while one publisher holds changes of an account in its spool, others append later changes, and the account's changes lose their order.
*/}}
{{- define "tidings.publisher.spool" -}}
{{- $publisher := .Values.publisher -}}
{{- $alone := le (int $publisher.replicas) 1 -}}
{{- $asked := not (kindIs "invalid" $publisher.settings.spoolBytes) -}}
{{- if not (and $publisher.persistence.enabled (or $alone $asked)) -}}
spoolBytes: 0
{{- end -}}
{{- end -}}
