package confirmation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// AllowRemote asks the operator before a remote is reached, or given to a host, for
// the first time in this clone, and when it goes elsewhere or is given other secrets
// than before.
func (c *Confirmed) AllowRemote(r fleet.Remote) error {
	goes := describeRemote(&c.checkout.Fleet, r)
	return c.approve(RemotesFile, r.Name, goes, func(before string) Approval {
		question := whereTo(r.Name, goes, before) + ". Allow it from now on?"
		return Approval{Question: question, Flag: "--allow-remote", Value: r.Name}
	})
}

// RemotesFile is this clone's note of the remotes that its operator approved.
const RemotesFile = "remotes"

func whereTo(name, goes, before string) string {
	if before == "" {
		return fmt.Sprintf("the remote %s goes to %s", name, goes)
	}
	return fmt.Sprintf("the remote %s now goes to %s (before: %s)", name, goes, before)
}

// unapprovedRemote is a remote that this clone's operator has not approved as it is.
type unapprovedRemote struct {
	remote   fleet.Remote
	question string // what is to be approved
}

// unapproved returns the remotes that an apply of a lock uses and that allowRemote
// will ask about.
func (c *Confirmed) unapproved(next fleet.Lock) ([]unapprovedRemote, error) {
	path, err := c.checkout.Git.OwnFile(RemotesFile)
	if err != nil {
		return nil, err
	}
	known, err := readApproved(path)
	if err != nil {
		return nil, err
	}
	f := &c.checkout.Fleet
	names := []string{f.Record.Remote}
	if len(next.Stacks) > 0 {
		for _, t := range f.Snapshots {
			names = append(names, t.Where.Remote)
		}
	}
	var all []unapprovedRemote
	for _, r := range storage.WithWrapped(f, names) {
		if goes, before := describeRemote(f, r), known[r.Name]; goes != before {
			all = append(all, unapprovedRemote{r, whereTo(r.Name, goes, before)})
		}
	}
	return all, nil
}

// describeRemote says where a remote is, as whom it is used and which secrets it is
// given. Secrets are named, never shown.
func describeRemote(f *fleet.Fleet, r fleet.Remote) string {
	words := append([]string{r.Type}, describeOptions(r.Type, r.Options)...)
	if r.Type == "local" {
		words = append(words, "folders on the computer that uses it: "+strings.Join(foldersOn(f, r.Name), " "))
	}
	for _, h := range storage.HostCredentials(r) {
		words = append(words, fmt.Sprintf("(for %s: %s)", h.To, strings.Join(describeOptions(r.Type, h.Options), " ")))
	}
	return strings.Join(words, " ")
}

func describeOptions(kind string, options map[string]secret.Setting) []string {
	var words []string
	for _, option := range slices.Sorted(maps.Keys(options)) {
		name, isSecret := options[option].Secret()
		switch {
		case isSecret:
			words = append(words, fmt.Sprintf("%s=the secret %s", option, strconv.Quote(name)))
		case !storage.IsTuning(kind, option):
			words = append(words, option+"="+strconv.Quote(options[option].String()))
		}
	}
	return words
}

// foldersOn are the folders that the fleet uses on a remote, or on one that wraps it.
func foldersOn(f *fleet.Fleet, remote string) []string {
	all := []fleet.Location{f.Record, f.Shared}
	for _, t := range f.Snapshots {
		all = append(all, t.Where)
	}
	var folders []string
	for _, where := range all {
		if where.Remote == remote {
			folders = append(folders, strconv.Quote(where.Path))
		}
	}
	for _, r := range f.Remotes {
		if inner := r.Options["remote"].String(); r.Type == "crypt" && (inner == remote || strings.HasPrefix(inner, remote+":")) {
			folders = append(folders, strconv.Quote(strings.TrimPrefix(inner, remote+":")))
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}
