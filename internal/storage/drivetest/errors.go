package drivetest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// A Refusal is an answer of Drive that is an error.
type Refusal struct {
	Code    int
	Reason  string
	Message string

	domain       string // "global" if empty
	location     string // which parameter or header is wrong
	locationType string
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Code, r.Reason, r.Message) }

// refusalItem is how Drive writes the reason of an error.
type refusalItem struct {
	Domain       string `json:"domain"`
	Reason       string `json:"reason"`
	Message      string `json:"message"`
	LocationType string `json:"locationType,omitempty"`
	Location     string `json:"location,omitempty"`
}

type refusalBody struct {
	Error struct {
		Errors  []refusalItem `json:"errors"`
		Code    int           `json:"code"`
		Message string        `json:"message"`
	} `json:"error"`
}

func (r *Refusal) write(w http.ResponseWriter) {
	domain := r.domain
	if domain == "" {
		domain = "global"
	}
	var body refusalBody
	body.Error.Code, body.Error.Message = r.Code, r.Message
	body.Error.Errors = []refusalItem{{domain, r.Reason, r.Message, r.locationType, r.location}}
	writeJSON(w, r.Code, body)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types of this package are made to be marshalled
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	_, _ = w.Write(raw) // a client that left needs nothing
}

// The refusals of load and limits, as Drive words them.
var (
	ErrUserRateLimit  = &Refusal{Code: 403, Reason: "userRateLimitExceeded", Message: "User Rate Limit Exceeded", domain: "usageLimits"}
	ErrRateLimit      = &Refusal{Code: 403, Reason: "rateLimitExceeded", Message: "Rate Limit Exceeded", domain: "usageLimits"}
	ErrTooMany        = &Refusal{Code: 429, Reason: "rateLimitExceeded", Message: "Too many requests", domain: "usageLimits"}
	ErrBackend        = &Refusal{Code: 500, Reason: "backendError", Message: "Internal Error"}
	ErrBadGateway     = &Refusal{Code: 502, Reason: "badGateway", Message: "Bad Gateway"}
	ErrUnavailable    = &Refusal{Code: 503, Reason: "backendError", Message: "Transient failure"}
	ErrGatewayTimeout = &Refusal{Code: 504, Reason: "gatewayTimeout", Message: "Gateway Timeout"}
	ErrStorageFull    = &Refusal{Code: 403, Reason: "storageQuotaExceeded", Message: "The user's Drive storage quota has been exceeded.", domain: "usageLimits"}
	ErrDailyUpload    = &Refusal{Code: 403, Reason: "userRateLimitExceeded", Message: "User rate limit exceeded.", domain: "usageLimits"} // rclone tells it by the full stop
)

// The other refusals.
var (
	errUnauthorized = &Refusal{Code: 401, Reason: "authError", Message: "Invalid Credentials", locationType: "header", location: "Authorization"}
	errNoLogin      = &Refusal{Code: 401, Reason: "required", Message: "Login Required.", locationType: "header", location: "Authorization"}
	errScope        = &Refusal{Code: 403, Reason: "insufficientPermissions", Message: "Insufficient Permission: Request had insufficient authentication scopes."}
	errPermission   = &Refusal{Code: 403, Reason: "insufficientFilePermissions", Message: "The user does not have sufficient permissions for this file."}
	errParent       = &Refusal{Code: 403, Reason: "insufficientParentPermissions", Message: "Insufficient permissions for the specified parent."}
	errParents      = &Refusal{Code: 403, Reason: "cannotAddParent", Message: "Increasing the number of parents is not allowed"}
	errOneParent    = &Refusal{Code: 403, Reason: "teamDrivesParentLimit", Message: "A shared drive item must have exactly one parent."}
	errNotFolder    = &Refusal{Code: 403, Reason: "parentNotAFolder", Message: "The specified parent is not a folder."}
	errParentsBody  = &Refusal{Code: 403, Reason: "fieldNotWritable", Message: "The parents field is not directly writable in update requests. Use the addParents and removeParents parameters instead."}
	errFolderMove   = &Refusal{Code: 403, Reason: "teamDrivesFolderMoveInNotSupported", Message: "Moving folders into shared drives is not supported."}
	errDriveItems   = &Refusal{Code: 403, Reason: "teamDriveFileLimitExceeded", Message: "The file limit for this shared drive has been exceeded."}
	errServiceQuota = &Refusal{Code: 403, Reason: "storageQuotaExceeded", domain: "usageLimits", Message: "Service Accounts do not have storage quota. Leverage shared drives (https://developers.google.com/workspace/drive/api/guides/about-shareddrives), or use OAuth delegation (http://support.google.com/a/answer/7281227) instead."}
	errNoContent    = &Refusal{Code: 403, Reason: "fileNotDownloadable", Message: "Only files with binary content can be downloaded. Use Export with Docs Editors files.", locationType: "parameter", location: "alt"}
	errRange        = &Refusal{Code: 416, Reason: "requestedRangeNotSatisfiable", Message: "Request range not satisfiable", locationType: "header", location: "Range"}
	errCycle        = &Refusal{Code: 400, Reason: "badRequest", Message: "The specified parent would create a cycle in the directory graph."}
	errParse        = &Refusal{Code: 400, Reason: "parseError", Message: "Parse Error"}
	errDriveCorpora = &Refusal{Code: 403, Reason: "teamDriveIdRequiresTeamDriveCorpora", Message: "The driveId parameter must be specified if and only if corpora is set to drive."}
	errAllDrives    = &Refusal{Code: 403, Reason: "includeTeamDriveItemsRequired", Message: "The includeItemsFromAllDrives parameter must be set to true when driveId is specified or corpora contains drive or allDrives."}
	errSupports     = &Refusal{Code: 403, Reason: "teamDrivesSupportRequired", Message: "The supportsAllDrives parameter must be set to true when includeItemsFromAllDrives is set to true."}
)

func notFound(id string) *Refusal {
	return &Refusal{Code: 404, Reason: "notFound", Message: "File not found: " + id + ".", locationType: "parameter", location: "fileId"}
}

func driveNotFound(id string) *Refusal {
	return &Refusal{Code: 404, Reason: "notFound", Message: "Shared drive not found: " + id, locationType: "parameter", location: "driveId"}
}

// invalid refuses the value of a parameter.
func invalid(parameter string) *Refusal {
	return &Refusal{Code: 400, Reason: "invalid", Message: "Invalid Value", locationType: "parameter", location: parameter}
}

// unknown answers what the real API may know and this one does not.
func unknown(what string) *Refusal {
	return &Refusal{Code: 501, Reason: "notEmulated", Message: "drivetest does not know " + what}
}
