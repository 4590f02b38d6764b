package cloudflare

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/terminal"
)

// What can go wrong; the errors of a Client wrap one of them where it is known.
var (
	// ErrAway means that the API does not answer, or not now. A request that changes
	// something may have had its effect.
	ErrAway = fault.Kind("Cloudflare's API does not answer", fault.Unreachable)
	// ErrToken means that the token is unknown, expired or disabled.
	ErrToken = errors.New("the token was refused by Cloudflare")
	// ErrDenied means that the token lacks the permission that the error names.
	ErrDenied = errors.New("the token lacks a permission")
	// ErrGone means that what was asked for does not exist.
	ErrGone = errors.New("it does not exist")
	// ErrThere means that it exists already, or that something else is in its place.
	ErrThere = errors.New("it exists already")
	// ErrRefused means that the API takes the request as it is at no time.
	ErrRefused = errors.New("refused by Cloudflare")
)

// Codes of Cloudflare's errors. Source: the API's answers, and the lists below
// developers.cloudflare.com/api and /dns/manage-dns-records/troubleshooting.
const (
	codeBadToken      = 1000  // of tokens/verify
	codeUnauthorized  = 9109  // "Invalid access token", or not for this resource
	codeAuthenticate  = 10000 // "Authentication error": also a missing permission
	codeRecordHost    = 81053 // A, AAAA or CNAME with that host exists
	codeRecordThere   = 81057
	codeRecordTwin    = 81058 // identical
	codeRecordGone    = 81044
	codeNoRoute       = 7003
	codeTunnelThere   = 1013
	codeAppThere      = 11010
	codeInvalidAccess = 12130 // Access: the request is not valid
)

// An Error is an answer of the API that is not a success. It has the request's method and
// path, never its content.
type Error struct {
	Method string
	Path   string
	Status int
	Codes  []int  // of the errors, as far as the answer has them
	Said   string // the messages, fit for a terminal

	kind error
}

// Error returns one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %s", e.Method, e.Path, e.kind)
	if e.Said != "" {
		return text + ": " + e.Said
	}
	return fmt.Sprintf("%s: status %d", text, e.Status)
}

// Unwrap returns what kind of error it is.
func (e *Error) Unwrap() error { return e.kind }

// A problem is one entry of an answer's errors.
type problem struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// refusal is the error of an answer. permission is what the request needs.
func (c *Client) refusal(method, path string, status int, problems []problem, permission Permission) error {
	e := &Error{Method: method, Path: path, Status: status}
	var said []string
	for _, p := range problems {
		e.Codes = append(e.Codes, p.Code)
		text := strings.ReplaceAll(p.Message, string(c.token.Reveal()), "[token]")
		said = append(said, fmt.Sprintf("%d %.200s", p.Code, terminal.Line(text)))
	}
	e.Said = strings.Join(said[:min(len(said), 3)], "; ")
	e.kind = e.sort(said)
	if errors.Is(e.kind, ErrDenied) {
		e.kind = fmt.Errorf("%w: %s", ErrDenied, permission)
	}
	return e
}

func (e *Error) sort(said []string) error {
	has := func(codes ...int) bool {
		return slices.ContainsFunc(e.Codes, func(code int) bool { return slices.Contains(codes, code) })
	}
	badToken := slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "Invalid access token") })
	switch {
	case e.Status == http.StatusTooManyRequests || e.Status >= 500:
		return ErrAway
	case e.Status == http.StatusUnauthorized || badToken || has(codeBadToken):
		return ErrToken
	case e.Status == http.StatusForbidden || has(codeUnauthorized, codeAuthenticate):
		return ErrDenied
	case has(codeRecordHost, codeRecordThere, codeRecordTwin, codeTunnelThere, codeAppThere) || e.Status == http.StatusConflict:
		return ErrThere
	case e.Status == http.StatusNotFound || has(codeRecordGone, codeNoRoute):
		return ErrGone
	}
	return ErrRefused
}
