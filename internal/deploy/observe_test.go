package deploy

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
	"salvor/internal/sign"
)

// TestS06NothingIsSealedForAnotherKey: hosts/alpha.pub was replaced by eve's, and
// apply committed all of alpha's seals for it.
func TestS06NothingIsSealedForAnotherKey(t *testing.T) {
	s := &Session{
		Keys:        map[string]string{"alpha": "age1eve", "beta": "age1beta", "delta": "age1delta"},
		HostSigners: map[string]sign.Public{"beta": "ssh-ed25519 beta", "delta": "ssh-ed25519 eve"},
	}
	for host, fatal := range map[string]bool{"alpha": true, "beta": false, "gamma": false, "delta": true} {
		said := agentapi.HostKeys{Recipient: "age1" + host, Signer: sign.Public("ssh-ed25519 " + host)}
		if found := s.otherMachine(host, said); finding.AnyFatal(found) != fatal {
			t.Errorf("%s: %v", host, found)
		}
	}
}

// says has a host say which machine it is.
type says struct {
	*surroundings
	keys string
}

func (s says) Dial(_ context.Context, h fleet.Host) (*hostlink.Link, error) {
	f := machinetest.NewFake()
	f.Handle(func(_ context.Context, p machinetest.Process) int {
		_, _ = io.WriteString(p.Stdout, `{"result":`+s.keys+"}\n")
		return 0
	}, hostpath.Salvord, agentapi.VerbKeys)
	f.Handle(func(context.Context, machinetest.Process) int { return 1 }, hostpath.Salvord, agentapi.VerbApply)
	return &hostlink.Link{Host: h.Name, Machine: f, Carrier: noCarrier{}, Sink: progress.Discard()}, nil
}

// TestS06ARunThatLooksAtNothingAsksWhoTheHostIs: rotate, rollback and restore make no
// plan; they sealed for whatever key Git had.
func TestS06ARunThatLooksAtNothingAsksWhoTheHostIs(t *testing.T) {
	for said, refused := range map[string]bool{
		`{"schema":1,"recipient":"age1beta","signer":"ssh-ed25519 beta"}`:  false,
		`{"schema":1,"recipient":"age1other","signer":"ssh-ed25519 beta"}`: true,
		`{"schema":1,"recipient":"age1beta","signer":"ssh-ed25519 eve"}`:   true,
		`{"schema":1}`: false,
	} {
		f := &surroundings{}
		s := session(f, nil)
		s.Hosts = says{f, said}
		s.Keys, s.HostSigners = map[string]string{"beta": "age1beta"}, map[string]sign.Public{"beta": "ssh-ed25519 beta"}
		_, err := s.Apply(t.Context(), s.OnHost("beta"), s.Lock, Options{Kind: "rotate", Unplanned: true})
		if is := err != nil && strings.Contains(err.Error(), "reports the key"); is != refused || refused && len(f.log) > 0 {
			t.Errorf("%s: %v after %v", said, errors.Unwrap(err), f.log)
		}
	}
}
