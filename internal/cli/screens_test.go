package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"salvor/internal/ack"
	"salvor/internal/agentapi"
	"salvor/internal/apply"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/recovery"
)

// TestScreens: what a person sees of the commands that matter, on terminals of two
// widths, with and without colours.
func TestScreens(t *testing.T) {
	for name, show := range map[string]func(*globals) error{"plan": showsPlan, "nothing": showsNothing, "apply": showsApply, "recover": showsRecover, "spread": showsSpread} {
		for _, columns := range []uint16{80, 60} {
			for _, colors := range []bool{true, false} {
				file := fmt.Sprintf("%s-%d-%s.golden", name, columns, map[bool]string{true: "colors", false: "plain"}[colors])
				t.Run(file, func(t *testing.T) {
					t.Parallel()
					got := seenBy(t, columns, colors, show)
					golden(t, filepath.Join("testdata", "screens", file), []byte(got))
				})
			}
		}
	}
}

// seenBy returns what is on the screen of a person who says yes to everything.
func seenBy(t *testing.T, columns uint16, colors bool, show func(*globals) error) string {
	t.Helper()
	g, screen, _ := onTerminal(t)
	if err := pty.Setsize(g.Term, &pty.Winsize{Rows: 40, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	g.NoColor = !colors
	ended := make(chan error)
	go func() {
		err := show(g)
		g.progress().Close()
		_, printErr := fmt.Fprint(g.Err, "the end")
		ended <- errors.Join(err, printErr)
	}()
	for answered := 0; ; {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			screen.await(t, "the end")
			return strings.TrimSuffix(drawn(screen.text()), "the end")
		case <-time.After(5 * time.Millisecond):
			if text := screen.text(); strings.HasSuffix(text, "[y/N] ") && strings.Count(text, "[y/N] ") > answered { // once each: the echo may be late
				answered++
				screen.send(t, "y\n")
			}
		}
	}
}

var drawing = regexp.MustCompile(`^\x1b\[(\d*)([AJ])`)

// drawn is what is left on a screen on which lines were erased and drawn again.
func drawn(sent string) string {
	lines, at := []string{""}, 0
	for sent = strings.ReplaceAll(sent, "\r\n", "\n"); sent != ""; {
		if m := drawing.FindStringSubmatch(sent); m != nil {
			sent = sent[len(m[0]):]
			if up, _ := strconv.Atoi(m[1]); m[2] == "A" {
				at -= up
			} else {
				lines = append(lines[:at], "")
			}
			continue
		}
		if sent[0] == '\n' {
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
		} else {
			lines[at] += sent[:1]
		}
		sent = sent[1:]
	}
	return strings.Join(lines, "\n")
}

func aFleet() *fleet.Fleet {
	return &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}, {Name: "delta"}, {Name: "gamma"}},
		Stacks: []fleet.Stack{{Name: "blog", Host: "beta"}, {Name: "notes", Host: "alpha"}, {Name: "shop", Host: "alpha"}}}
}

// aPlan has a line of each kind.
func aPlan() *deploy.Plan {
	moves := []placement.Move{{Stack: "blog", From: "alpha", To: "beta", Epoch: 4}, {Stack: "notes", To: "alpha", Epoch: 1}}
	p := deploy.MakePlan(aFleet(), "1a2b3c4d5e", moves, map[string]deploy.Observation{
		"alpha": {State: agentapi.HostState{Changes: []agentapi.Change{
			{ID: "file /root/.ssh/authorized_keys", Action: "~", Cause: "accept the fleet's keys"},
			{ID: "packages host", Action: "+", Cause: "not installed: docker.io docker-cli docker-compose restic"},
			{Stack: "notes", ID: "volume @pgdata", Action: "+", Cause: "starts empty"},
			{Stack: "notes", ID: "services", Action: "~", Cause: "not deployed here yet"},
			{Stack: "shop", ID: "services", Action: "~", Cause: "image of web 1.2 → 1.3; environment of web: +GREETING ~MODE; ports of web"},
			{Stack: "shop", ID: "settings", Action: "~", Cause: "snapshots every 15m → 1h"},
		}}},
		"beta":  {New: true},
		"delta": {},
		"gamma": {Err: errors.New("gamma: host unreachable: no answer in 10s")},
	})
	p.Findings = []finding.Finding{
		{Code: finding.NotCommitted, Severity: finding.Warning, Subject: "stacks/books", Text: "it is not committed, so it is not deployed", Fix: "git add stacks/books, then git commit"},
		{Code: finding.KeyUnproven, Severity: finding.Info, Subject: "recovery", Text: "the recovery key was never tried", Fix: "salvor key prove --identity CARD"},
	}
	return &p
}

func acknowledged() ack.Known {
	return ack.Known{Acks: ack.Acks{{Code: finding.KeyUnproven, Subject: "recovery"}}}
}

func showsPlan(g *globals) error {
	p := aPlan()
	err := printPlan(g, acknowledged(), p)
	printNext(g, p, apply.Scope{})
	return err
}

func showsNothing(g *globals) error {
	p := deploy.MakePlan(aFleet(), "1a2b3c4d5e", nil, map[string]deploy.Observation{"alpha": {}})
	p.About, p.Others, p.NotAsked = []string{"notes"}, 3, []string{"beta", "gamma"}
	return printPlan(g, acknowledged(), &p)
}

var midnight = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time {
	return midnight.Add(time.Duration(seconds * float64(time.Second)))
}

// step is a step of a run, as a host reports it.
func step(sink progress.Sink, host, stack, name, text string, from, to float64) {
	sink.Emit(progress.Event{Time: after(from), Host: host, Stack: stack, Step: name, State: progress.Started})
	sink.Emit(progress.Event{Time: after(to), Host: host, Stack: stack, Step: name, State: progress.Done, Text: text})
}

func showsApply(g *globals) error {
	p := deploy.MakePlan(aFleet(), "1a2b3c4d5e", nil, map[string]deploy.Observation{"alpha": {State: agentapi.HostState{Changes: []agentapi.Change{
		{Stack: "shop", ID: "services", Action: "~", Cause: "image of web 1.2 → 1.3"},
		{Stack: "shop", ID: "volume cache", Action: "+", Cause: "starts empty"},
	}}}})
	p.Findings = aPlan().Findings
	if err := printPlan(g, acknowledged(), &p); err != nil {
		return err
	}
	made := proposal.New("apply to home", func(_ context.Context, sink progress.Sink) (deploy.Receipt, error) {
		step(sink, "home", "", "ask Git", "", 0, 0.4)
		step(sink, "home", "", "encrypt for hosts", "", 0.4, 0.9)
		step(sink, "alpha", "shop", "pull images", "", 1, 4.2)
		step(sink, "alpha", "shop", "start", "", 4.2, 7)
		step(sink, "home", "", "apply", "", 1, 7.5)
		return deploy.Receipt{Kind: deploy.KindApply, Fleet: "home", Commit: "1a2b3c4d5e", Began: midnight, Ended: after(8), Placed: map[string]string{"shop": "alpha", "notes": "alpha"},
			Phases: []agentapi.Phase{{Name: "apply", Began: after(1), Ended: after(7.5)}},
			Hosts: []agentapi.HostReceipt{{Host: "alpha", Stacks: []agentapi.StackReceipt{
				{Name: "notes", Outcome: "untouched", Healthy: after(2)}, {Name: "shop", Outcome: "deployed", Healthy: after(7)},
			}}}}, nil
	})
	made.Question = "Apply to home?"
	return g.carryOut(context.Background(), made)
}

func showsRecover(g *globals) error {
	made := proposal.New("recover alpha", func(_ context.Context, sink progress.Sink) (deploy.Receipt, error) {
		step(sink, "home", "", "record the owners", "", 0, 2)
		step(sink, "gamma", "", "prepare the host", "", 2, 14)
		step(sink, "gamma", "notes", "restore volumes", "4.0 MiB", 14, 30)
		progress.Scope{Sink: sink, Host: "home"}.Note("alpha did not answer the request to stop")
		return deploy.Receipt{Kind: deploy.KindRecover, Fleet: "home", Commit: "1a2b3c4d5e", Began: midnight, Ended: after(49), Placed: map[string]string{"notes": "gamma", "site": "gamma"},
			Phases: []agentapi.Phase{{Name: "record the owners", Began: after(0), Ended: after(2)}, {Name: "apply", Began: after(2), Ended: after(48)}},
			Hosts: []agentapi.HostReceipt{{Host: "gamma", Phases: []agentapi.Phase{{Name: "prepare the host", Began: after(2), Ended: after(14)}}, Stacks: []agentapi.StackReceipt{
				{Name: "notes", Outcome: "restored", Healthy: after(33), Restored: &agentapi.SnapshotInfo{Began: after(-130), Bytes: 4 << 20, Files: 4}},
				{Name: "site", Outcome: "failed", Error: &agentapi.Error{Text: "no such image", Hint: "salvor logs site"}},
			}}},
			Pending: []string{"let gamma read the repository: add its deploy key, read-only: ssh-ed25519 AAAA gamma"}}, nil
	})
	made.Question = "Recover alpha on gamma?"
	err := g.carryOut(context.Background(), made)
	if err == nil {
		return errors.New("a stack that failed is no error")
	}
	g.report(err, 3)
	return nil
}

func showsSpread(g *globals) error {
	fits := func(host string, why ...string) recovery.HostFit {
		return recovery.HostFit{Host: host, Fits: len(why) == 0, Why: why}
	}
	where := recovery.Where{Lost: "alpha", To: map[string][]string{"beta": {"notes"}, "gamma": {"blog", "shop"}}, Silent: []string{"delta: host unreachable: no answer in 10s"}, Stacks: []recovery.StackFit{
		{Stack: "blog", Hosts: []recovery.HostFit{fits("beta", "port 80 is taken there by container nginx of project proxy"), fits("gamma")}},
		{Stack: "notes", Hosts: []recovery.HostFit{fits("beta"), fits("gamma", "its data is 6.0 GiB, and to restore it takes twice that; the host has 10.0 GiB free")}},
		{Stack: "shop", Hosts: []recovery.HostFit{fits("beta"), fits("gamma")}},
	}}
	if err := printWhere(g, &where); err != nil {
		return err
	}
	made := proposal.New("recover alpha on beta, gamma", func(context.Context, progress.Sink) (deploy.Receipt, error) {
		return deploy.Receipt{}, nil
	})
	made.Question = "Recover 3 stacks of alpha on beta (notes), gamma (blog, shop), from their newest snapshots?"
	return g.carryOut(context.Background(), made)
}
