package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/terminal"
)

func TestReport(t *testing.T) {
	one, two := errors.New("one"), fault.WithHint(errors.New("two"), "do this")
	cases := map[string]struct {
		err  error
		want string
	}{
		"plain":                 {one, "salvor: one\n"},
		"with a hint":           {fmt.Errorf("alpha: %w", two), "salvor: alpha: two\nhint: do this\n"},
		"joined":                {errors.Join(one, errors.Join(two, one)), "salvor: one\nsalvor: two\nhint: do this\nsalvor: one\n"},
		"a sentence of several": {fmt.Errorf("%w: %w", one, errors.New("no answer")), "salvor: one: no answer\n"},
		"told by a host":        {fmt.Errorf("alpha: %w", &agentapi.Error{Text: "busy", Hint: "alpha says: wait"}), "salvor: alpha: busy\nalpha says: wait\n"},
	}
	for name, c := range cases {
		var out bytes.Buffer
		g := &globals{prompts: prompts{output: output{Console: Console{Err: &out}}}}
		g.report(c.err, fault.General)
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReceiptIsGolden(t *testing.T) {
	at := func(s int) time.Time {
		return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(s) * time.Second)
	}
	r := &deploy.Receipt{Schema: 1, Kind: "recover", Fleet: "home", Commit: "1a2b3c4d5e", Began: at(0), Ended: at(75),
		Phases: []agentapi.Phase{{Name: "commit and claim", Began: at(0), Ended: at(4)}, {Name: "apply", Began: at(4), Ended: at(75)}},
		Hosts: []agentapi.HostReceipt{{Host: "gamma", Phases: []agentapi.Phase{{Name: "prepare", Began: at(5), Ended: at(40)}, {Name: "restore", Stack: "notes", Began: at(6), Ended: at(30)}},
			Stacks: []agentapi.StackReceipt{
				{Name: "notes", Outcome: "restored", Healthy: at(62), Restored: &agentapi.SnapshotInfo{Began: at(-130), Bytes: 3 << 20, Files: 12}},
				{Name: "site", Outcome: "failed", Error: &agentapi.Error{Text: "port 80 is taken"}},
			}, Routes: &agentapi.RoutesReceipt{Live: []string{"notes.example.com", "wiki.example.com"}}}},
		Pending: []string{"let gamma read the repository"},
	}
	var out bytes.Buffer
	if err := printReceipt(terminal.NewPage(&out, false), r); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/receipt.golden", out.Bytes())
	if err := r.Err(); err == nil || err.Error() != "gamma: site: port 80 is taken" {
		t.Error(err)
	}
}

// TestExitCodeIsAboutWhatWasAsked is fault F11: a stack that has failed for long made
// every move, restore and rollback of other stacks on its host end with 3, and undid
// a rotation that had gone well.
func TestExitCodeIsAboutWhatWasAsked(t *testing.T) {
	host := agentapi.HostReceipt{Host: "beta", Stacks: []agentapi.StackReceipt{
		{Name: "notes", Outcome: "restored"},
		{Name: "old", Outcome: "failed", Error: &agentapi.Error{Text: "port 80 is taken", Hint: "beta says: docker ps"}},
	}}
	for name, c := range map[string]struct {
		asked []string
		code  int
		said  string
	}{
		"another failed":    {[]string{"notes"}, fault.OK, "note: beta: old, which is not part of this command: port 80 is taken\nbeta says: docker ps\n"},
		"what was asked":    {[]string{"old"}, fault.Partial, ""},
		"everything, apply": {nil, fault.Partial, ""},
	} {
		var out, said bytes.Buffer
		g := &globals{prompts: prompts{output: output{Console: Console{Out: &out, Err: &said}}}}
		err := g.finish(&deploy.Receipt{Hosts: []agentapi.HostReceipt{host}, Asked: c.asked}, nil, nil)
		if code, _ := fault.Code(err); code != c.code {
			t.Errorf("%s: ends with %d, %v", name, code, err)
		}
		if diff := cmp.Diff(c.said, said.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
