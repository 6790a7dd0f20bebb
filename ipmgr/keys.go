package ipmgr

// Keys of log lines. A key means the same thing in every line.
const (
	keyAddress        = "address"
	keyAddresses      = "addresses"
	keyAssignedNow    = "assignedNow"
	keyCode           = "code"
	keyENI            = "eni"
	keyError          = "error"
	keyEvent          = "event"
	keyExcluded       = "excluded"
	keyFormerENI      = "formerENI"
	keyFormerInstance = "formerInstance"
	keyInterface      = "interface"
	keyLosses         = "losses"
	keyNextClaim      = "nextClaim"
	keyNextTry        = "nextTry"
	keyOwner          = "owner"
	keyOwnerInstance  = "ownerInstance"
	keyPhase          = "phase"
	keyRequired       = "required"
	keyTook           = "took"
	keyUnless         = "unless"
)
