package deploy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
)

// TestTheWayInIsConfirmedOverANewConnection: otherwise it is taken back, and stacks are applied anyway.
func TestTheWayInIsConfirmedOverANewConnection(t *testing.T) {
	t.Parallel()
	changed := map[string]agentapi.WayInChanged{"alpha": {ID: "X", Within: time.Minute, Changed: []agentapi.Change{{ID: "sshd settings", Action: "+", Cause: "is not there"}}}}
	for name, c := range map[string]struct {
		world  *deploytest.World
		areas  fleet.Areas
		log    []string
		failed error
		shown  bool
	}{
		"not Salvor's":     {&deploytest.World{WayIn: changed}, fleet.Areas{fleet.AreaDocker}, []string{"alpha applies"}, nil, false},
		"nothing to do":    {&deploytest.World{}, fleet.Areas{fleet.AreaSSH}, []string{"alpha changes its way in", "alpha applies"}, nil, false},
		"confirmed":        {&deploytest.World{WayIn: changed}, fleet.Areas{fleet.AreaFirewall}, []string{"alpha changes its way in", "alpha keeps its way in X", "alpha applies"}, nil, true},
		"shut":             {&deploytest.World{WayIn: changed, Shut: map[string]error{"alpha": machine.ErrHostKey}}, fleet.Areas{fleet.AreaSSH}, []string{"alpha changes its way in", "alpha takes back its way in X: host key not trusted", "alpha applies"}, deploy.ErrLockedOut, false},
		"it can't undo it": {&deploytest.World{WayIn: changed, Shut: map[string]error{"alpha": machine.ErrDenied}, Refuse: map[string]error{agentapi.VerbWayInUndo: errors.New("no room")}}, fleet.Areas{fleet.AreaSSH}, []string{"alpha changes its way in", "alpha applies"}, deploy.ErrLockedOut, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := c.world
			w.Alive, w.Owners = map[string]bool{"alpha": true}, map[string]deploy.Owner{}
			s := w.Session(&fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha", Manage: c.areas}}}, fleet.Lock{Schema: fleet.Schema})
			r, err := s.Apply(t.Context(), s.OnHost("alpha"), s.Lock, deploy.Options{Kind: deploy.KindApply, Unplanned: true})
			if !errors.Is(err, c.failed) {
				t.Errorf("ends with %v, want %v", err, c.failed)
			}
			var log []string
			for _, line := range w.Log() {
				if strings.HasPrefix(line, "alpha ") {
					log = append(log, line)
				}
			}
			if diff := cmp.Diff(c.log, log); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if shown := len(r.Hosts) == 1 && len(r.Hosts[0].Changed) == 1; shown != c.shown {
				t.Errorf("receipt %+v", r.Hosts)
			}
			if c.failed != nil && !strings.Contains(fault.Hint(err), "ssh.from") {
				t.Errorf("hint %q", fault.Hint(err))
			}
		})
	}
}

// TestAnSSHDThatReadsItsFilesAgain takes no connection for a moment: that is not a lock-out. One that takes none for long is.
func TestAnSSHDThatReadsItsFilesAgain(t *testing.T) {
	t.Parallel()
	for refusals, want := range map[int]error{3: nil, 1000: deploy.ErrLockedOut} {
		synctest.Test(t, func(t *testing.T) {
			w := &deploytest.World{Alive: map[string]bool{"alpha": true}, WayIn: map[string]agentapi.WayInChanged{"alpha": {ID: "X"}}}
			s := w.Session(&fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha", Manage: fleet.Areas{fleet.AreaSSH}}}}, fleet.Lock{Schema: fleet.Schema})
			s.Fresh = func(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
				if refusals--; refusals >= 0 {
					return nil, machine.ErrUnreachable
				}
				return w.Dial(ctx, h)
			}
			began := time.Now()
			_, err := s.Apply(t.Context(), s.OnHost("alpha"), s.Lock, deploy.Options{Kind: deploy.KindApply, Unplanned: true})
			if !errors.Is(err, want) || time.Since(began) > 10*time.Second {
				t.Errorf("ends with %v after %s, want %v", err, time.Since(began), want)
			}
		})
	}
}
