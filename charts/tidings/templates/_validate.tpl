{{/* Combinations that a schema cannot refuse and that cannot work. Each says which values contradict each other. */}}

{{/* Seconds from leaving the Service to the last client: before SIGTERM, and the gateway's own drain, whose defaults these are. */}}
{{- define "tidings.gateway.drainSeconds" -}}
{{- $settings := .Values.gateway.settings -}}
{{- $delay := ternary 2 $settings.drainDelaySeconds (kindIs "invalid" $settings.drainDelaySeconds) -}}
{{- $drain := ternary 20 $settings.drainSeconds (kindIs "invalid" $settings.drainSeconds) -}}
{{- addf .Values.gateway.preStopSeconds $delay $drain | ceil | int64 -}}
{{- end -}}

{{/* Seconds to the end of the process: 15 to close and stop. */}}
{{- define "tidings.gateway.stopSeconds" -}}
{{- add (include "tidings.gateway.drainSeconds" . | int64) 15 -}}
{{- end -}}

{{- define "tidings.validate" -}}
{{- $gateway := .Values.gateway -}}
{{- $needed := include "tidings.gateway.stopSeconds" . | int -}}
{{- with $gateway.terminationGracePeriodSeconds -}}
{{- if lt (int .) $needed -}}
{{- fail (printf "gateway.terminationGracePeriodSeconds %d is shorter than preStopSeconds, settings.drainDelaySeconds, settings.drainSeconds and 15, which are %d: clients would be cut off all at once" (int .) $needed) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^[0-9]" (include "tidings.fullname" .) -}}
{{- fail (printf "Services would be named %s-..., but their names begin with a letter: set fullnameOverride, and rabbitmq.fullnameOverride with a bundled broker" (include "tidings.fullname" .)) -}}
{{- end -}}
{{- if le (int .Values.publisher.terminationGracePeriodSeconds) (int .Values.publisher.preStopSeconds) -}}
{{- fail "publisher.terminationGracePeriodSeconds must be longer than publisher.preStopSeconds" -}}
{{- end -}}
{{- if and .Values.admin.scrape (not .Values.admin.existingSecret) -}}
{{- fail "admin.scrape needs admin.existingSecret: without a token no scraper reaches the admin pages, which are on the pods' loopback" -}}
{{- end -}}
{{- if and .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- fail "ingress.enabled and httpRoute.enabled are two ways to the same gateway: choose one" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateway that it belongs to" -}}
{{- end -}}
{{- if eq .Values.auth.mode "none" -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- fail "auth.mode none lets everybody name any account: use auth.mode jwt with an Ingress or HTTPRoute" -}}
{{- end -}}
{{- if ne $gateway.service.type "ClusterIP" -}}
{{- fail (printf "auth.mode none lets everybody name any account: use auth.mode jwt with gateway.service.type %s" $gateway.service.type) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tests.tokenSecret (ne .Values.auth.mode "jwt") -}}
{{- fail "tests.tokenSecret is for auth.mode jwt" -}}
{{- end -}}
{{- if .Values.auth.jwksUrl -}}
{{- if ne .Values.auth.mode "jwt" -}}
{{- fail "auth.jwksUrl is for auth.mode jwt" -}}
{{- end -}}
{{- if .Values.auth.existingSecret -}}
{{- fail "auth.jwksUrl and auth.existingSecret: tokens are verified with one or the other" -}}
{{- end -}}
{{- end -}}
{{- if $gateway.autoscaling.enabled -}}
{{- if not (kindIs "invalid" $gateway.replicas) -}}
{{- fail "gateway.autoscaling.enabled decides on the number of pods: leave gateway.replicas empty" -}}
{{- end -}}
{{- if gt (int $gateway.autoscaling.minReplicas) (int $gateway.autoscaling.maxReplicas) -}}
{{- fail "gateway.autoscaling.minReplicas is greater than maxReplicas" -}}
{{- end -}}
{{- if not (or $gateway.autoscaling.connectionsPerPod $gateway.autoscaling.cpuPercent) -}}
{{- fail "gateway.autoscaling.enabled needs connectionsPerPod or cpuPercent" -}}
{{- end -}}
{{- if and $gateway.autoscaling.cpuPercent (not (dig "requests" "cpu" "" $gateway.resources)) -}}
{{- fail "gateway.autoscaling.cpuPercent is a part of gateway.resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{- if not .Values.externalRabbitmq.existingSecret -}}
{{- fail "rabbitmq.mode external needs externalRabbitmq.existingSecret" -}}
{{- end -}}
{{- if and .Values.externalRabbitmq.urlKey (or .Values.externalRabbitmq.tls .Values.externalRabbitmq.caSecret) -}}
{{- fail "externalRabbitmq.urlKey names a whole URL: say amqps:// and ?cafile= there, without tls and caSecret" -}}
{{- end -}}
{{- if and .Values.externalRabbitmq.caSecret (not .Values.externalRabbitmq.tls) -}}
{{- fail "externalRabbitmq.caSecret is for externalRabbitmq.tls" -}}
{{- end -}}
{{- else if .Values.externalRabbitmq.existingSecret -}}
{{- fail "externalRabbitmq.existingSecret is for rabbitmq.mode external" -}}
{{- end -}}
{{- if and .Values.publisher.settings.spoolBytes (not .Values.publisher.persistence.enabled) -}}
{{- fail "publisher.settings.spoolBytes needs publisher.persistence.enabled: what is accepted has to outlive the pod" -}}
{{- end -}}
{{- if and .Values.publisher.maildir.enabled (gt (int .Values.publisher.replicas) 1) -}}
{{- fail "publisher.maildir.enabled needs publisher.replicas 1: only one may watch a Maildir" -}}
{{- end -}}
{{- if and .Values.webmail.enabled (not .Values.publisher.maildir.enabled) -}}
{{- fail "webmail.enabled needs publisher.maildir.enabled, whose volume it shows" -}}
{{- end -}}
{{- end -}}
