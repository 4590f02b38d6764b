package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/loop"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/runlock"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/stack"
	"salvor/internal/storage"
)

// dockerd is a Docker engine that has one container of each stack that runs.
type dockerd struct {
	mu   sync.Mutex
	runs map[string]bool
}

func (e *dockerd) set(stack string, runs bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[stack] = runs
}

func (e *dockerd) running(stack string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs[stack]
}

// serve answers one connection's requests for the list of containers.
func (e *dockerd) serve(c net.Conn) {
	defer c.Close()
	for in := bufio.NewReader(c); ; {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		e.mu.Lock()
		list := []map[string]any{}
		for name, runs := range e.runs {
			if runs {
				list = append(list, map[string]any{"Id": name, "State": "running", "Labels": map[string]string{"com.docker.compose.project": name, "com.docker.compose.service": "app"}})
			}
		}
		e.mu.Unlock()
		body, err := json.Marshal(list)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// guardedHost is a host with the stack notes running at an epoch; its record is a
// folder, and Git is a repository on this disk.
type guardedHost struct {
	*Host
	engine *dockerd
	spec   agentapi.Host
}

const guarded = "notes"

// newGuarded makes a host whose look at Git and record takes no time.
func newGuarded(t *testing.T, name, remote, git string, epoch int) *guardedHost {
	t.Helper()
	dir, e, m := t.TempDir(), &dockerd{runs: map[string]bool{}}, machinetest.NewFake()
	m.Serve("unix", "/var/run/docker.sock", e.serve)
	for _, harmless := range []string{"rm", "mkdir", "docker"} {
		m.Say(0, "", harmless)
	}
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		for _, id := range p.Argv[4:] {
			e.set(id, false)
		}
		return 0
	}, "docker", "stop")
	h := &Host{
		Machine: m, Stacks: stack.New(m), Journal: journal.Journal{Dir: dir + "/state/journal"},
		Paths: hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"},
		Lease: agentapi.Lease{Every: time.Millisecond, Within: 10 * time.Second, Grace: time.Second, Git: time.Hour},
	}
	if _, err := h.Enrol(t.Context(), agentapi.Enrol{Fleet: "home", Signers: sign.Keys{fleetKey().Public()}}, nil); err != nil {
		t.Fatal(err)
	}
	g := &guardedHost{Host: h, engine: e, spec: agentapi.Host{Schema: agentapi.Schema, Fleet: "home", Name: name, Record: fleet.Location{Remote: "disk", Path: remote}}}
	if git != "" {
		g.spec.Git = agentapi.Git{URL: "file://" + git, Branch: "main"}
	}
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}}
	g.spec.Stacks = []agentapi.Stack{{Name: guarded, Epoch: epoch}}
	sealFor(t, h, &g.spec.Stacks[0], name, file)
	if err := h.base().saveSpec(g.spec); err != nil {
		t.Fatal(err)
	}
	return g
}

// starts has the stack run here at its epoch.
func (g *guardedHost) starts(t *testing.T) {
	t.Helper()
	if err := g.base().saveLocal(guarded, Local{Epoch: g.spec.Stacks[0].Epoch}); err != nil {
		t.Fatal(err)
	}
	g.engine.set(guarded, true)
}

// fleetKey is the key of the fleet in these tests.
var fleetKey = sync.OnceValue(newSigningKey)

func newSigningKey() sign.Key {
	private, err := sign.NewKey("test")
	if err != nil {
		panic(err)
	}
	k, err := sign.ParseKey(private)
	if err != nil {
		panic(err)
	}
	return k
}

// fleetTrust is what an operator's clone trusts.
func fleetTrust() record.Trust {
	return record.Trust{
		Keys: func(context.Context) (sign.Keys, error) { return sign.Keys{fleetKey().Public()}, nil },
		Key:  func(context.Context) (sign.Key, error) { return fleetKey(), nil },
	}
}

// claims appends a claim to the record, as an operator does.
func claims(t *testing.T, remote string, c record.Claim) {
	t.Helper()
	claimsFor(t, guarded, remote, c)
}

func claimsFor(t *testing.T, stack, remote string, c record.Claim) {
	t.Helper()
	folder, err := storage.Open(t.Context(), storage.Remotes{"disk": {Type: "local"}}, fleet.Location{Remote: "disk", Path: remote})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close(t.Context())
	away := func(string) (bool, bool) { return false, false }
	if r, err := record.New(folder).Trusting(fleetTrust()).Claim(t.Context(), stack, c, away); err != nil || r.Owner != c.Host {
		t.Fatal(r, err)
	}
}

// placesOn is a repository that places the stack, and has a host's key, signed by the
// fleet's.
func placesOn(t *testing.T, host, key string, epoch int) string {
	t.Helper()
	return placesSigned(t, fleetKey(), host, key, epoch)
}

func placesSigned(t *testing.T, signer sign.Key, host, key string, epoch int) string {
	t.Helper()
	dir := t.TempDir()
	lock, err := json.Marshal(fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{guarded: {Host: host, Epoch: epoch}}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "salvor.lock"), string(lock))
	file := hostkey.Path(host)
	signature, err := hostkey.Sign(file, []byte(key+"\n"), signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "hosts"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, file), key+"\n")
	write(t, filepath.Join(dir, hostkey.SignaturePath(file)), string(signature))
	for _, argv := range [][]string{
		{"git", "init", "-q", "-b", "main"}, {"git", "add", "."},
		{"git", "-c", "user.name=ann", "-c", "user.email=ann@example.net", "commit", "-q", "-m", "placed"},
	} {
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
	}
	return dir
}

// watched runs the watch until the stack is stopped and known to be lost.
func (g *guardedHost) watched(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	who := newGuard(g.base(), g.Lease.Within)
	defer who.Close(t.Context())
	var loops loop.Set
	loops.Start(ctx, who.Watch())
	defer loops.Wait()
	defer stop()
	for {
		if g.base().local(guarded).Lost && !g.engine.running(guarded) {
			return
		}
		if pause(t.Context(), time.Millisecond) != nil {
			t.Fatal("it was never stopped")
		}
	}
}

// TestTheWatchStopsWhatIsLost is faults V9, V10 and D2: the stack runs on alpha and
// belongs to another host since, by the record, by Git alone, or because another
// machine has alpha's name. It is stopped, also while a snapshot has its lock.
func TestTheWatchStopsWhatIsLost(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, remote string, alpha *guardedHost){
		"claimed by another": func(t *testing.T, remote string, alpha *guardedHost) {
			claims(t, remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
		},
		"placed elsewhere, the claim is missing": func(t *testing.T, _ string, alpha *guardedHost) {
			alpha.spec.Git = agentapi.Git{URL: "file://" + placesOn(t, "beta", "age1beta", 2), Branch: "main"}
		},
		"placed elsewhere, the record away": func(t *testing.T, _ string, alpha *guardedHost) {
			alpha.spec.Git = agentapi.Git{URL: "file://" + placesOn(t, "beta", "age1beta", 2), Branch: "main"}
			alpha.spec.Record.Path = "/dev/null/away"
		},
		"claimed for another machine of its name": func(t *testing.T, remote string, alpha *guardedHost) {
			claims(t, remote, record.Claim{Epoch: 2, Host: "alpha", Key: "age1other"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			remote := t.TempDir()
			alpha := newGuarded(t, "alpha", remote, "", 1)
			claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().key()})
			alpha.starts(t)
			v := newGuard(alpha.base(), askWithin).Verdicts(t.Context(), alpha.spec)
			if v[guarded].State != record.Own {
				t.Fatalf("%+v: it is alpha's", v)
			}
			snapshot, err := alpha.base().await(t.Context(), "stack-"+guarded, runlock.Holder{Owner: "test", Message: "a snapshot under way"})
			if err != nil {
				t.Fatal(err)
			}
			lose(t, remote, alpha)
			if err := alpha.base().saveSpec(alpha.spec); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for alpha.engine.running(guarded) {
					if pause(t.Context(), time.Millisecond) != nil {
						return
					}
				}
				snapshot.Release() // only when it has stopped
			}()
			alpha.watched(t)
			<-done
		})
	}
}

// TestOwnersRunOn is the other half: no other host was named, or nothing answers.
func TestOwnersRunOn(t *testing.T) {
	remote := t.TempDir()
	alpha := newGuarded(t, "alpha", remote, "", 1)
	claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().key()})
	alpha.starts(t)
	alpha.spec.Git = agentapi.Git{URL: "file://" + placesOn(t, "alpha", alpha.base().key(), 1), Branch: "main"}
	who := newGuard(alpha.base(), askWithin)
	defer who.Close(t.Context())
	for range 3 {
		if err := who.Enforce(t.Context()); err != nil || !alpha.engine.running(guarded) {
			t.Fatalf("stopped: %v", err)
		}
	}
	alpha.spec.Git, alpha.spec.Record.Path = agentapi.Git{}, "/dev/null/away"
	if err := alpha.base().saveSpec(alpha.spec); err != nil {
		t.Fatal(err)
	}
	if err := who.Enforce(t.Context()); err != nil || !alpha.engine.running(guarded) {
		t.Errorf("stopped although nobody answers: %v", err)
	}
}

// TestS04AForgedClaimStopsNoStack: root on another host leaves claims on the record
// remote, for which it has the credential.
func TestS04AForgedClaimStopsNoStack(t *testing.T) {
	const id = "01890000-0000-7000-8000-000000000000"
	remote := t.TempDir()
	alpha := newGuarded(t, "alpha", remote, "", 1)
	claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().key()})
	alpha.starts(t)
	forged := map[string]string{"claims/" + guarded + "/7-" + id + ".json": `{"schema":1,"host":"beta","key":"age1beta","commit":"","at":"2026-01-02T03:04:05Z"}`}
	own := "claims/" + guarded + "/8-" + id + ".json"
	signed, err := newSigningKey().Enclose(record.ClaimKind, own, []byte(`{"schema":3,"host":"beta","key":"age1beta","commit":"","at":"2026-01-02T03:04:05Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	forged[own] = string(signed)
	for path, content := range forged {
		if err := os.WriteFile(filepath.Join(remote, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	who := newGuard(alpha.base(), askWithin)
	defer who.Close(t.Context())
	if err := who.Enforce(t.Context()); err != nil || !alpha.engine.running(guarded) {
		t.Fatalf("stopped: %v", err)
	}
	st := alpha.spec.Stacks[0]
	v := who.Verdict(t.Context(), alpha.base().at(alpha.spec, st))
	if v.State != record.Own {
		t.Errorf("%+v", v)
	}
	found := whose("alpha", st, alpha.base().local(guarded), v)
	for path := range forged {
		if !slices.ContainsFunc(found, func(f finding.Finding) bool {
			return f.Code == finding.ClaimIgnored && f.Subject == path && strings.Contains(f.Text, "beta")
		}) {
			t.Errorf("no finding names %s and beta: %+v", path, found)
		}
	}
	// what the fleet signed stops it
	claims(t, remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	if err := who.Enforce(t.Context()); err != nil || alpha.engine.running(guarded) {
		t.Errorf("it runs on: %v", err)
	}
}

// TestFence is fault V10: a running host is asked to stop what was taken over.
func TestFence(t *testing.T) {
	alpha := newGuarded(t, "alpha", t.TempDir(), "", 1)
	alpha.starts(t)
	if _, err := alpha.Fence(t.Context(), agentapi.Fence{Stacks: map[string]int{guarded: 1}}, progress.Discard()); err == nil || !alpha.engine.running(guarded) {
		t.Errorf("stopped for an epoch that it runs at itself: %v", err)
	}
	for range 2 {
		_, err := alpha.Fence(t.Context(), agentapi.Fence{Stacks: map[string]int{guarded: 2, "unknown": 1}, Owner: "ann", Message: "recover alpha"}, progress.Discard())
		if local := alpha.base().local(guarded); err != nil || !local.Lost || alpha.engine.running(guarded) {
			t.Errorf("%+v, %v: it is not stopped", local, err)
		}
	}
}

// TestAStartLooksAgain is a kin of V10: between the first look and the start, data
// came down for minutes, and another host took the stack over.
func TestAStartLooksAgain(t *testing.T) {
	remote := t.TempDir()
	alpha := newGuarded(t, "alpha", remote, "", 1)
	claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().key()})
	r := newRun(alpha.Host.keeper(), alpha.spec, progress.Discard())
	defer r.who.Close(t.Context())
	st := alpha.spec.Stacks[0]
	if err := r.mayStart(t.Context(), r.at(r.spec, st)); err != nil {
		t.Fatal(err)
	}
	claims(t, remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	r.who.newest.began = r.who.newest.began.Add(-2 * recently) // minutes later
	if err := r.mayStart(t.Context(), r.at(r.spec, st)); err == nil || !strings.Contains(err.Error(), "beta claimed epoch 2") {
		t.Errorf("it may start: %v", err)
	}
	if err := r.who.MayChange(t.Context(), r.at(r.spec, st)); err == nil {
		t.Error("it may prune") // fault V11
	}
}

// TestAStartWaitsForTheFormerHost is fault V10: the former host could not be asked.
func TestAStartWaitsForTheFormerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lease := agentapi.DefaultLease().Length()
		r := &run{keeper: newKeeper(&base{}), sink: progress.Discard(), free: map[string]time.Time{guarded: time.Now().Add(lease)}}
		pause(t.Context(), lease/2)
		began := time.Now()
		for _, want := range []time.Duration{lease - lease/2, 0} {
			if err := r.waitOut(t.Context(), r.at(r.spec, agentapi.Stack{Name: guarded})); err != nil || time.Since(began) != want {
				t.Errorf("waited for %s, %v; want %s", time.Since(began), err, want)
			}
			began = time.Now()
		}
	})
}

// TestReleaseAgain is fault V5: a stack that was released answers with its final
// snapshot, unless it ran since.
func TestReleaseAgain(t *testing.T) {
	alpha := newGuarded(t, "alpha", t.TempDir(), "", 1)
	if err := alpha.base().saveLocal(guarded, Local{Epoch: 1, Released: 1, Final: "5nap", Lost: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := alpha.Release(t.Context(), agentapi.Release{Stack: guarded, Epoch: 1}, progress.Discard())
		if err != nil || r.Snapshot.ID != "5nap" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	alpha.starts(t) // an apply took the move back
	r, err := alpha.Release(t.Context(), agentapi.Release{Stack: guarded, Epoch: 1}, progress.Discard())
	if err != nil || r.Snapshot.ID == "5nap" || r.Stopped.IsZero() {
		t.Errorf("answered without a look: %+v, %v", r, err)
	}
	if !slices.ContainsFunc(alpha.Machine.(*machinetest.Fake).Calls(), func(c machinetest.Call) bool { return strings.HasSuffix(strings.Join(c.Argv, " "), "notes stop") }) {
		t.Error("it was not stopped")
	}
}

// TestStatusTellsOfAMissingClaim is fault V9: beta runs what Git places there, and
// the record has lost its claim.
func TestStatusTellsOfAMissingClaim(t *testing.T) {
	remote := t.TempDir()
	beta := newGuarded(t, "beta", remote, "", 2)
	beta.spec.Git = agentapi.Git{URL: "file://" + placesOn(t, "beta", beta.base().key(), 2), Branch: "main"}
	claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: "age1alpha"})
	beta.starts(t)
	verdicts := newGuard(beta.base(), askWithin).Verdicts(t.Context(), beta.spec)
	if verdicts[guarded].State != record.Own {
		t.Fatalf("%+v", verdicts)
	}
	found := whose("beta", beta.spec.Stacks[0], Local{Epoch: 2}, verdicts[guarded])
	if len(found) != 1 || found[0].Code != "claim-missing" || !strings.Contains(found[0].Text, "epoch 2") {
		t.Errorf("%+v", found)
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
		alpha := newGuarded(t, "alpha", remote, "", 1)
		claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().key()})
		alpha.starts(t)
		who := newGuard(alpha.base(), askWithin)
		defer who.Close(t.Context())
		if v := who.Verdicts(t.Context(), alpha.spec); v[guarded].State != record.Own {
			t.Fatalf("%+v", v)
		}
		if c.to.Remote == "disk" {
			claims(t, c.to.Path, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
		}
		mark := fmt.Sprintf(`{"schema":1,"to":{"remote":%q,"path":%q},"at":"2026-01-01T00:00:00Z"}`, c.to.Remote, c.to.Path)
		at := fleet.Location{Remote: "disk", Path: remote}.String() + "/moved.json"
		signed, err := fleetKey().Enclose(record.MovedKind, at, []byte(mark))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(remote+"/moved.json", signed, 0o600); err != nil {
			t.Fatal(err)
		}
		v := who.Verdicts(t.Context(), alpha.spec) // its record was open
		if v[guarded].State != record.Unknown || v[guarded].MayChange {
			t.Errorf("to %s: by the claims of before: %+v", c.to.Remote, v)
		}
		v = who.Verdicts(t.Context(), alpha.spec)
		if v[guarded].State != c.state || v[guarded].MayChange {
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
	}{"signed by the fleet": {fleetKey(), record.Lost}, "by another": {newSigningKey(), record.Own}} {
		remote := t.TempDir()
		alpha := newGuarded(t, "alpha", remote, "", 1)
		claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().key()})
		alpha.starts(t)
		alpha.spec.Git = agentapi.Git{URL: "file://" + placesSigned(t, c.signer, "alpha", other.Recipient, 1), Branch: "main"}
		if v := newGuard(alpha.base(), askWithin).Verdicts(t.Context(), alpha.spec); v[guarded].State != c.want {
			t.Errorf("%s: %+v", name, v[guarded])
		}
	}
}

// TestAHostRunsOnUnderItsNewName is fault V17 for hosts: while Git has its new name
// already, a host that knows its old one is the machine that Git and claims mean.
func TestAHostRunsOnUnderItsNewName(t *testing.T) {
	remote := t.TempDir()
	alpha := newGuarded(t, "alpha", remote, "", 1)
	claims(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().key()})
	alpha.starts(t)
	alpha.spec.Git = agentapi.Git{URL: "file://" + placesOn(t, "gamma", alpha.base().key(), 1), Branch: "main"}
	for _, name := range []string{"alpha", "gamma"} {
		alpha.spec.Name = name
		v := newGuard(alpha.base(), askWithin).Verdicts(t.Context(), alpha.spec)
		if got := v[guarded]; name == "alpha" && (got.State != record.Own || !got.MayChange) || got.State == record.Lost {
			t.Errorf("as %s: %+v", name, got)
		}
	}
}
