{{/* Checks of combinations that cannot work and that the schema does not catch. Each message names the values that contradict each other. */}}

{{/* Seconds until a stopping pod has sent its last client elsewhere: the pause before SIGTERM and the gateway's drain, with the gateway's defaults. */}}
{{- define "tidings.gateway.drainSeconds" -}}
{{- $settings := .Values.gateway.settings -}}
{{- $delay := ternary 2 $settings.drainDelaySeconds (kindIs "invalid" $settings.drainDelaySeconds) -}}
{{- $drain := ternary 20 $settings.drainSeconds (kindIs "invalid" $settings.drainSeconds) -}}
{{- addf .Values.gateway.preStopSeconds $delay $drain | ceil | int64 -}}
{{- end -}}

{{/* Seconds until the process has ended: the drain, and 15 s to close and stop. */}}
{{- define "tidings.gateway.stopSeconds" -}}
{{- add (include "tidings.gateway.drainSeconds" . | int64) 15 -}}
{{- end -}}

{{/*
Refuses a secret that can be guessed, or that ends with a newline. Files and `echo` add a newline, and a client whose secret has no newline would
be refused. Arguments: the variable for the secret, the place of the secret, its value.
*/}}
{{- define "tidings.validateSecret" -}}
{{- $variable := index . 0 -}}
{{- $place := index . 1 -}}
{{- $value := index . 2 -}}
{{- if hasSuffix "\n" $value -}}
{{- fail (printf "%s ends with a newline: write it without one (printf %%s, echo -n)" $place) -}}
{{- end -}}
{{- $least := ternary 32 16 (eq $variable "TIDINGS_JWT_SECRET") -}}
{{- range ternary (splitList "," $value) (list $value) (eq $variable "TIDINGS_INGEST_TOKENS") -}}
{{- if lt (len (trim .)) $least -}}
{{- fail (printf "%s: %d bytes can be guessed, use at least %d (openssl rand -hex 32)" $place (len (trim .)) $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Checks the secrets in the values, and in the cluster's Secrets if Helm can see the cluster. */}}
{{- define "tidings.validateSecrets" -}}
{{- $own := include "tidings.fullname" . -}}
{{- $kept := list (list "TIDINGS_INGEST_TOKENS" (default $own .Values.ingest.existingSecret) .Values.ingest.tokensKey) -}}
{{- if and (eq .Values.auth.mode "jwt") (not .Values.auth.jwksUrl) -}}
{{- $kept = append $kept (list "TIDINGS_JWT_SECRET" (default $own .Values.auth.existingSecret) .Values.auth.jwtSecretKey) -}}
{{- end -}}
{{- if .Values.admin.existingSecret -}}
{{- $kept = append $kept (list "TIDINGS_ADMIN_TOKEN" .Values.admin.existingSecret .Values.admin.tokenKey) -}}
{{- end -}}
{{- range $each := $kept -}}
{{- with get ((lookup "v1" "Secret" $.Release.Namespace (index $each 1)).data | default dict) (index $each 2) -}}
{{- include "tidings.validateSecret" (list (index $each 0) (printf "%s in the Secret %s" (index $each 2) (index $each 1)) (b64dec .)) -}}
{{- end -}}
{{- end -}}
{{- range $each := concat .Values.gateway.extraEnv .Values.publisher.extraEnv -}}
{{- if and (has $each.name (list "TIDINGS_ADMIN_TOKEN" "TIDINGS_INGEST_TOKENS" "TIDINGS_JWT_SECRET")) $each.value -}}
{{- include "tidings.validateSecret" (list $each.name (printf "%s in extraEnv" $each.name) $each.value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tidings.validate" -}}
{{- include "tidings.validateSecrets" . -}}
{{- $gateway := .Values.gateway -}}
{{- $needed := include "tidings.gateway.stopSeconds" . | int -}}
{{- with $gateway.terminationGracePeriodSeconds -}}
{{- if lt (int .) $needed -}}
{{- fail (printf "gateway.terminationGracePeriodSeconds %d is too short: the sum of preStopSeconds, settings.drainDelaySeconds, settings.drainSeconds and 15 is %d. A shorter time cuts all clients off at once" (int .) $needed) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^[0-9]" (include "tidings.fullname" .) -}}
{{- fail (printf "Services would be named %s-..., but names of Services must begin with a letter: set fullnameOverride, and with a bundled broker also rabbitmq.fullnameOverride" (include "tidings.fullname" .)) -}}
{{- end -}}
{{- if le (int .Values.publisher.terminationGracePeriodSeconds) (int .Values.publisher.preStopSeconds) -}}
{{- fail "publisher.terminationGracePeriodSeconds must be longer than publisher.preStopSeconds" -}}
{{- end -}}
{{- if and .Values.admin.scrape (not .Values.admin.existingSecret) -}}
{{- fail "admin.scrape needs admin.existingSecret: without a token, the admin pages are on the pods' loopback, and a scraper cannot reach them" -}}
{{- end -}}
{{- include "tidings.validateRoutes" (list "" .Values.ingress .Values.httpRoute) -}}
{{- include "tidings.validateRoutes" (list "publisher." .Values.publisher.ingress .Values.publisher.httpRoute) -}}
{{- if eq .Values.auth.mode "none" -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled -}}
{{- fail "auth.mode none lets everybody read every account: use auth.mode jwt with an Ingress or HTTPRoute" -}}
{{- end -}}
{{- if ne $gateway.service.type "ClusterIP" -}}
{{- fail (printf "auth.mode none lets everybody read every account: use auth.mode jwt with gateway.service.type %s" $gateway.service.type) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tests.tokenSecret (ne .Values.auth.mode "jwt") -}}
{{- fail "tests.tokenSecret needs auth.mode jwt" -}}
{{- end -}}
{{- if .Values.auth.jwksUrl -}}
{{- if ne .Values.auth.mode "jwt" -}}
{{- fail "auth.jwksUrl needs auth.mode jwt" -}}
{{- end -}}
{{- if .Values.auth.existingSecret -}}
{{- fail "auth.jwksUrl and auth.existingSecret exclude each other: the gateway verifies tokens with one of them" -}}
{{- end -}}
{{- end -}}
{{- if gt (int $gateway.groups) 1 -}}
{{- if gt (int $gateway.groups) (include "tidings.shards" . | int) -}}
{{- fail (printf "gateway.groups %d is greater than shards %d: each group needs a shard to read" (int $gateway.groups) (include "tidings.shards" . | int)) -}}
{{- end -}}
{{- if not $gateway.settings.publicUrl -}}
{{- fail "gateway.groups needs gateway.settings.publicUrl: the JMAP session tells clients the URL of their group, which is below it" -}}
{{- end -}}
{{- end -}}
{{- $upstream := $gateway.jmapUpstream -}}
{{- if $upstream.url -}}
{{- if or (ne .Values.auth.mode "jwt") .Values.auth.jwksUrl -}}
{{- fail "gateway.jmapUpstream.url needs auth.mode jwt without auth.jwksUrl: the gateway makes the tokens in push URLs with the JWT secret" -}}
{{- end -}}
{{- if and $upstream.caSecret (not (hasPrefix "https:" $upstream.url)) -}}
{{- fail "gateway.jmapUpstream.caSecret needs an https URL in gateway.jmapUpstream.url" -}}
{{- end -}}
{{- else if or $upstream.proxyRequests $upstream.caSecret -}}
{{- fail "gateway.jmapUpstream.proxyRequests and caSecret need gateway.jmapUpstream.url" -}}
{{- end -}}
{{- if $gateway.autoscaling.external -}}
{{- if $gateway.autoscaling.enabled -}}
{{- fail "gateway.autoscaling.enabled and gateway.autoscaling.external: two autoscalers of one Deployment fight. Choose one" -}}
{{- end -}}
{{- if not (kindIs "invalid" $gateway.replicas) -}}
{{- fail "gateway.autoscaling.external leaves the number of pods to others: leave gateway.replicas empty" -}}
{{- end -}}
{{- end -}}
{{- if $gateway.autoscaling.enabled -}}
{{- if not (kindIs "invalid" $gateway.replicas) -}}
{{- fail "gateway.autoscaling.enabled sets the number of pods: leave gateway.replicas empty" -}}
{{- end -}}
{{- if gt (int $gateway.autoscaling.minReplicas) (int $gateway.autoscaling.maxReplicas) -}}
{{- fail "gateway.autoscaling.minReplicas is greater than maxReplicas" -}}
{{- end -}}
{{- if not (or $gateway.autoscaling.connectionsPerPod $gateway.autoscaling.cpuPercent) -}}
{{- fail "gateway.autoscaling.enabled needs connectionsPerPod or cpuPercent" -}}
{{- end -}}
{{- if and $gateway.autoscaling.cpuPercent (not (dig "requests" "cpu" "" $gateway.resources)) -}}
{{- fail "gateway.autoscaling.cpuPercent is a percentage of gateway.resources.requests.cpu: set that too" -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.rabbitmq.mode "external" -}}
{{- if not .Values.externalRabbitmq.existingSecret -}}
{{- fail "rabbitmq.mode external needs externalRabbitmq.existingSecret" -}}
{{- end -}}
{{- if and .Values.externalRabbitmq.urlKey (or .Values.externalRabbitmq.tls .Values.externalRabbitmq.caSecret) -}}
{{- fail "externalRabbitmq.urlKey names a whole URL: leave tls and caSecret empty, and use amqps:// and ?cafile= in the URL" -}}
{{- end -}}
{{- if and .Values.externalRabbitmq.caSecret (not .Values.externalRabbitmq.tls) -}}
{{- fail "externalRabbitmq.caSecret needs externalRabbitmq.tls" -}}
{{- end -}}
{{- else if .Values.externalRabbitmq.existingSecret -}}
{{- fail "externalRabbitmq.existingSecret needs rabbitmq.mode external" -}}
{{- end -}}
{{- if and .Values.publisher.settings.spoolBytes (not .Values.publisher.persistence.enabled) -}}
{{- fail "publisher.settings.spoolBytes needs publisher.persistence.enabled: the spool must survive the pod" -}}
{{- end -}}
{{- if and .Values.publisher.maildir.enabled (gt (int .Values.publisher.replicas) 1) -}}
{{- fail "publisher.maildir.enabled needs publisher.replicas 1: only one publisher may watch a Maildir" -}}
{{- end -}}
{{- $imap := .Values.publisher.imap -}}
{{- if ne (empty $imap.url) (empty $imap.existingSecret) -}}
{{- fail "publisher.imap.url and publisher.imap.existingSecret need each other: set the server and the accounts to listen to" -}}
{{- end -}}
{{- if and $imap.url (gt (int .Values.publisher.replicas) 1) -}}
{{- fail "publisher.imap.url needs publisher.replicas 1: a second publisher would announce every change twice" -}}
{{- end -}}
{{- if and .Values.publisher.journal.existingClaim (gt (int .Values.publisher.replicas) 1) -}}
{{- fail "publisher.journal.existingClaim needs publisher.replicas 1: only one publisher may read a journal" -}}
{{- end -}}
{{- if and .Values.webmail.enabled (not .Values.publisher.maildir.enabled) -}}
{{- fail "webmail.enabled needs publisher.maildir.enabled: the webmail shows the mail on that volume" -}}
{{- end -}}
{{- end -}}
