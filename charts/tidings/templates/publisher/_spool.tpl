{{/*
No spool without a volume, since what is accepted has to outlive the pod. And none unasked where there are several publishers behind
one Service: one that drains its spool later overtakes nobody, but others have overtaken it, and an account's changes lose their order.
*/}}
{{- define "tidings.publisher.spool" -}}
{{- $publisher := .Values.publisher -}}
{{- $alone := le (int $publisher.replicas) 1 -}}
{{- $asked := not (kindIs "invalid" $publisher.settings.spoolBytes) -}}
{{- if not (and $publisher.persistence.enabled (or $alone $asked)) -}}
spoolBytes: 0
{{- end -}}
{{- end -}}
