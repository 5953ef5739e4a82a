{{- define "evidence.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "evidence.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The web application's pods are none of the collector's: neither policy is about the other's. */ -}}
{{- define "evidence.serveSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-serve
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "evidence.labels" -}}
{{ include "evidence.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "evidence.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* The cluster role is the cluster's: two releases, in two namespaces, have two. */ -}}
{{- define "evidence.clusterName" -}}
{{ .Release.Namespace }}-{{ include "evidence.name" . }}
{{- end }}

{{- /* What the CronJob's pods and the Deployment's have in common. Called with "root", "component", "arguments" and "restartPolicy". */ -}}
{{- define "evidence.podTemplate" -}}
metadata:
  labels:
    {{- include "evidence.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  annotations:
    checksum/segmentation: {{ .root.Values.segmentation | sha256sum }}
spec:
  serviceAccountName: {{ include "evidence.name" .root }}
  automountServiceAccountToken: true
  restartPolicy: {{ .restartPolicy }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: collect
      image: {{ include "evidence.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        - collect
        - --in-cluster
        {{- range .arguments }}
        - {{ . }}
        {{- end }}
        - {{ printf "--cluster=%s" .root.Values.clusterName | quote }}
        - --intent=/etc/evidence/segmentation.yaml
        {{- if eq .root.Values.store.type "volume" }}
        - --db=/data/evidence.db
        {{- else }}
        - --spool=/data/spool
        {{- end }}
        {{- range .root.Values.extraArguments }}
        - {{ . | quote }}
        {{- end }}
      {{- if eq .root.Values.store.type "postgres" }}
      env:
        - name: EVIDENCE_DATABASE_URL
          valueFrom:
            secretKeyRef:
              name: {{ .root.Values.store.postgres.secretName }}
              key: {{ .root.Values.store.postgres.secretKey }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources: {{ toYaml .root.Values.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
        - {name: segmentation, mountPath: /etc/evidence, readOnly: true}
  volumes:
    - name: data
      {{- if eq .root.Values.store.type "volume" }}
      persistentVolumeClaim:
        claimName: {{ .root.Values.store.volume.existingClaim | default (include "evidence.name" .root) }}
      {{- else if .root.Values.store.postgres.spool.volume }}
      persistentVolumeClaim:
        claimName: {{ .root.Values.store.postgres.spool.existingClaim | default (printf "%s-spool" (include "evidence.name" .root)) }}
      {{- else }}
      emptyDir: {sizeLimit: 1Gi}
      {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 1Gi}
    - name: segmentation
      configMap:
        name: {{ include "evidence.name" .root }}
{{- end }}
