// Package githost is the server from which hosts read the repository: its address, as they
// are given it, and its SSH key, by which they know it.
package githost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/github"
	"salvor/internal/gitread"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

// within bounds how long the Git host is asked for its key: without an
// answer it is pinned by a later command.
const within = 10 * time.Second

// Options say who is asked, and how GitHub is reached.
type Options struct {
	Trust func(question string) error                 // asks whether a key is the server's, nil for no one
	Site  github.Site                                 // the only one that gets the token, and whose published keys are taken
	Token func(context.Context) (secret.Value, error) // the operators', which fleet.yaml names
}

// Host is that server.
type Host struct {
	checkout *checkout.Checkout
	reach    *reach.Dialer
	opts     Options
}

// New returns the server of a checkout.
func New(c *checkout.Checkout, d *reach.Dialer, o Options) *Host {
	return &Host{checkout: c, reach: d, opts: o}
}

// Source is how hosts read the repository: from fleet.yaml, else from the
// operator's own remote.
func (g *Host) Source(ctx context.Context) (agentapi.Git, error) {
	declared := g.checkout.Fleet.Git
	src := agentapi.Git{URL: declared.URL, Branch: declared.Branch}
	if src.URL == "" {
		up, err := g.checkout.Git.Upstream(ctx)
		if errors.Is(err, git.ErrNoRemote) {
			return agentapi.Git{}, nil
		}
		if err != nil {
			return src, err
		}
		address, err := g.checkout.Git.URL(ctx, up.Remote)
		if err != nil {
			return src, err
		}
		src.URL, src.Branch = withoutLogin(address), up.Branch
	}
	src.KnownHosts = g.knownLines(src.URL)
	return src, nil
}

// withoutLogin is the address of an operator's remote without their credentials:
// hosts have their own keys, and keep the address in plain text.
func withoutLogin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	if u.User = url.User(u.User.Username()); u.Scheme != "ssh" {
		u.User = nil // a token may be there
	}
	return u.String()
}

// Pin makes sure that hosts know the Git host's key: it is committed to
// hosts/known_hosts when the repository is first used with that remote. A key
// that GitHub publishes or the operator's own ssh knows is taken, another one is asked about. Nothing
// is done without a Git remote over SSH, or while it does not answer. It may be
// called again.
func (g *Host) Pin(ctx context.Context) error {
	files, err := g.WithPin(ctx, nil)
	if err != nil || len(files) == 0 {
		return err
	}
	if _, err := g.checkout.Committer(false).Commit(ctx, files, "hosts: Git host's key pinned"); err != nil {
		return err
	}
	// what this command adds later builds on it
	path := filepath.Join(g.checkout.Export, filepath.FromSlash(fleet.KnownHostsFile))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(files[fleet.KnownHostsFile]), 0o600)
}

// WithPin returns files that are about to be committed, with the Git host's key
// in hosts/known_hosts where it is not pinned yet.
func (g *Host) WithPin(ctx context.Context, files map[string][]byte) (map[string][]byte, error) {
	line, err := g.pinLine(ctx)
	if err != nil || line == "" {
		return files, err
	}
	known, given := files[fleet.KnownHostsFile]
	if !given {
		if known, err = g.checkout.File(fleet.KnownHostsFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	all := map[string][]byte{}
	maps.Copy(all, files)
	all[fleet.KnownHostsFile] = append(bytes.Clone(known), line...)
	return all, nil
}

// pinLine returns the line that pins the Git host, "" where there is nothing to
// pin.
func (g *Host) pinLine(ctx context.Context) (string, error) {
	source, err := g.Source(ctx)
	if err != nil {
		return "", err
	}
	host, port, isSSH := gitread.SSHAddress(source.URL)
	if !isSSH || len(reach.Pinned(g.reach.HostKeys(), host, port)) > 0 {
		return "", nil
	}
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	key, err := ssh.Scan(limited, ssh.Options{Name: host, Address: host, Port: port})
	if err != nil {
		return "", ctx.Err() // away: a later command pins it
	}
	if !g.opts.Site.Presents(host, string(key.Key)) && !ssh.Known(g.operatorsKnownHosts(ctx, host, port), host, port, key.Key) {
		if trusted, err := g.ask(host, key); !trusted {
			return "", err
		}
	}
	return reach.KnownHostsName(host, port) + " " + string(key.Key) + "\n", g.reach.Pin(fleet.Host{Name: host, Address: host, Port: port}, key.Key)
}

// knownLines returns the lines of hosts/known_hosts that may be about a repository's
// server: its name, and patterns and hashed names, which are not taken apart here.
// The hosts' own lines are left out, so that a new host changes nothing for others.
func (g *Host) knownLines(url string) []string {
	host, port, isSSH := gitread.SSHAddress(url)
	content, err := g.checkout.File(fleet.KnownHostsFile)
	if err != nil || !isSSH {
		return nil // reading Git over SSH without a pinned key fails closed
	}
	var lines []string
	for _, line := range reach.Lines(content) {
		names, _, _ := strings.Cut(line, " ")
		if strings.HasPrefix(names, "@") {
			_, names, _ = strings.Cut(line, " ")
			names, _, _ = strings.Cut(names, " ")
		}
		about := slices.Contains(strings.Split(names, ","), reach.KnownHostsName(host, port)) || strings.ContainsAny(names, "*?|")
		if about && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Findings have the finding of a repository that hosts can't read.
func (g *Host) Findings(ctx context.Context) ([]finding.Finding, error) {
	source, err := g.Source(ctx)
	if err != nil {
		return nil, err
	}
	host, port, isSSH := gitread.SSHAddress(source.URL)
	if !isSSH || len(reach.Pinned(g.reach.HostKeys(), host, port)) > 0 || len(g.checkout.Fleet.Hosts) == 0 {
		return nil, nil
	}
	return []finding.Finding{{
		Code: finding.GitUnpinned, Severity: finding.Warning, Subject: fleet.KnownHostsFile,
		Text: "hosts can't read the repository: the key of the Git host " + host + " is not pinned", Fix: "salvor apply pins it",
	}}, nil
}

// ask asks whether a key is the Git host's. If no one can be asked it is not
// pinned, which is a finding and not an error.
func (g *Host) ask(host string, key ssh.HostKey) (trusted bool, err error) {
	if g.opts.Trust == nil {
		return false, nil
	}
	err = g.opts.Trust(fmt.Sprintf("The Git host %s presents the key %s. Is that its key?", host, key.Fingerprint))
	if code, set := fault.Code(err); set && code == fault.Usage {
		return false, nil
	}
	if err != nil {
		return false, fault.WithHint(fmt.Errorf("the Git host %s is not trusted: %w", host, err), "compare the key with "+
			"the one that its provider or administrator publishes")
	}
	return true, nil
}

// operatorsKnownHosts returns the known_hosts files that the operator's ssh uses
// for a server, as git would call it.
func (g *Host) operatorsKnownHosts(ctx context.Context, host string, port int) []string {
	script := "exec " + sshCommand() + ` -G -p "$2" -- "$1"`
	out, err := local.Machine{Inherit: true}.Run(ctx, machine.Cmd{Argv: []string{"sh", "-c", script, "sh", host, strconv.Itoa(port)}, Timeout: within})
	if err != nil {
		return nil // an operator without ssh is asked
	}
	home, _ := os.UserHomeDir()
	var files []string
	for line := range strings.Lines(string(out.Stdout)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[0] == "userknownhostsfile" || fields[0] == "globalknownhostsfile") {
			for _, file := range fields[1:] {
				if below, isHome := strings.CutPrefix(file, "~/"); isHome {
					file = filepath.Join(home, below)
				}
				files = append(files, file)
			}
		}
	}
	return files
}

// sshCommand is how git calls ssh: as its own variable says, which a shell reads.
func sshCommand() string {
	if own := os.Getenv("GIT_SSH_COMMAND"); own != "" {
		return own
	}
	return "ssh"
}
