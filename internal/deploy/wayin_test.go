package deploy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
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
		"shut":             {&deploytest.World{WayIn: changed, Shut: map[string]error{"alpha": machine.ErrUnreachable}}, fleet.Areas{fleet.AreaSSH}, []string{"alpha changes its way in", "alpha takes back its way in X: host unreachable", "alpha applies"}, deploy.ErrLockedOut, false},
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
