package ownership

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/loop"
	"salvor/internal/record"
	"salvor/internal/runlock"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// watched runs the watch until the stack is stopped and known to be lost.
func watched(t *testing.T, g *heretest.Guarded) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	who := New(g.Host, g.Lease.Within)
	defer who.Close(t.Context())
	var loops loop.Set
	loops.Start(ctx, who.Watch())
	defer loops.Wait()
	defer stop()
	for {
		if g.Local(heretest.Notes).Lost && !g.Engine.Running(heretest.Notes) {
			return
		}
		if here.Sleep(t.Context(), time.Millisecond) != nil {
			t.Fatal("it was never stopped")
		}
	}
}

// TestTheWatchStopsWhatIsLost is faults V9, V10 and D2: the stack runs on alpha and
// belongs to another host since, by the record, by Git alone, or because another
// machine has alpha's name. It is stopped, also while a snapshot has its lock.
func TestTheWatchStopsWhatIsLost(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, remote string, alpha *heretest.Guarded){
		"claimed by another": func(t *testing.T, remote string, alpha *heretest.Guarded) {
			heretest.Claim(t, remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
		},
		"placed elsewhere, the claim is missing": func(t *testing.T, _ string, alpha *heretest.Guarded) {
			alpha.Spec.Git = agentapi.Git{URL: "file://" + heretest.PlacesOn(t, "beta", "age1beta", 2), Branch: "main"}
		},
		"placed elsewhere, the record away": func(t *testing.T, _ string, alpha *heretest.Guarded) {
			alpha.Spec.Git = agentapi.Git{URL: "file://" + heretest.PlacesOn(t, "beta", "age1beta", 2), Branch: "main"}
			alpha.Spec.Record.Path = "/dev/null/away"
		},
		"claimed for another machine of its name": func(t *testing.T, remote string, alpha *heretest.Guarded) {
			heretest.Claim(t, remote, record.Claim{Epoch: 2, Host: "alpha", Key: "age1other"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			remote := t.TempDir()
			alpha := heretest.NewGuarded(t, "alpha", remote, "", 1)
			heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.Recipient()})
			alpha.Starts(t)
			v := New(alpha.Host, AskWithin).Verdicts(t.Context(), alpha.Spec)
			if v[heretest.Notes].State != record.Own {
				t.Fatalf("%+v: it is alpha's", v)
			}
			snapshot, err := alpha.Await(t.Context(), "stack-"+heretest.Notes, runlock.Holder{Owner: "test", Message: "a snapshot under way"})
			if err != nil {
				t.Fatal(err)
			}
			lose(t, remote, alpha)
			if err := alpha.SaveSpec(alpha.Spec); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for alpha.Engine.Running(heretest.Notes) {
					if here.Sleep(t.Context(), time.Millisecond) != nil {
						return
					}
				}
				snapshot.Release() // only when it has stopped
			}()
			watched(t, alpha)
			<-done
		})
	}
}

// TestOwnersRunOn is the other half: no other host was named, or nothing answers.
func TestOwnersRunOn(t *testing.T) {
	remote := t.TempDir()
	alpha := heretest.NewGuarded(t, "alpha", remote, "", 1)
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.Recipient()})
	alpha.Starts(t)
	alpha.Spec.Git = agentapi.Git{URL: "file://" + heretest.PlacesOn(t, "alpha", alpha.Recipient(), 1), Branch: "main"}
	who := New(alpha.Host, AskWithin)
	defer who.Close(t.Context())
	for range 3 {
		if err := who.Enforce(t.Context()); err != nil || !alpha.Engine.Running(heretest.Notes) {
			t.Fatalf("stopped: %v", err)
		}
	}
	alpha.Spec.Git, alpha.Spec.Record.Path = agentapi.Git{}, "/dev/null/away"
	if err := alpha.SaveSpec(alpha.Spec); err != nil {
		t.Fatal(err)
	}
	if err := who.Enforce(t.Context()); err != nil || !alpha.Engine.Running(heretest.Notes) {
		t.Errorf("stopped although nobody answers: %v", err)
	}
}

// TestWhatRunsFromBeforeAnotherHostIsStopped: alpha was cut off while beta had the stack, and is
// given it back before it hears of anything. It runs with the data from before, so it stops
// until an apply has brought the newest; a host that was only given the next epoch runs on.
func TestWhatRunsFromBeforeAnotherHostIsStopped(t *testing.T) {
	for epoch, runs := range map[int]bool{2: true, 3: false} {
		remote := t.TempDir()
		alpha := heretest.NewGuarded(t, "alpha", remote, "", 1)
		alpha.Starts(t)
		heretest.Claim(t, remote, record.Claim{Epoch: epoch, Host: "alpha", Key: alpha.Recipient()})
		who := New(alpha.Host, AskWithin)
		defer who.Close(t.Context())
		if err := who.Enforce(t.Context()); err != nil || alpha.Engine.Running(heretest.Notes) != runs {
			t.Errorf("at epoch %d it runs: %v, %v", epoch, !runs, err)
		}
		if local := alpha.Local(heretest.Notes); local.Lost == runs {
			t.Errorf("at epoch %d: %+v", epoch, local)
		}
		alpha.Spec.Stacks[0].Epoch = epoch
		alpha.Starts(t) // as an apply does
		if err := who.Enforce(t.Context()); err != nil || !alpha.Engine.Running(heretest.Notes) {
			t.Errorf("what an apply started at epoch %d was stopped: %v", epoch, err)
		}
	}
}

// TestAHostFollowsTheRecord is fault D6: a host with the settings of before a move of
// the record reads claims at the new place where its seals lead there, and else none.
func TestAHostFollowsTheRecord(t *testing.T) {
	for _, c := range []struct {
		to    fleet.Location
		state record.State
	}{
		{fleet.Location{Remote: "disk", Path: t.TempDir() + "/record"}, record.Lost},
		{fleet.Location{Remote: "another", Path: "record"}, record.Unknown},
	} {
		remote := t.TempDir()
		alpha := heretest.NewGuarded(t, "alpha", remote, "", 1)
		heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.Recipient()})
		alpha.Starts(t)
		who := New(alpha.Host, AskWithin)
		defer who.Close(t.Context())
		if v := who.Verdicts(t.Context(), alpha.Spec); v[heretest.Notes].State != record.Own {
			t.Fatalf("%+v", v)
		}
		if c.to.Remote == "disk" {
			heretest.Claim(t, c.to.Path, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
		}
		mark := fmt.Sprintf(`{"schema":1,"to":{"remote":%q,"path":%q},"at":"2026-01-01T00:00:00Z"}`, c.to.Remote, c.to.Path)
		at := fleet.Location{Remote: "disk", Path: remote}.String() + "/moved.json"
		signed, err := heretest.FleetKey().Enclose(record.MovedKind, at, []byte(mark))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(remote+"/moved.json", signed, 0o600); err != nil {
			t.Fatal(err)
		}
		v := who.Verdicts(t.Context(), alpha.Spec) // its record was open
		if v[heretest.Notes].State != record.Unknown || v[heretest.Notes].MayChange {
			t.Errorf("to %s: by the claims of before: %+v", c.to.Remote, v)
		}
		v = who.Verdicts(t.Context(), alpha.Spec)
		if v[heretest.Notes].State != c.state || v[heretest.Notes].MayChange {
			t.Errorf("to %s: %+v; want %s", c.to.Remote, v, c.state)
		}
	}
}

// TestS06AKeyThatNobodySignedStopsNoStack: a pushed commit puts another key in
// place of alpha's in Git, where alpha reads it: as if another machine had its name.
func TestS06AKeyThatNobodySignedStopsNoStack(t *testing.T) {
	other, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signer sign.Key
		want   record.State
	}{"signed by the fleet": {heretest.FleetKey(), record.Lost}, "by another": {heretest.NewKey(), record.Own}} {
		remote := t.TempDir()
		alpha := heretest.NewGuarded(t, "alpha", remote, "", 1)
		heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.Recipient()})
		alpha.Starts(t)
		alpha.Spec.Git = agentapi.Git{URL: "file://" + heretest.PlacesSigned(t, c.signer, "alpha", other.Recipient, 1), Branch: "main"}
		if v := New(alpha.Host, AskWithin).Verdicts(t.Context(), alpha.Spec); v[heretest.Notes].State != c.want {
			t.Errorf("%s: %+v", name, v[heretest.Notes])
		}
	}
}

// TestAHostRunsOnUnderItsNewName is fault V17 for hosts: while Git has its new name
// already, a host that knows its old one is the machine that Git and claims mean.
func TestAHostRunsOnUnderItsNewName(t *testing.T) {
	remote := t.TempDir()
	alpha := heretest.NewGuarded(t, "alpha", remote, "", 1)
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.Recipient()})
	alpha.Starts(t)
	alpha.Spec.Git = agentapi.Git{URL: "file://" + heretest.PlacesOn(t, "gamma", alpha.Recipient(), 1), Branch: "main"}
	for _, name := range []string{"alpha", "gamma"} {
		alpha.Spec.Name = name
		v := New(alpha.Host, AskWithin).Verdicts(t.Context(), alpha.Spec)
		if got := v[heretest.Notes]; name == "alpha" && (got.State != record.Own || !got.MayChange) || got.State == record.Lost {
			t.Errorf("as %s: %+v", name, got)
		}
	}
}
