{{/*
Names do not depend on the release: one installation serves a cluster, and the
configurations' name must sort before "pod-identity-webhook".
*/}}

{{/* ipmgr.selector (root, component) are the labels that never change. */}}
{{- define "ipmgr.selector" -}}
app.kubernetes.io/name: multus-ipmgr
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* ipmgr.labels (root, component) */}}
{{- define "ipmgr.labels" -}}
{{ include "ipmgr.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* ipmgr.image (root, image) is the reference to an image. */}}
{{- define "ipmgr.image" -}}
{{- $i := get .root.Values.images .image -}}
{{- with .root.Values.images.registry }}{{ . }}/{{ end -}}
{{ $i.repository }}:{{ $i.tag | default .root.Chart.AppVersion }}{{ with $i.digest }}@{{ . }}{{ end -}}
{{- end }}

{{/* ipmgr.secret is the Secret of the serving certificate. */}}
{{- define "ipmgr.secret" -}}
{{ .Values.certificate.secretName | default "multus-ipmgr-webhook" }}
{{- end }}

{{/*
ipmgr.ownSecret is the Secret of the certificates that the webhook creates itself.
It differs from cert-manager's, because the mode may be changed.
*/}}
{{- define "ipmgr.ownSecret" -}}
multus-ipmgr-webhook-certificates
{{- end }}

{{/* ipmgr.seconds converts a duration such as 90m into seconds. */}}
{{- define "ipmgr.seconds" -}}
{{- $unit := regexFind "[smh]$" . -}}
{{ mul (trimSuffix $unit . | int) (get (dict "s" 1 "m" 60 "h" 3600) $unit) }}
{{- end }}

{{/* ipmgr.injectCA makes cert-manager fill in the CA. */}}
{{- define "ipmgr.injectCA" -}}
{{- if eq .Values.certificate.mode "certManager" -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/multus-ipmgr-webhook
{{- end }}
{{- end }}

{{/* ipmgr.client (root, path) is the client configuration of a webhook. */}}
{{- define "ipmgr.client" -}}
service: {namespace: {{ .root.Release.Namespace }}, name: multus-ipmgr-webhook, path: {{ .path }}, port: 443}
{{- if eq .root.Values.certificate.mode "secret" }}
caBundle: {{ .root.Values.certificate.caBundle | b64enc }}
{{- end }}
{{- end }}

{{/* ipmgr.scheduling (root, component) places the pods of a component. */}}
{{- define "ipmgr.scheduling" -}}
{{- $v := get .root.Values .component -}}
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $v.topologySpread }}
topologySpreadConstraints:
{{- $context := . }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  # Pods of the revision that is being replaced do not count.
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels: {{- include "ipmgr.selector" $context | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* ipmgr.container is the common part of both programs' containers. */}}
{{- define "ipmgr.container" -}}
{{- $v := get .root.Values .component -}}
image: {{ include "ipmgr.image" (dict "root" .root "image" .component) }}
{{- with .root.Values.images.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
livenessProbe:
  httpGet: {path: /healthz, port: ops}
resources: {{- toYaml $v.resources | nindent 2 }}
securityContext:
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}

{{/* ipmgr.podMetadata (root, component) */}}
{{- define "ipmgr.podMetadata" -}}
{{- $v := get .root.Values .component -}}
labels:
  {{- include "ipmgr.labels" . | nindent 2 }}
  {{- with $v.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $v.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* ipmgr.pdb (root, component) */}}
{{- define "ipmgr.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: multus-ipmgr-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "ipmgr.labels" . | nindent 4 }}
spec:
  minAvailable: 1
  # An unready pod protects nothing and must not block the drain of a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "ipmgr.selector" . | nindent 6 }}
{{- end }}

{{/* ipmgr.resourceList writes "cpu=10m,memory=16Mi". */}}
{{- define "ipmgr.resourceList" -}}
{{- $items := list }}
{{- range $name, $value := . }}{{ if $value }}{{ $items = append $items (printf "%s=%v" $name $value) }}{{ end }}{{ end -}}
{{ join "," $items }}
{{- end }}

{{/* ipmgr.protected lists the namespaces that are never touched. */}}
{{- define "ipmgr.protected" -}}
{{ concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson }}
{{- end }}
