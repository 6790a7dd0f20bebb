package review

// Keys of log lines. A key means the same thing in every line.
const (
	keyDecision   = "decision"
	keyDetail     = "detail"
	keyDryRun     = "dryRun"
	keyError      = "error"
	keyFindings   = "findings"
	keyInterfaces = "interfaces"
	keyMode       = "mode"
	keyName       = "name"
	keyNamespace  = "namespace"
	keyPod        = "pod"
	keyReason     = "reason"
	keyStatus     = "status"
	keyUID        = "uid"
	keyWarnings   = "warnings"
)
