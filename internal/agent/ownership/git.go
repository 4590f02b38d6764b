package ownership

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/gitread"
	"salvor/internal/hostkey"
	"salvor/internal/lockfile"
	"salvor/internal/record"
	"salvor/internal/runlock"
	"salvor/internal/secret"
	"salvor/internal/sign"
)

// gitSight is what Git said.
type gitSight struct {
	reached   bool
	lock      fleet.Lock
	contains  record.OnBranch
	recipient func(host string) string // for one caller at a time
}

func unreached() gitSight {
	return gitSight{contains: func(string) (bool, bool) { return false, false }}
}

func (g gitSight) placement(stack string) record.InGit {
	p := g.lock.Stacks[stack]
	in := record.InGit{Reached: g.reached, Host: p.Host, Epoch: p.Epoch}
	if g.reached && p.Host != "" {
		in.Key = g.recipient(p.Host)
	}
	return in
}

// askGit reads the newest commit, and notes whether that went well.
func (g *Guard) askGit(ctx context.Context, spec agentapi.Host) gitSight {
	if spec.Git.URL == "" {
		return unreached()
	}
	lock, err := g.h.Await(ctx, "git", runlock.Holder{Owner: here.Daemon, Message: "reading the control repository"})
	if err != nil {
		return unreached()
	}
	defer lock.Release()
	seen, err := g.readGit(ctx, spec)
	g.noteGit(err, time.Now().UTC())
	return seen
}

func (g *Guard) readGit(ctx context.Context, spec agentapi.Host) (gitSight, error) {
	repo, commit, err := g.fetch(ctx, spec)
	if err != nil {
		return unreached(), err
	}
	seen := gitSight{reached: true, contains: repo.Contains, recipient: g.recipients(repo, commit)}
	content, err := repo.File(commit, lockfile.Name)
	if errors.Is(err, os.ErrNotExist) {
		return seen, nil
	}
	if err == nil {
		seen.lock, err = lockfile.Known(content)
	}
	if err != nil {
		return unreached(), err
	}
	return seen, nil
}

// recipients returns what a commit has as recipients of hosts. Each is checked once
// while this host trusts the same keys, for one caller at a time.
func (g *Guard) recipients(repo here.ControlCopy, commit string) func(host string) string {
	var by sign.Keys
	known := map[string]string{}
	return func(host string) string {
		trusted, err := g.h.Trusted()
		if err != nil {
			return ""
		}
		if !slices.Equal(by, trusted) {
			by, known = trusted, map[string]string{}
		}
		if _, ok := known[host]; !ok {
			known[host] = recipientIn(repo, commit, host, trusted)
		}
		return known[host]
	}
}

// recipientIn is the recipient that a commit has for a host, "" where it has none or the
// fleet's key has not signed it: names decide then. Who can push can't make a host
// believe that another machine has its name.
func recipientIn(repo here.ControlCopy, commit, host string, trusted sign.Keys) string {
	file := hostkey.Path(host)
	content, err := repo.File(commit, file)
	if err != nil {
		return ""
	}
	signature, err := repo.File(commit, hostkey.SignaturePath(file))
	if err != nil {
		return ""
	}
	if hostkey.Check(file, content, signature, trusted) != nil {
		return ""
	}
	keys, _, err := hostkey.Parse(content)
	if err != nil {
		return ""
	}
	return keys.Recipient
}

func (g *Guard) fetch(ctx context.Context, spec agentapi.Host) (here.ControlCopy, string, error) {
	source := gitread.Source{URL: spec.Git.URL, Branch: spec.Git.Branch, KeyFile: g.h.Paths.GitKey(), KnownHosts: []byte(strings.Join(spec.Git.KnownHosts, "\n") + "\n")}
	if _, _, isSSH := gitread.SSHAddress(source.URL); !isSSH && spec.Own != nil {
		own, err := g.h.At(spec, *spec.Own).Open()
		if err != nil {
			return nil, "", err
		}
		source.Token = secret.New(own.Access.File.ReadToken)
	}
	repo, err := g.h.Copies()(g.h.Paths.GitCopy(), source)
	if err != nil {
		return nil, "", err
	}
	commit, err := repo.Fetch(ctx)
	return repo, commit, err
}

// gitNote is what the host remembers of reading the control repository.
type gitNote struct {
	Read  bool      `json:"read,omitempty"` // it was read at least once
	Since time.Time `json:"since,omitzero"` // of the first failure after which none succeeded
	Why   string    `json:"why,omitempty"`  // of the last failure, "" when the last try succeeded
}

// noteGit notes how reading went, where that changes what is known. It is a note for
// status: one that can't be written loses nothing.
func (g *Guard) noteGit(failed error, now time.Time) {
	was := readGitNote(g.h)
	is := gitNote{Read: was.Read || failed == nil}
	if failed != nil {
		is.Since, is.Why = was.Since, failed.Error()
		if was.Why == "" {
			is.Since = now
		}
	}
	if is != was {
		_ = here.WriteJSON(g.h.Paths.GitNote(), is)
	}
}

// readGitNote returns the note; one that can't be read counts as none.
func readGitNote(h *here.Host) (n gitNote) {
	if here.ReadJSON(h.Paths.GitNote(), &n) != nil {
		return gitNote{}
	}
	return n
}

// gitSilence is how long Git may not answer before that is worth a finding: Git
// hosts are down at times, and come back.
const gitSilence = 15 * time.Minute

// GitFindings says that the host can't read Git: at once where it never could, which
// means that its deploy key is missing there.
func GitFindings(h *here.Host, spec agentapi.Host, now time.Time) []finding.Finding {
	n := readGitNote(h)
	if n.Why == "" || spec.Git.URL == "" || n.Read && now.Sub(here.Past(n.Since, now)) < gitSilence {
		return nil
	}
	text := "it has not been able to read the control repository since " + n.Since.Format(time.RFC3339)
	if !n.Read {
		text = "it has never been able to read the control repository"
	}
	return []finding.Finding{{
		Code: finding.GitUnread, Severity: finding.Warning, Subject: spec.Name, Text: text + ": " + n.Why,
		Fix: "salvor host add " + spec.Name + " ADDRESS prints its deploy key: add it, read-only, at the Git host",
	}}
}
