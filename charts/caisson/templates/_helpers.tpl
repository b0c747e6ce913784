{{- define "caisson.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (default .Chart.Name .Values.nameOverride) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "caisson.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "caisson.labels" -}}
{{ include "caisson.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "caisson.serviceAccount" -}}
{{- default (include "caisson.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "caisson.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- /* The operator's configuration: the values, with the name of the Lease derived from the release. */ -}}
{{- define "caisson.config" -}}
{{- $lease := dict "leaderElection" (dict "leaseName" (include "caisson.fullname" .)) -}}
{{- toYaml (mergeOverwrite $lease (deepCopy .Values.config)) -}}
{{- end -}}

{{- define "caisson.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- /* The operator's rules in the namespaces for Sandboxes. */ -}}
{{- define "caisson.sandboxRules" -}}
- apiGroups: [caisson.dev]
  resources: [sandboxes, sandboxpools]
  verbs: [list, watch]
- apiGroups: [caisson.dev]
  resources: [sandboxes/status, sandboxpools/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods/exec]
  verbs: [get, create]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, update, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, update, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end -}}

{{- define "caisson.operatorUser" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "caisson.serviceAccount" .) -}}
{{- end -}}

{{- /* Namespaces that are never guarded, because the policies would reject the cluster's own pods. */ -}}
{{- define "caisson.systemNamespaces" -}}
{{- list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace | uniq | toJson -}}
{{- end -}}

{{- define "caisson.toolboxImages" -}}
{{- $images := list -}}
{{- range .Values.config.toolboxes }}{{ $images = append $images .image }}{{ end -}}
{{- $images | toJson -}}
{{- end -}}

{{- define "caisson.usesTripwire" -}}
{{- if eq (dig "isolation" "Tripwire" .Values.config) "Tripwire" }}true{{ end -}}
{{- end -}}

{{- /* The matchConstraints of a policy that select the namespaces for sandboxes. */ -}}
{{- define "caisson.guardedNamespaces" -}}
{{- if eq .Values.admissionPolicies.guard "AllNamespaces" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ include "caisson.systemNamespaces" . }}
{{- else -}}
matchLabels:
  caisson.dev/sandboxes: "true"
{{- end -}}
{{- end -}}

{{- /* CEL: whether the request comes from a controller of the cluster, such as the garbage collector or the volume binder. */ -}}
{{- define "caisson.byTheCluster" -}}
('system:serviceaccounts:kube-system' in request.userInfo.?groups.orValue([]) || request.userInfo.username in ['system:kube-controller-manager', 'system:kube-scheduler'])
{{- end -}}

{{- /* CEL: whether a name matches the administrator's pattern for objects of this kind. Without a pattern, no name matches. */ -}}
{{- define "caisson.nameMatches" -}}
{{- $pattern := dig "sandboxes" .pattern "" .config -}}
{{- if $pattern }}{{ .name }}.matches({{ printf "^(?:%s)$" $pattern | toJson }}){{ else }}false{{ end -}}
{{- end -}}

{{- /* The namespace of the Sandbox of `helm test`, and of the first Sandbox in the notes. */ -}}
{{- define "caisson.testNamespace" -}}
{{- .Values.test.namespace | default (first .Values.config.namespaces) | default "default" -}}
{{- end -}}

{{- /* Other labels than the operator's, so that its Deployment and policies do not select the pod. */ -}}
{{- define "caisson.testLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}-helm-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "caisson.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
