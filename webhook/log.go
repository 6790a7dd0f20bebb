package webhook

// Keys of log lines. A key means the same thing in every line.
const (
	keyAddress    = "address"
	keyCert       = "certificate"
	keyDecision   = "decision"
	keyDetail     = "detail"
	keyDryRun     = "dryRun"
	keyError      = "error"
	keyExpires    = "expires"
	keyFindings   = "findings"
	keyInterfaces = "interfaces"
	keyMode       = "mode"
	keyName       = "name"
	keyNamespace  = "namespace"
	keyOps        = "opsAddress"
	keyPod        = "pod"
	keyReason     = "reason"
	keyResource   = "resource"
	keyStatus     = "status"
	keyUID        = "uid"
	keyVersion    = "version"
	keyWarnings   = "warnings"
)
