{{- define "tidewatch.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- end }}

{{- define "tidewatch.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidewatch.labels" -}}
{{ include "tidewatch.selector" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | quote }}
app.kubernetes.io/part-of: tidewatch
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tidewatch.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "tidewatch.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* A map of sections as TOML. JSON's texts, numbers and lists are TOML's, too; a map within a section is a section. */}}
{{- define "tidewatch.toml" -}}
{{- range $name, $value := . }}{{ if not (kindIs "map" $value) }}
{{ $name }} = {{ toJson $value }}
{{- end }}{{ end }}
{{- range $name, $value := . }}{{ if kindIs "map" $value }}

[{{ $name }}]
{{- range $key, $one := $value }}{{ if not (kindIs "map" $one) }}
{{ toJson $key }} = {{ toJson $one }}
{{- end }}{{ end }}
{{- range $key, $one := $value }}{{ if and (kindIs "map" $one) $one }}

[{{ $name }}.{{ $key }}]
{{- range $inner, $last := $one }}
{{ toJson $inner }} = {{ toJson $last }}
{{- end }}{{ end }}{{ end }}
{{- end }}{{ end }}
{{- end }}

{{- define "tidewatch.common" -}}
{{- $common := dict "packs" .Values.packs
  "storage" (dict "location" .Values.storage.location "options" .Values.storage.options)
  "http" (dict "listen" "0.0.0.0:9890") -}}
{{- toYaml (mustMergeOverwrite $common (deepCopy .Values.settings)) }}
{{- end }}

{{/* Workers: Kafka alone. Nothing lies on their disk, so nothing is pushed to them and no rule runs in them. */}}
{{- define "tidewatch.workerToml" -}}
{{- $role := dict "kafka" (dict "properties" (merge (deepCopy .Values.kafka.properties) (dict "group.id" (include "tidewatch.fullname" .))))
  "push" (dict "enabled" false)
  "alerting" (dict "enabled" false)
  "maintenance" (dict "enabled" false)
  "sql" (dict "spill_folder" "/tmp") -}}
{{- include "tidewatch.toml" (mustMergeOverwrite (fromYaml (include "tidewatch.common" .)) (deepCopy .Values.worker.settings) $role) | trim }}
{{- end }}

{{/* One process answers, takes what is pushed, evaluates rules and maintains tables. */}}
{{- define "tidewatch.queryToml" -}}
{{- $alerting := dict "path" "/var/lib/tidewatch/alerts" "pack_rules" .Values.alerting.packRules
  "alertmanagers" .Values.alerting.alertmanagers "query_offset" .Values.alerting.queryOffset -}}
{{- if .Values.alerting.rules }}{{ $_ := set $alerting "rules" (list "/etc/tidewatch/rules/*") }}{{ end -}}
{{- if .Values.alerting.configSecret.name }}{{ $_ := set $alerting "config" "/etc/tidewatch/routes/alertmanager.yml" }}{{ end -}}
{{- if .Values.alerting.externalUrl }}{{ $_ := set $alerting "external_url" .Values.alerting.externalUrl }}{{ end -}}
{{- $role := dict "alerting" $alerting
  "push" (dict "enabled" true "path" "/var/lib/tidewatch/push")
  "sql" (dict "spill_folder" "/tmp") -}}
{{- if .Values.postgres.enabled }}{{ $_ := set $role "postgres" (dict "listen" "0.0.0.0:5433" "password" .Values.postgres.password) }}{{ end -}}
{{- if .Values.flight.enabled }}{{ $_ := set $role "flight" (dict "listen" "0.0.0.0:9891" "password" .Values.flight.password) }}{{ end -}}
{{- include "tidewatch.toml" (mustMergeOverwrite (fromYaml (include "tidewatch.common" .)) $role (deepCopy .Values.query.settings)) | trim }}
{{- end }}

{{- define "tidewatch.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "tidewatch.env" -}}
{{- with .Values.secrets.env }}
env:
  {{- range . }}
  - name: {{ .name }}
    valueFrom: { secretKeyRef: { name: {{ .secret }}, key: {{ .key }} } }
  {{- end }}
{{- end }}
{{- with .Values.secrets.envFrom }}
envFrom:
  {{- range . }}
  - secretRef: { name: {{ . }} }
  {{- end }}
{{- end }}
{{- end }}

{{- define "tidewatch.probes" -}}
{{- range $kind, $probe := .Values.probes }}
{{ $kind }}Probe:
  httpGet: { path: {{ $probe.path }}, port: http }
  {{- range $key, $value := omit $probe "path" }}
  {{ $key }}: {{ $value }}
  {{- end }}
{{- end }}
{{- end }}
