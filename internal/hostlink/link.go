// Package hostlink is salvor's side of the protocol with salvord: it starts `salvord
// VERB` on a machine, sends the request, passes events on and returns the result. It
// installs or replaces salvord where needed.
package hostlink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/version"
)

// Carrier supplies the salvord program of one version.
type Carrier interface {
	Version() string
	Open(arch string) (io.ReadCloser, error)
}

// ErrNoSalvord means that the host has no salvord, or one of an older protocol, and the
// call was not allowed to install one.
var ErrNoSalvord = errors.New("the host has no salvord that this salvor can use")

// A ProtocolError is a host whose salvord speaks another protocol. It wraps ErrNoSalvord
// where Install replaces that salvord, and ErrNewer where it does not.
type ProtocolError struct {
	Host, There, Own string // the host, its salvord's version and this salvor's
	is               error
}

// Error says which versions do not fit.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("%s runs salvord %s, whose protocol is not that of this salvor, %s: %v", e.Host, e.There, e.Own, e.is)
}

// Unwrap returns ErrNoSalvord or ErrNewer.
func (e *ProtocolError) Unwrap() error { return e.is }

// otherProtocol is the error of a host whose salvord, of the version there, does not
// understand the request.
func (l *Link) otherProtocol(there string) error {
	e := &ProtocolError{Host: l.Host, There: there, Own: l.Carrier.Version(), is: ErrNewer}
	if version.Replaces(e.Own, there) {
		e.is = ErrNoSalvord
		return fault.WithHint(e, installHint)
	}
	return fault.WithHint(e, upgradeHint(there))
}

const installHint = "salvor apply installs it"

// upgradeHint is for an operator whose salvor is too old for a host.
func upgradeHint(there string) string {
	return "install salvor " + there + " or a newer one on this computer (docs/upgrade.md)"
}

// A Link talks to one host. It is safe for concurrent use once Ensure returned.
type Link struct {
	Host    string
	Machine machine.Machine
	Carrier Carrier
	Sink    progress.Sink
}

// Reporting returns the same link, whose host reports to another sink.
func (l *Link) Reporting(sink progress.Sink) *Link {
	own := *l
	own.Sink = sink
	return &own
}

// Call runs one verb with req as its body and decodes the result into resp. An
// *agentapi.Error is what salvord says went wrong; ErrNoSalvord means that
// Ensure must come first. The answer is held to the question: what does not fit is
// dropped from resp, and is a finding in it (finding.AnswerRefused) where it has
// some. req is a value and resp a pointer of agentapi.
func (l *Link) Call(ctx context.Context, verb string, req, resp any) error {
	input, err := l.request(req)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	answer := &reader{link: l, end: end}
	_, err = l.Machine.Run(ctx, machine.Cmd{Argv: []string{hostpath.Salvord, verb}, Stdin: bytes.NewReader(input), Stdout: answer})
	if done, verdict := answer.outcome(verb, req, resp); done {
		return verdict
	}
	if answer.total == 0 && l.replaced(ctx, err) {
		return fault.WithHint(fmt.Errorf("%s: what is at %s is another program: %w", l.Host, hostpath.Salvord, ErrNoSalvord), installHint)
	}
	return l.explain(verb, err)
}

// replaced reports whether a program that ended and said nothing is something else in salvord's place: it does not know
// its version.
func (l *Link) replaced(ctx context.Context, ended error) bool {
	exit, exited := errors.AsType[*machine.ExitError](ended)
	if ended != nil && !exited || exited && notRun(exit) {
		return false
	}
	out, err := l.Machine.Run(ctx, machine.Command(hostpath.Salvord, "version"))
	if err != nil {
		_, exited := errors.AsType[*machine.ExitError](err)
		return exited
	}
	return !version.Is(strings.TrimSpace(string(out.Stdout)))
}

func (l *Link) request(req any) ([]byte, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	return json.Marshal(agentapi.Request{Schema: agentapi.Schema, Salvord: l.Carrier.Version(), Body: body})
}

// notRun reports whether a shell could not start the program: it is not there, or can't be run.
func notRun(exit *machine.ExitError) bool { return exit.Code == 127 || exit.Code == 126 }

// explain turns the end of a salvord that gave no answer into an error.
func (l *Link) explain(verb string, err error) error {
	var exit *machine.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("%s: salvord %s ended without an answer", l.Host, verb)
	case errors.As(err, &exit) && notRun(exit):
		return fault.WithHint(fmt.Errorf("%s: %w", l.Host, ErrNoSalvord), installHint)
	case errors.As(err, &exit) && exit.Code == fault.Usage && strings.Contains(string(exit.Stderr), "unknown verb"):
		return fault.WithHint(fmt.Errorf("%s: its salvord is older than this salvor and does not know %q", l.Host, verb), "salvor apply updates it")
	default:
		return fmt.Errorf("%s: salvord %s: %w", l.Host, verb, err)
	}
}
