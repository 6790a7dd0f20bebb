package webhook

// Keys of log lines. A key means the same thing in every line.
const (
	keyAddress    = "address"
	keyDecision   = "decision"
	keyDetail     = "detail"
	keyDryRun     = "dryRun"
	keyError      = "error"
	keyFindings   = "findings"
	keyInterfaces = "interfaces"
	keyMode       = "mode"
	keyName       = "name"
	keyNamespace  = "namespace"
	keyOmitted    = "omitted"
	keyOps        = "opsAddress"
	keyPod        = "pod"
	keyReason     = "reason"
	keyResource   = "resource"
	keyStatus     = "status"
	keyUID        = "uid"
	keyVersion    = "version"
	keyWarnings   = "warnings"
)
