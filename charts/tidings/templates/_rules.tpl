{{/*
The alerts, changed as the values say, as YAML. Disabled alerts are left out, and each alert links to its runbook. A threshold from the values
replaces the word THRESHOLD in files/conditions.yaml. files/rules.yaml has the default thresholds, for use without this chart.
*/}}
{{- define "tidings.rules" -}}
{{- $values := .Values.metrics.prometheusRule -}}
{{- $conditions := .Files.Get "files/conditions.yaml" | fromYaml -}}
{{- $groups := list -}}
{{- range $group := (.Files.Get "files/rules.yaml" | fromYaml).groups -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- $given := get $values.alerts $rule.alert | default dict -}}
{{- if hasKey $given "threshold" -}}
{{- $_ := set $rule "expr" (get $conditions $rule.alert | replace "THRESHOLD" (toString $given.threshold)) -}}
{{- end -}}
{{- $_ := set $rule "for" (default (get $rule "for") (get $given "for")) -}}
{{- $_ := set $rule "labels" (merge (dict) (default dict $given.labels) $values.alertLabels $rule.labels) -}}
{{- $_ := set $rule.annotations "runbook_url" ($values.runbookUrl | replace "{alert}" $rule.alert) -}}
{{- if dig "enabled" true $given -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $groups = append $groups (dict "name" $group.name "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "groups" $groups) -}}
{{- end -}}
