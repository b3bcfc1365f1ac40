{{/* The JMAP server that the gateway pushes for: variables, mount and volume of the server's CA, and the paths that the gateway serves. */}}
{{- define "tidings.gateway.upstreamEnv" -}}
{{- with .Values.gateway.jmapUpstream -}}
{{- if .url }}
- {name: TIDINGS_JMAP_UPSTREAM, value: {{ .url | quote }}}
- {name: TIDINGS_JMAP_PROXY_REQUESTS, value: {{ .proxyRequests | quote }}}
{{- end }}
{{- if .caSecret }}
- {name: SSL_CERT_FILE, value: /etc/tidings/upstream-ca/ca.crt}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "tidings.gateway.upstreamMounts" -}}
{{- if .Values.gateway.jmapUpstream.caSecret }}
- {name: upstream-ca, mountPath: /etc/tidings/upstream-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "tidings.gateway.upstreamVolumes" -}}
{{- with .Values.gateway.jmapUpstream.caSecret }}
- name: upstream-ca
  secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end -}}

{{/* Path prefixes, as JSON. The JMAP server may serve its API, uploads and downloads below /jmap too. */}}
{{- define "tidings.gateway.paths" -}}
{{- $push := list "/jmap/changes" "/jmap/eventsource" "/jmap/ws" -}}
{{- append (ternary $push (list "/jmap") (not (empty .Values.gateway.jmapUpstream.url))) "/.well-known/jmap" | toJson -}}
{{- end -}}
