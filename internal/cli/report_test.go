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
		"told by a host":        {fmt.Errorf("alpha: %w", &agentapi.Error{Text: "busy", Hint: "wait"}), "salvor: alpha: busy\nhint: wait\n"},
	}
	for name, c := range cases {
		var out bytes.Buffer
		g := &globals{Console: Console{Err: &out}}
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
			}}},
		Pending: []string{"let gamma read the repository"},
	}
	var out bytes.Buffer
	if err := printReceipt(&out, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/receipt.golden", out.Bytes())
	if err := notUp(r); err == nil || err.Error() != "gamma: site: port 80 is taken" {
		t.Error(err)
	}
}
