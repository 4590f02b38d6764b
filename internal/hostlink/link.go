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

	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/progress"
)

// Carrier supplies the salvord program of one version.
type Carrier interface {
	Version() string
	Open(arch string) (io.ReadCloser, error)
}

// ErrNoSalvord means that the host has no salvord of this version and the call
// was not allowed to install one.
var ErrNoSalvord = errors.New("the host has no salvord of this version")

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
	return l.explain(verb, err)
}

func (l *Link) request(req any) ([]byte, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	return json.Marshal(agentapi.Request{Schema: agentapi.Schema, Salvord: l.Carrier.Version(), Body: body})
}

// explain turns the end of a salvord that gave no answer into an error.
func (l *Link) explain(verb string, err error) error {
	var exit *machine.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("%s: salvord %s ended without an answer", l.Host, verb)
	case errors.As(err, &exit) && (exit.Code == 127 || exit.Code == 126):
		return fmt.Errorf("%s: %w", l.Host, ErrNoSalvord)
	default:
		return fmt.Errorf("%s: salvord %s: %w", l.Host, verb, err)
	}
}
