{{- define "spanlint.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "spanlint.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "spanlint.labels" -}}
{{ include "spanlint.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "spanlint.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "spanlint.name" .) -}}
{{- end -}}

{{- define "spanlint.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The container, as the gateway runs it and as an application's native sidecar. */}}
{{- define "spanlint.container" -}}
name: spanlint
image: {{ include "spanlint.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/spanlint/spanlint.yaml]
env:
  {{- $host := ternary "127.0.0.1" "0.0.0.0" (eq .Values.mode "sidecar") }}
  - {name: SPANLINT_OTLP_GRPC, value: "{{ $host }}:4317"}
  - {name: SPANLINT_OTLP_HTTP, value: "{{ $host }}:4318"}
  - {name: SPANLINT_ADMIN, value: "0.0.0.0:9777"}
  {{- if eq .Values.mode "gateway" }}
  - {name: SPANLINT_STATE, value: /var/lib/spanlint/state.sqlite}
  {{- end }}
ports:
  {{- if eq .Values.mode "gateway" }}
  - {name: otlp-grpc, containerPort: 4317}
  - {name: otlp-http, containerPort: 4318}
  {{- end }}
  - {name: admin, containerPort: 9777}
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  failureThreshold: 6
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: spanlint-config, mountPath: /etc/spanlint, readOnly: true}
  - {name: spanlint-tmp, mountPath: /tmp}
  {{- if eq .Values.mode "gateway" }}
  - {name: state, mountPath: /var/lib/spanlint}
  {{- end }}
{{- end -}}

{{- define "spanlint.volumes" -}}
- name: spanlint-config
  configMap: {name: {{ include "spanlint.name" . }}}
- name: spanlint-tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}

{{/* What the pods of both modes have in common. */}}
{{- define "spanlint.pod" -}}
metadata:
  labels: {{- include "spanlint.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "spanlint.serviceAccount" . }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 30
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
