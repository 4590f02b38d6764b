package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"google.golang.org/api/googleapi"

	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/secret"
)

// ErrUnreachable is wrapped by errors that mean: the remote did not answer, so
// nothing is known about what it holds.
var ErrUnreachable = fault.Kind("remote unreachable", fault.Unreachable)

// ErrCorrupt is wrapped by errors that mean: what the remote holds after an
// upload is not what was sent. It has been removed again.
var ErrCorrupt = errors.New("the stored content is not what was sent")

// leastSecret is the length below which an option's value is too common a word to
// be blotted out of messages.
const leastSecret = 4

// failure is an error of this package. It answers errors.Is for its causes but
// does not hand them out, because their text may hold option values.
type failure struct {
	text   string
	causes []error
	denied *Denied
}

// Denied is the part of an error that says which remote refuses its login; errors.As
// finds it.
type Denied struct{ Remote string }

// Fix is what renews the login, everywhere.
func (d *Denied) Fix() string { return "salvor remote renew " + d.Remote + ", then salvor apply" }

// Error names the remote.
func (d *Denied) Error() string { return "the remote " + d.Remote + " refuses the login" }

// Error says the operation, `remote:path` and what went wrong, without option
// values.
func (f *failure) Error() string { return f.text }

// Is reports whether one of the causes is target.
func (f *failure) Is(target error) bool {
	for _, cause := range f.causes {
		if errors.Is(cause, target) {
			return true
		}
	}
	return false
}

// As finds a Denied, and nothing else of the causes.
func (f *failure) As(target any) bool {
	if to, is := target.(**Denied); is && f.denied != nil {
		*to = f.denied
		return true
	}
	return false
}

// ExitCode implements fault.Coder by the causes.
func (f *failure) ExitCode() int {
	for _, cause := range f.causes {
		if code, ok := fault.Code(cause); ok {
			return code
		}
	}
	return 0
}

func (f *Folder) fail(op, path string, err error) error {
	if err == nil {
		return nil
	}
	causes := []error{err}
	reason := redact(err.Error(), f.secrets)
	var denied *Denied
	switch {
	case f.granted && grantEnded.MatchString(reason):
		causes, reason, denied = append(causes, ErrGrant, ErrLogin), ErrGrant.Error(), &Denied{f.base}
	case isNotFound(err):
		causes, reason = append(causes, blob.ErrNotExist), blob.ErrNotExist.Error()
	case unreachable(err) && !errors.Is(err, ErrUnreachable):
		causes, reason = append(causes, ErrUnreachable), ErrUnreachable.Error()+": "+reason
	}
	return &failure{text: fmt.Sprintf("%s %s:%s: %s", op, f.remote, path, reason), causes: causes, denied: denied}
}

// grantEnded is how Google says that a grant has ended: of a refresh token, and of an
// access token that is not expired.
var grantEnded = regexp.MustCompile(`\binvalid_grant\b|Error 401: Invalid Credentials, authError`)

// isNotFound reports whether an error says that there is nothing of that name.
func isNotFound(err error) bool {
	for _, target := range []error{fs.ErrorObjectNotFound, fs.ErrorDirNotFound, fs.ErrorNotAFile, fs.ErrorIsDir, iofs.ErrNotExist} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// gone reports whether an error says that what was to be removed is not there. Of
// Drive's objects, which have ids, only Google's own error says so.
func gone(err error) bool {
	var answer *googleapi.Error
	return isNotFound(err) || errors.As(err, &answer) && answer.Code == http.StatusNotFound
}

func unreachable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrCorrupt) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || fserrors.ShouldRetry(err)
}

// redact replaces secret words in text, also as they are in URLs and, for values that
// are JSON (tokens, service accounts), the strings inside.
func redact(text string, words []secret.Value) string {
	for _, word := range words {
		for _, plain := range parts(string(word.Reveal())) {
			if len(plain) < leastSecret {
				continue
			}
			for _, form := range []string{plain, url.QueryEscape(plain), url.PathEscape(plain), url.UserPassword("", plain).String()[1:]} {
				text = strings.ReplaceAll(text, form, secret.Value{}.String())
			}
		}
	}
	return text
}

func parts(value string) []string {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &fields) != nil {
		return []string{value}
	}
	var found []string
	for _, raw := range fields {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			found = append(found, s)
		}
	}
	return found
}
