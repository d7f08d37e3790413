{{- define "movie-service.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of a Service: without the dots of a release, and with room for "-headless" in 63 characters. */}}
{{- define "movie-service.fullname" -}}
{{- $name := include "movie-service.name" . -}}
{{- $default := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $fullname := default $default .Values.fullnameOverride | replace "." "-" | trunc 54 | trimAll "-" -}}
{{- if not (regexMatch "^[a-z]" $fullname) -}}
{{- fail (printf "a Service cannot have the name %s, which does not begin with a letter: set fullnameOverride" $fullname) -}}
{{- end -}}
{{- $fullname -}}
{{- end -}}

{{- define "movie-service.selector" -}}
app.kubernetes.io/name: {{ include "movie-service.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "movie-service.testSelector" -}}
app.kubernetes.io/name: {{ include "movie-service.name" . | trunc 58 }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "movie-service.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "movie-service.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "movie-service.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "movie-service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "movie-service.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Whether `helm test` has a pod: it checks health, and has no client certificate. */}}
{{- define "movie-service.hasTest" -}}
{{- if and (not .Values.tls.clientCaSecretName) (ne (toString .Values.options.health) "false") -}}yes{{- end -}}
{{- end -}}

{{/* Origins of pages that may call: those of the options, and the hosts of the Ingress, of which one with * is no origin. */}}
{{- define "movie-service.webOrigins" -}}
{{- $origins := .Values.options.webOrigins | default list -}}
{{- if .Values.ingress.enabled -}}
{{- $scheme := ternary "https" "http" (ne .Values.ingress.tlsSecretName "") -}}
{{- range .Values.ingress.hosts -}}
{{- if not (hasPrefix "*" .) -}}
{{- $origins = append $origins (printf "%s://%s" $scheme .) -}}
{{- else if not $.Values.options.webOrigins -}}
{{- fail (printf "ingress.hosts has %s, which stands for any number of origins: list those whose pages may call in options.webOrigins" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $origins | uniq | join "," -}}
{{- end -}}
