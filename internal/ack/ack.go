// Package ack knows which findings the operators know already: those that they have
// acknowledged, in the repository, and those that the last apply of this clone showed.
package ack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/suggest"
)

// shownFile is this clone's note of the findings that its last apply showed.
const shownFile = "findings"

// Known are the findings that are known at one commit, in one clone.
type Known struct {
	Acks  Acks
	Shown Shown
}

// Shown are the findings that the last apply showed.
type Shown struct {
	Commit []finding.Finding `json:"commit"` // about the commit and this clone
	Hosts  []finding.Finding `json:"hosts"`  // about hosts, which said them
}

// Notes keeps acknowledgements in the repository, and in the clone what was shown.
type Notes struct{ checkout *checkout.Checkout }

// New returns those of an opened commit.
func New(c *checkout.Checkout) *Notes { return &Notes{c} }

// Known reads what is known. What can't be read knows nothing, and the error says so.
func (n *Notes) Known() (Known, error) {
	content, err := n.checkout.File(File)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	var k Known
	if err == nil {
		k.Acks, err = Decode(content)
	}
	shown, shownErr := n.shown()
	k.Shown = shown
	return k, errors.Join(err, shownErr)
}

func (n *Notes) shown() (shown Shown, err error) {
	file, err := n.checkout.Git.OwnFile(shownFile)
	if err != nil {
		return shown, err
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(content, &shown) != nil {
		return Shown{}, nil // a note that is damaged only makes findings news once more
	}
	return shown, err
}

// Remember notes what an apply has shown, for the next commands of this clone. commit
// are the findings that need no host; what else was found hosts have said.
func (n *Notes) Remember(found, commit []finding.Finding) error {
	var shown Shown
	for _, f := range found {
		if momentary(f) || f.Severity == finding.Fatal {
			continue
		}
		if has(commit, f) {
			shown.Commit = append(shown.Commit, f)
		} else {
			shown.Hosts = append(shown.Hosts, f)
		}
	}
	file, err := n.checkout.Git.OwnFile(shownFile)
	if err != nil {
		return err
	}
	content, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	return atomicfile.Write(file, bytes.NewReader(content), 0o600)
}

// News returns the findings that are to be shown, and how many are known. What is fatal,
// and what is about this very moment, is always news.
func (k Known) News(found []finding.Finding, now time.Time) (news []finding.Finding, known int) {
	for _, f := range found {
		if k.knows(f, now) {
			known++
		} else {
			news = append(news, f)
		}
	}
	return news, known
}

func (k Known) knows(f finding.Finding, now time.Time) bool {
	switch {
	case f.Severity == finding.Fatal, momentary(f):
		return false
	case k.Acks.Covers(f, now):
		return true
	}
	return has(k.Shown.Commit, f) || has(k.Shown.Hosts, f)
}

// has reports whether a finding is among others. In a file, where several may be of one
// kind, they differ in what they say; elsewhere that changes, like an age.
func has(all []finding.Finding, f finding.Finding) bool {
	inFile := placeless(f.Subject) != f.Subject
	return slices.ContainsFunc(all, func(o finding.Finding) bool {
		return same(o, f.Code, f.Subject) && (!inFile || o.Text == f.Text)
	})
}

func same(f finding.Finding, code finding.Code, subject string) bool {
	return f.Code == code && placeless(f.Subject) == placeless(subject)
}

// momentary reports whether a finding is about this clone as it is right now.
func momentary(f finding.Finding) bool {
	return f.Code == finding.NotCommitted || f.Code == finding.CloneBehind
}

// Add acknowledges a finding, in a commit. found are those that there are now: a fatal
// one is refused. It reports whether there is one now, or was at the last apply.
func (n *Notes) Add(ctx context.Context, a Ack, found []finding.Finding, now time.Time) (there bool, err error) {
	if err := known(a.Code); err != nil {
		return false, err
	}
	for _, f := range found {
		if same(f, a.Code, a.Subject) && f.Severity == finding.Fatal {
			return true, fault.WithHint(fmt.Errorf("%s: what is fatal can't be acknowledged: it keeps something from being deployed", f), f.Fix)
		}
	}
	k, err := n.Known()
	if err != nil {
		return false, err
	}
	there = slices.ContainsFunc(slices.Concat(found, k.Shown.Commit, k.Shown.Hosts), func(f finding.Finding) bool { return same(f, a.Code, a.Subject) })
	return there, n.commit(ctx, k.Acks.With(a, now), fmt.Sprintf("ack: %s %s", a.Code, placeless(a.Subject)))
}

// Remove takes an acknowledgement back, in a commit.
func (n *Notes) Remove(ctx context.Context, code finding.Code, subject string) error {
	k, err := n.Known()
	if err != nil {
		return err
	}
	left, there := k.Acks.Without(code, subject)
	if !there {
		return fault.WithHint(fmt.Errorf("%s %s is not acknowledged", code, subject), "salvor check --all lists what is")
	}
	return n.commit(ctx, left, fmt.Sprintf("ack --remove: %s %s", code, placeless(subject)))
}

func (n *Notes) commit(ctx context.Context, all Acks, message string) error {
	content, err := Encode(all)
	if err != nil {
		return err
	}
	return n.checkout.CommitFiles(ctx, map[string][]byte{File: content}, message)
}

// known refuses a code that no finding has.
func known(code finding.Code) error {
	codes := finding.Codes()
	if slices.Contains(codes, string(code)) {
		return nil
	}
	err := fmt.Errorf("no finding has the code %q%s", code, suggest.DidYouMean(string(code), codes))
	return fault.WithCode(fault.WithHint(err, "a finding has its code at its end, in brackets"), fault.Usage)
}
