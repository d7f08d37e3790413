{{/* A number, text or boolean as text: Helm reads numbers as floats, and would print 1e+06. */}}
{{- define "movie-service.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* The environment of the service, as a list. */}}
{{- define "movie-service.env" -}}
- name: MOVIE_DATABASE
{{- if eq .Values.store.kind "postgres" }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.store.postgres.secretName }}
      key: {{ .Values.store.postgres.secretKey }}
{{- else if eq .Values.store.kind "sqlite" }}
  value: sqlite:/data/movies.db
{{- else }}
  value: {{ .Values.store.json.path | quote }}
{{- end }}
- name: MOVIE_METRICS
  value: "[::]:9000"
- name: MOVIE_PAUSE
  value: {{ ternary (printf "%ds" (int .Values.shutdown.pauseSeconds)) "0" (gt (int .Values.shutdown.pauseSeconds) 0) | quote }}
- name: MOVIE_GRACE
  value: {{ printf "%ds" (int .Values.shutdown.graceSeconds) | quote }}
{{- if .Values.tls.secretName }}
- name: MOVIE_TLS_CERT
  value: /etc/movie-service/tls/tls.crt
- name: MOVIE_TLS_KEY
  value: /etc/movie-service/tls/tls.key
{{- end }}
{{- if .Values.tls.clientCaSecretName }}
- name: MOVIE_TLS_CLIENT_CA
  value: /etc/movie-service/client-ca/ca.crt
{{- end }}
{{- if .Values.access.tokensSecretName }}
- name: MOVIE_TOKENS
  value: /etc/movie-service/tokens/tokens
{{- end }}
{{- if .Values.access.allowAnonymousWrites }}
- name: MOVIE_ALLOW_ANONYMOUS_WRITES
  value: "true"
{{- end }}
{{- with include "movie-service.webOrigins" . }}
- name: MOVIE_WEB_ORIGIN
  value: {{ . | quote }}
{{- end }}
{{- $variables := dict "gzip" "GZIP" "health" "HEALTH" "http" "HTTP" "keepChanges" "KEEP_CHANGES" "log" "LOG" "logFormat" "LOG_FORMAT" "quiet" "QUIET" "reflection" "REFLECTION" "search" "SEARCH" }}
{{- range $option, $variable := $variables }}
{{- if hasKey $.Values.options $option }}
- name: MOVIE_{{ $variable }}
  value: {{ include "movie-service.text" (index $.Values.options $option) | quote }}
{{- end }}
{{- end }}
{{- with .Values.options.posterOrigins }}
- name: MOVIE_POSTER_ORIGIN
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.options.limits }}
- name: MOVIE_LIMITS
  {{- $limits := list }}
  {{- range $name, $value := . }}
  {{- $limits = append $limits (printf "%s=%s" $name (include "movie-service.text" $value)) }}
  {{- end }}
  value: {{ join "," $limits | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* How a probe asks; takes the root and the gRPC service or page. */}}
{{- define "movie-service.probe" -}}
{{- if eq .root.Values.probes.kind "grpc" -}}
grpc:
  port: 3001
  service: {{ .service }}
{{- else -}}
httpGet:
  path: {{ .page }}
  port: metrics
{{- end -}}
{{- end -}}

{{/* Folders, not single files: the service reads them again when a Secret changes. */}}
{{- define "movie-service.volumeMounts" -}}
{{- if eq .Values.store.kind "sqlite" }}
- name: data
  mountPath: /data
{{- end }}
{{- if .Values.tls.secretName }}
- name: tls
  mountPath: /etc/movie-service/tls
  readOnly: true
{{- end }}
{{- if .Values.tls.clientCaSecretName }}
- name: client-ca
  mountPath: /etc/movie-service/client-ca
  readOnly: true
{{- end }}
{{- if .Values.access.tokensSecretName }}
- name: tokens
  mountPath: /etc/movie-service/tokens
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "movie-service.volumes" -}}
{{- if .Values.tls.secretName }}
- name: tls
  secret:
    secretName: {{ .Values.tls.secretName }}
    defaultMode: 0440
{{- end }}
{{- if .Values.tls.clientCaSecretName }}
- name: client-ca
  secret:
    secretName: {{ .Values.tls.clientCaSecretName }}
    defaultMode: 0440
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- if .Values.access.tokensSecretName }}
- name: tokens
  secret:
    secretName: {{ .Values.access.tokensSecretName }}
    defaultMode: 0440
    items:
      - key: {{ .Values.access.tokensSecretKey }}
        path: tokens
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The template of the pods of both kinds of workload. */}}
{{- define "movie-service.pod" -}}
{{- $alive := dict "root" . "service" "Movie" "page" "/livez" -}}
{{- $stored := dict "root" . "service" "movie.catalog.v1.MovieCatalog" "page" "/readyz" -}}
metadata:
  labels:
    {{- include "movie-service.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "movie-service.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  # More than the service takes for both.
  terminationGracePeriodSeconds: {{ add .Values.shutdown.pauseSeconds .Values.shutdown.graceSeconds 10 }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: movie-service
      image: {{ include "movie-service.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- with .Values.extraArgs }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      env:
        {{- include "movie-service.env" . | nindent 8 }}
      ports:
        - name: grpc
          containerPort: 3001
        - name: metrics
          containerPort: 9000
      # Movies are loaded before the first response.
      startupProbe:
        {{- include "movie-service.probe" $alive | nindent 8 }}
        periodSeconds: 2
        failureThreshold: {{ div (add .Values.probes.startupSeconds 1) 2 }}
      livenessProbe:
        {{- include "movie-service.probe" $alive | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        {{- include "movie-service.probe" (ternary $stored $alive .Values.probes.requireStore) | nindent 8 }}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      {{- with include "movie-service.volumeMounts" . }}
      volumeMounts:
        {{- trim . | nindent 8 }}
      {{- end }}
  {{- with include "movie-service.volumes" . }}
  volumes:
    {{- trim . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml . | nindent 6 | trim }}
      labelSelector:
        matchLabels:
          {{- include "movie-service.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}
