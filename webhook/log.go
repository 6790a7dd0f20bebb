package webhook

// Keys of log lines. A key means the same thing in every line, and in those of
// package review.
const (
	keyAddress   = "address"
	keyError     = "error"
	keyFindings  = "findings"
	keyName      = "name"
	keyNamespace = "namespace"
	keyOmitted   = "omitted"
	keyOps       = "opsAddress"
	keyResource  = "resource"
	keyVersion   = "version"
)
