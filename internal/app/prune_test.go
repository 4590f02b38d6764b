package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
)

// pruned is a keyed fleet with a repository of notes on an append-only target, as restic
// and alpha leave it.
type pruned struct {
	*keyed
	dir      string // the repository
	id       string
	password string
	alpha    sign.Key
	ids      []string
}

func newPruned(t *testing.T) *pruned {
	t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal(err)
		}
		t.Skip("restic is not installed")
	}
	p := &pruned{keyed: newKeyed(t)}
	p.do(func(a *App) error {
		config, err := a.Checkout.File(fleet.File)
		if err != nil {
			return err
		}
		target := `remote: disk, path: "` + strings.TrimPrefix(p.disk, "/") + `/snap", append_only: true, keep: {last: 1}`
		return a.Checkout.CommitFiles(t.Context(), map[string][]byte{fleet.File: []byte(strings.Replace(string(config), "remote: box, path: snapshots", target, 1))}, "a target")
	})
	a := p.open(p.ann)
	p.id = a.Checkout.Lock.Stacks["notes"].Repositories["offsite"]
	sealed, err := a.Needs.Signed(seal.RecoveryPath("notes"))
	if err != nil {
		t.Fatal(err)
	}
	known, err := a.FleetKeys.OpenRecovery(t.Context(), "notes", sealed)
	if err != nil {
		t.Fatal(err)
	}
	repo, _ := known.Find(p.id)
	p.password, p.dir = string(repo.Password.Reveal()), filepath.Join(p.disk, "snap", "notes", p.id)
	private, err := sign.NewKey("alpha")
	if err != nil {
		t.Fatal(err)
	}
	if p.alpha, err = sign.ParseKey(private); err != nil {
		t.Fatal(err)
	}
	p.restic(nil, "init")
	p.onRecord(func(rec *record.Record) error {
		_, err := rec.Claim(t.Context(), "notes", record.Claim{Epoch: 1, Host: "alpha", Key: p.host.Recipient, Sign: p.alpha.Public(), Commit: a.Commit()}, func(string) (bool, bool) { return true, true })
		return err
	})
	return p
}

// restic runs Debian's on the repository.
func (p *pruned) restic(in []byte, args ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "restic", append([]string{"--repo", p.dir, "--no-cache", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+p.password)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	if err != nil {
		exit := new(exec.ExitError)
		errors.As(err, &exit)
		p.t.Fatalf("restic %v: %v\n%s", args, err, exit.Stderr)
	}
	return string(out)
}

// onRecord works on the record with alpha's signing key.
func (p *pruned) onRecord(work func(*record.Record) error) {
	p.t.Helper()
	a := p.open(p.ann)
	folder, err := a.Record.Open(p.t.Context(), a.Checkout.Fleet.Record)
	if err != nil {
		p.t.Fatal(err)
	}
	own := func(context.Context) (sign.Key, error) { return p.alpha, nil }
	rec := record.New(folder).Trusting(record.Trust{Keys: a.Confirmed.Trusted, Key: a.FleetKeys.SigningKey, Own: own})
	if err := errors.Join(work(rec), folder.Close(p.t.Context())); err != nil {
		p.t.Fatal(err)
	}
}

// take leaves a snapshot, and where it is proven the note of that.
func (p *pruned) take(seq int, at time.Time, proven bool) string {
	p.t.Helper()
	meta, err := json.Marshal(snapshot.Meta{Schema: fleet.Schema, Stack: "notes", Epoch: 1, Seq: seq, Images: map[string]string{"pad": strings.Repeat(fmt.Sprint(seq), 100_000)}})
	if err != nil {
		p.t.Fatal(err)
	}
	out := p.restic(meta, "backup", "--stdin", "--stdin-filename", "/salvor/notes/.salvor/snapshot.json", "--time", at.Format(time.DateTime),
		"--tag", fmt.Sprintf("volumes=data,epoch=1,seq=%d,commit=c0ffee", seq))
	var last struct {
		ID string `json:"snapshot_id"`
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		p.t.Fatalf("%v in %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(p.dir, "snapshots", last.ID+"*")) // older versions say its beginning
	if err != nil || len(found) != 1 {
		p.t.Fatalf("%v, %v", found, err)
	}
	last.ID = filepath.Base(found[0])
	if proven {
		p.ids = append(p.ids, last.ID)
		p.onRecord(func(rec *record.Record) error {
			return rec.Prove(p.t.Context(), "notes", record.Proven{Epoch: 1, Seq: seq, Repository: p.id, Snapshot: last.ID, At: at, Known: p.ids})
		})
	}
	return last.ID
}

func (p *pruned) there(id string) bool {
	_, err := os.Stat(filepath.Join(p.dir, "snapshots", id))
	return err == nil
}

// TestS03TheOperatorPrunesAnAppendOnlyTarget has what the retention does not keep removed
// from the operator's computer, while the host holds; a planted snapshot pushes nothing
// out and stays, and restic finds the repository whole.
func TestS03TheOperatorPrunesAnAppendOnlyTarget(t *testing.T) {
	p := newPruned(t)
	began := time.Now().Add(-time.Hour)
	for seq := 1; seq <= 3; seq++ {
		p.take(seq, began.Add(time.Duration(seq)*time.Minute), true)
	}
	planted := p.take(2, began.Add(30*time.Minute), false)
	a := p.open(p.ann)
	planned, err := a.Prune.PlanPrune(t.Context())
	if err != nil || len(planned) != 1 || planned[0].Why != "" || planned[0].Host != "alpha" || planned[0].Keep != 1 || len(planned[0].Forget) != 2 || planned[0].Aside != 1 {
		t.Fatalf("planned %+v, %v", planned, err)
	}
	away := errors.New("alpha is off")
	silent := func(context.Context, string, []string) (context.Context, func(), error) { return nil, nil, away }
	if err := a.Prune.Prune(t.Context(), planned, silent); !errors.Is(err, away) || !p.there(p.ids[0]) {
		t.Errorf("while alpha does not answer: %v", err)
	}
	if planned, err = a.Prune.PlanPrune(t.Context(), "notes"); err != nil {
		t.Fatal(err)
	}
	held := 0
	hold := func(ctx context.Context, host string, stacks []string) (context.Context, func(), error) {
		held++
		return ctx, func() { held-- }, nil
	}
	if err := a.Prune.Prune(t.Context(), planned, hold); err != nil || held != 0 || !planned[0].Done {
		t.Fatalf("%v, held %d, %+v", err, held, planned)
	}
	for id, want := range map[string]bool{p.ids[0]: false, p.ids[1]: false, p.ids[2]: true, planted: true} {
		if p.there(id) != want {
			t.Errorf("snapshot %.8s is there: %v", id, !want)
		}
	}
	p.restic(nil, "check", "--read-data")
	again, err := a.Prune.PlanPrune(t.Context())
	if err != nil || len(again[0].Forget) != 0 || again[0].Keep != 1 {
		t.Errorf("afterwards %+v, %v", again, err)
	}
}

// TestS13APlantedHistoryIsNotPruned has the record forget which snapshots were proven,
// and the remote the newest one: nothing is removed, whatever else is there.
func TestS13APlantedHistoryIsNotPruned(t *testing.T) {
	p := newPruned(t)
	began := time.Now().Add(-time.Hour)
	p.take(1, began, true)
	newest := p.take(2, began.Add(time.Minute), true)
	if err := os.Rename(filepath.Join(p.dir, "snapshots", newest), filepath.Join(p.disk, "hidden")); err != nil {
		t.Fatal(err)
	}
	p.take(9, began.Add(2*time.Minute), false)
	planned, err := p.open(p.ann).Prune.PlanPrune(t.Context(), "notes")
	if err != nil || !strings.Contains(planned[0].Why, newest[:8]) || len(planned[0].Forget) != 0 {
		t.Errorf("%+v, %v", planned, err)
	}
}
