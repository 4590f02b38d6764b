package hostlink

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/sign"
	"salvor/internal/terminal"
)

const (
	maxEpoch   = 1 << 31
	maxVersion = 80
	ahead      = time.Hour // that a host's clock may be
)

// check holds the answer resp of a host to the question req. What does not fit is
// taken out of resp and said in findings against the host, which are in the answer
// where it has some; an error means that nothing of it can be used.
func check(host string, req, resp any, now time.Time) error {
	a := &answer{host: host, now: now, asked: map[string]agentapi.Stack{}, own: map[string]string{}}
	a.question(req)
	switch r := resp.(type) {
	case *agentapi.HostState:
		a.state(r)
		r.Findings = append(a.findings(r.Findings), WrongClock(host, r.Clock, now)...)
	case *agentapi.HostReceipt:
		a.receipt(r)
		r.Findings = a.findings(r.Findings)
	case *agentapi.SnapshotReceipt:
		a.snapshot(r)
		r.Findings = a.findings(r.Findings)
		return a.useless(r.Stack == "")
	case *agentapi.SnapshotList:
		a.list(r)
		r.Findings = a.findings(nil)
	case *agentapi.DeliveryList:
		r.Deliveries = slices.DeleteFunc(r.Deliveries, a.oddDelivery)
		r.Findings = a.findings(nil)
	case *agentapi.ServiceList:
		a.services(r)
		r.Findings = a.findings(nil)
	case *agentapi.Newest:
		a.newest(r)
		r.Findings = a.findings(nil)
	case *agentapi.Inventory:
		a.inventory(r)
		r.Findings = a.findings(nil)
	case *agentapi.RouteList:
		a.routes(r)
		r.Findings = a.findings(r.Findings)
	case *agentapi.HandedBack:
		a.handedBack(r)
		return a.useless(len(r.Stacks) == 0)
	case *agentapi.Controlled:
		r.Services = a.rows(r.Services)
	case *agentapi.Prepared:
		r.Changed = a.changes(r.Changed)
	case *agentapi.WayInChanged:
		r.Changed = a.changes(r.Changed)
	case *agentapi.Enrolment:
		return a.enrolment(r)
	}
	return nil
}

// answer is what one host answers to one question.
type answer struct {
	host    string
	now     time.Time
	commit  string                    // that was asked for, "" for none
	asked   map[string]agentapi.Stack // the stacks of the question
	own     map[string]string         // the host's own projects of the question, with their images
	found   []string                  // other stacks that the host has something of
	refused []string                  // what did not fit
}

func (a *answer) question(req any) {
	switch q := req.(type) {
	case agentapi.Observe:
		a.spec(q.Host)
	case agentapi.Apply:
		a.spec(q.Host)
	case agentapi.TakeSnapshot:
		a.asked[q.Stack] = agentapi.Stack{Name: q.Stack}
	case agentapi.Snapshots:
		a.asked[q.Stack] = agentapi.Stack{Name: q.Stack}
	case agentapi.AskNewest:
		for name, epoch := range q.Stacks {
			a.asked[name] = agentapi.Stack{Name: name, Epoch: epoch}
		}
	case agentapi.AskServices:
		for _, name := range q.Stacks {
			a.asked[name] = agentapi.Stack{Name: name}
		}
	case agentapi.HandBack:
		for _, st := range q.Stacks {
			a.asked[st.Name] = agentapi.Stack{Name: st.Name, Epoch: st.Epoch}
		}
	case agentapi.Release:
		a.asked[q.Stack] = agentapi.Stack{Name: q.Stack, Epoch: q.Epoch}
	}
}

func (a *answer) spec(h agentapi.Host) {
	a.commit = h.Commit
	for _, st := range h.Stacks {
		a.asked[st.Name] = st
	}
	for _, p := range h.Projects {
		a.own[p.Name] = p.Image
	}
}

func (a *answer) refuse(format string, args ...any) {
	a.refused = append(a.refused, terminal.Sprintf(format, args...))
}

// late reports whether a time can't be: it is far in the future, or before all
// computers. In another zone such a one may have a year that can't be written.
func (a *answer) late(t time.Time) bool {
	return t.After(a.now.Add(ahead)) || !t.IsZero() && t.UTC().Year() < 1970
}

func (a *answer) state(r *agentapi.HostState) {
	if len(r.Salvord) > maxVersion {
		a.refuse("the version %.*s…", maxVersion, r.Salvord)
		r.Salvord = ""
	}
	if r.Report != nil {
		a.report(r.Report)
	}
	r.Changes, r.Projects, r.Guarded = a.changes(r.Changes), a.projectStates(r.Projects), a.guarded(r.Guarded)
	r.Stacks = slices.DeleteFunc(r.Stacks, func(s agentapi.StackState) bool {
		odd := fleet.ValidName(s.Name) != nil || s.Epoch < 0 || s.Epoch > maxEpoch || s.Snapshot != nil && a.late(s.Snapshot.Began)
		if odd {
			a.refuse("the state of stack %s at epoch %d", s.Name, s.Epoch)
		}
		return odd
	})
	for i, s := range r.Stacks {
		a.times(&r.Stacks[i])
		st, asked := a.asked[s.Name]
		if !asked {
			a.found = append(a.found, s.Name)
		}
		if s.Wish != nil && (!asked || st.Restore == nil || st.Restore.ID != s.Wish.ID) {
			r.Stacks[i].Wish = nil
		}
	}
}

// changes keeps changes of the host itself, and of stacks that can be on it.
func (a *answer) changes(all []agentapi.Change) []agentapi.Change {
	return slices.DeleteFunc(all, func(c agentapi.Change) bool {
		odd := c.Stack != "" && fleet.ValidName(c.Stack) != nil || !slices.Contains([]string{"+", "~", "-"}, c.Action) || opens(c)
		if odd {
			a.refuse("the change %s %s of stack %s", c.Action, c.ID, c.Stack)
		}
		return odd
	})
}

func (a *answer) receipt(r *agentapi.HostReceipt) {
	if r.Host != a.host {
		a.refuse("a receipt of host %s", r.Host)
		*r = agentapi.HostReceipt{Schema: r.Schema, Host: a.host, Commit: a.commit}
		return
	}
	if r.Commit == "" {
		r.Commit = a.commit // interrupted before it looked
	}
	if r.Commit != a.commit {
		a.refuse("a receipt of commit %.7s", r.Commit)
		r.Commit, r.Stacks = a.commit, nil
	}
	r.Changed, r.Projects = a.changes(r.Changed), a.projects(r.Projects)
	if r.Node != nil && !routable(r.Node.Address) {
		a.refuse("the address %s in the tailnet", r.Node.Address)
		r.Node = nil
	}
	if r.Routes != nil {
		a.published(r.Routes)
	}
	r.Phases = slices.DeleteFunc(r.Phases, func(p agentapi.Phase) bool { return a.late(p.Began) || a.late(p.Ended) || p.Ended.Before(p.Began) })
	r.Stacks = slices.DeleteFunc(r.Stacks, func(s agentapi.StackReceipt) bool {
		st, asked := a.asked[s.Name]
		gone := !asked && fleet.ValidName(s.Name) == nil && s.Epoch == 0 && s.Outcome == "stopped" // it was on the host, and is not placed there
		odd := !gone && (!asked || s.Epoch != st.Epoch)
		if odd {
			a.refuse("a receipt of stack %s at epoch %d", s.Name, s.Epoch)
		}
		return odd
	})
	for i := range r.Stacks {
		a.stackReceipt(&r.Stacks[i])
	}
}

// routable reports whether an address may be a host's in a tailnet: the operator's computer
// goes there, and trusts but the host's pinned key.
func routable(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is4() && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast()
}

func (a *answer) stackReceipt(s *agentapi.StackReceipt) {
	st := a.asked[s.Name]
	if s.Error != nil {
		s.Error = words(a.host, s.Error)
	}
	if s.Wish != "" && (st.Restore == nil || st.Restore.ID != s.Wish) {
		a.refuse("stack %s went back to a snapshot that was not asked for", s.Name)
		s.Wish = ""
	}
	for service, ref := range s.Images {
		keep, odd := a.image(st, service, ref)
		if odd {
			a.refuse("image %s of service %s of stack %s", ref, service, s.Name)
		}
		if !keep {
			delete(s.Images, service)
		}
	}
	for volume, born := range s.Born {
		known := slices.ContainsFunc(st.Volumes, func(v project.Volume) bool { return v.Name == volume })
		if st.Kept && !born.IsZero() && !a.late(born) { // as the host has it: the question does not say which volumes it has
			delete(s.Born, volume)
			continue
		}
		if !known || born.IsZero() || a.late(born) {
			a.refuse("volume %s of stack %s, born %s", volume, s.Name, born.Format(time.RFC3339))
			delete(s.Born, volume)
		}
	}
	if a.late(s.Healthy) {
		a.refuse("stack %s is healthy since %s", s.Name, s.Healthy.Format(time.RFC3339))
		s.Healthy = time.Time{}
	}
	if s.Restored != nil && a.late(s.Restored.Began) {
		a.refuse("stack %s went back to a snapshot of %s", s.Name, s.Restored.Began.Format(time.RFC3339))
		s.Restored = nil
	}
}

var reference = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,400}@sha256:[0-9a-f]{64}$`)

// image reports whether the lock may learn that a service runs ref, and whether an
// honest host could not have said it. A restored stack may run another tag, which
// the lock has no use for.
func (a *answer) image(st agentapi.Stack, service, ref string) (keep, odd bool) {
	at := slices.IndexFunc(st.Project.Services, func(s project.Service) bool { return s.Name == service })
	if !reference.MatchString(ref) {
		return false, true
	}
	if st.Images[service] == ref {
		return true, false
	}
	if st.Kept {
		return false, false // as the host has it: the question does not say what it runs
	}
	if at < 0 || project.Repository(ref) != project.Repository(st.Project.Services[at].Image) {
		return false, true
	}
	written := st.Project.Services[at].Image
	return project.Tagged(ref) == project.Tagged(written) && (!project.Digested(written) || ref == written), false
}

func (a *answer) snapshot(r *agentapi.SnapshotReceipt) {
	if r.Stack == "" {
		for stack := range a.asked {
			r.Stack = stack
		}
	}
	if _, asked := a.asked[r.Stack]; !asked || a.oddSnapshot(r.Snapshot) || a.late(r.Stopped) || r.Paused < 0 {
		a.refuse("a snapshot of stack %s", r.Stack)
		*r = agentapi.SnapshotReceipt{}
	}
}

func (a *answer) list(r *agentapi.SnapshotList) {
	if _, asked := a.asked[r.Stack]; !asked {
		a.refuse("snapshots of stack %s", r.Stack)
		r.Snapshots = nil
	}
	for stack := range a.asked {
		r.Stack = stack
	}
	r.Silent = slices.DeleteFunc(r.Silent, func(t agentapi.SilentTarget) bool { return a.oddSnapshot(t.Newest) })
	r.Snapshots = slices.DeleteFunc(r.Snapshots, func(s agentapi.SnapshotRow) bool {
		odd := a.oddSnapshot(s.SnapshotInfo) || s.Former < 0
		if odd {
			a.refuse("snapshot %.8s of stack %s", s.ID, r.Stack)
		}
		return odd
	})
}

var snapshotID = regexp.MustCompile(`^[0-9a-f]{0,64}$`)

func (a *answer) oddSnapshot(s agentapi.SnapshotInfo) bool {
	return !snapshotID.MatchString(s.ID) || s.Epoch < 0 || s.Epoch > maxEpoch || s.Seq < 0 || s.Bytes < 0 || s.Files < 0 || a.late(s.Began) || a.late(s.Loaded)
}

func (a *answer) oddDelivery(d agentapi.Delivery) bool {
	odd := fleet.ValidName(d.Stack) != nil || d.At.IsZero() || a.late(d.At)
	if odd {
		a.refuse("a delivery to stack %s at %s", d.Stack, d.At.Format(time.RFC3339))
	}
	return odd
}

func (a *answer) enrolment(e *agentapi.Enrolment) error {
	recipient, err := age.ParseX25519Recipient(e.Recipient)
	if err != nil {
		return fmt.Errorf("%s answers with %q, which is not the X25519 recipient of a host", a.host, e.Recipient)
	}
	if e.GitKey = strings.TrimSpace(e.GitKey); !sshKey(e.GitKey) {
		return fmt.Errorf("%s answers with %q, which is not an SSH public key", a.host, e.GitKey)
	}
	if err := (sign.Keys{e.Signer}).Check(); err != nil {
		return fmt.Errorf("%s answers with an invalid signing key: %w", a.host, err)
	}
	e.Recipient, e.Unseen = recipient.String(), terminal.Line(e.Unseen)
	for i, name := range e.Containers {
		e.Containers[i] = fmt.Sprintf("%.80s", terminal.Line(name))
	}
	return nil
}

var sshLine = regexp.MustCompile(`^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp[0-9]{3}) ([A-Za-z0-9+/]+=*)( [A-Za-z0-9@._-]+)?$`)

// sshKey reports whether a line is an SSH public key without options, whose encoded
// key is of the type that the line says.
func sshKey(line string) bool {
	parts := sshLine.FindStringSubmatch(line)
	if parts == nil {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	kind := parts[1]
	return err == nil && len(key) > 4+len(kind) && binary.BigEndian.Uint32(key) == uint32(len(kind)) && string(key[4:4+len(kind)]) == kind
}

// useless is the error of an answer of which nothing is left.
func (a *answer) useless(empty bool) error {
	if !empty || len(a.refused) == 0 {
		return nil
	}
	return fault.WithHint(fmt.Errorf("the answer of %s is not about what it was asked: %s", a.host, a.refused[0]), "salvor status")
}

// findings keeps the findings that a host can have about itself and its stacks, and
// adds what was refused.
func (a *answer) findings(all []finding.Finding) []finding.Finding {
	var kept []finding.Finding
	for _, f := range all {
		if !a.fits(&f) {
			a.refuse("the finding %s about %s", f.Code, f.Subject)
			continue
		}
		f.Text = terminal.Line(f.Text)
		if f.Fix != "" {
			f.Fix = says(a.host, f.Fix)
		}
		kept = append(kept, f)
	}
	if len(a.refused) == 0 {
		return kept
	}
	text := fmt.Sprintf("its answer contained things that it was not asked for, which were dropped: %s", a.refused[0])
	if more := len(a.refused) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return append(kept, finding.Finding{Code: finding.AnswerRefused, Severity: finding.Warning, Subject: a.host, Text: text,
		Fix: "look at the host: salvord does not answer like that; if others have root there, salvor recover HOST --to OTHER"})
}

func (a *answer) fits(f *finding.Finding) bool {
	subject, _, _ := strings.Cut(f.Subject, "/")
	if slices.Contains(a.found, subject) && subject != a.host {
		f.Subject, subject = a.host+"/"+f.Subject, a.host
	}
	known := slices.ContainsFunc(finding.Table(), func(r finding.Row) bool { return r.Code == f.Code })
	severe := slices.Contains([]finding.Severity{finding.Fatal, finding.Warning, finding.Info}, f.Severity)
	_, asked := a.asked[subject]
	asked = asked || a.onRecord(f.Subject)
	if _, its := a.asked[f.Stack]; !its {
		f.Stack = ""
	}
	return known && severe && terminal.Line(f.Subject) == f.Subject && (subject == a.host || subject == "this host" || asked)
}

// onRecord reports whether a subject is a file on the record about a stack of the
// question.
func (a *answer) onRecord(subject string) bool {
	dir, rest, _ := strings.Cut(subject, "/")
	stack, _, isFile := strings.Cut(rest, "/")
	_, asked := a.asked[stack]
	return subject == "moved.json" || asked && isFile && slices.Contains([]string{"claims", "facts", "proven"}, dir)
}

// words returns an error as the host's: its hint names the host, and its code is one
// that a host may set.
func words(host string, e *agentapi.Error) *agentapi.Error {
	told := *e
	told.Text = terminal.Paragraph(told.Text)
	if told.Hint != "" {
		told.Hint = says(host, told.Hint)
	}
	if !slices.Contains([]int{fault.General, fault.Partial, fault.Locked, fault.SecretsShut, fault.Unreachable, agentapi.CodeMoved}, told.Code) {
		told.Code = fault.General
	}
	return &told
}

func says(host, text string) string { return host + " says: " + terminal.Line(text) }
