// Package remotes tries the fleet's remotes from the operator's computer, and pins the
// keys of their servers.
package remotes

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// Open opens a folder of a remote.
type Open func(ctx context.Context, where fleet.Location) (*storage.Folder, error)

// Remotes are the declared remotes of a checkout.
type Remotes struct {
	checkout *checkout.Checkout
	open     Open
}

// New returns those of a checkout, whose folders open opens.
func New(c *checkout.Checkout, open Open) *Remotes { return &Remotes{checkout: c, open: open} }

// Declared returns a remote, and the remotes that it wraps.
func (r *Remotes) Declared(name string) ([]fleet.Remote, error) {
	if _, err := storage.Declared(&r.checkout.Fleet, name); err != nil {
		return nil, err
	}
	return storage.WithWrapped(&r.checkout.Fleet, []string{name}), nil
}

// Unpinned returns the sftp server of a remote whose key is not pinned, as a host to
// look at.
func Unpinned(r fleet.Remote) (server fleet.Host, unpinned bool) {
	if r.Type != "sftp" || r.Options["host_keys"].String() != "" {
		return fleet.Host{}, false
	}
	server = fleet.Host{Name: "remote " + r.Name, Address: r.Options["host"].String(), User: r.Options["user"].String(), Port: 22}
	if port, err := strconv.Atoi(r.Options["port"].String()); err == nil {
		server.Port = port
	}
	return server, true
}

// Pin writes a server's key, which the operator trusts, to the remote in fleet.yaml. It
// is committed and pushed where the newest commit is opened, and else written to the
// working tree alone.
func (r *Remotes) Pin(ctx context.Context, remote fleet.Remote, key ssh.PublicKey) error {
	content, err := r.checkout.File(fleet.File)
	if err != nil {
		return err
	}
	pinned := secret.ParseSetting(string(key))
	own := fleet.Remote{Name: remote.Name, Type: remote.Type, Options: map[string]secret.Setting{"host_keys": pinned}}
	if content, err = controlrepo.SetRemote(content, own); err != nil {
		return err
	}
	if r.checkout.Files == checkout.Committed {
		err = r.checkout.CommitFiles(ctx, map[string][]byte{fleet.File: content}, "remote test: "+remote.Name+"'s key pinned")
	} else {
		err = atomicfile.Write(filepath.Join(r.checkout.Root, fleet.File), bytes.NewReader(content), 0o644)
	}
	if err != nil {
		return err
	}
	for i, each := range r.checkout.Fleet.Remotes {
		if each.Name == remote.Name {
			each.Options = maps.Clone(each.Options)
			each.Options["host_keys"] = pinned
			r.checkout.Fleet.Remotes[i] = each
		}
	}
	return nil
}

// Edited reports whether fleet.yaml in the working tree is not the commit's.
func Edited(c *checkout.Checkout) (bool, error) {
	committed, err := c.File(fleet.File)
	if err != nil {
		return false, err
	}
	there, err := os.ReadFile(filepath.Join(c.Root, fleet.File))
	return !bytes.Equal(committed, there), err
}

// A Tried is what was found out about one folder on a remote.
type Tried struct {
	Path       string
	Steps      []storage.Took
	Left       string        // the probe that could not be deleted, "" for none
	Speed      storage.Speed // of the first folder where something could be deleted again
	Room       storage.Room  // empty where the remote does not say
	AppendOnly bool          // fleet.yaml says that hosts delete nothing there
	Err        error         // why it can't be used, with a hint
}

// Test tries each folder that the fleet uses on a remote, one after the other: it
// writes, reads, lists and deletes an object there.
func (r *Remotes) Test(ctx context.Context, name string, sink progress.Sink) ([]Tried, error) {
	declared, err := r.Declared(name)
	if err != nil {
		return nil, err
	}
	folders := r.folders(name)
	if len(folders) == 0 {
		if declared[0].Type == "local" {
			return nil, fault.WithHint(fmt.Errorf("nothing of the fleet is on the remote %s, and a local one is this computer's disk", name), "name the folder first, under data.snapshots in fleet.yaml")
		}
		folders = []Tried{{}}
	}
	for i := range folders {
		t := &folders[i]
		done := progress.Scope{Sink: sink, Host: name}.Step("test "+cmp.Or(t.Path, "the top folder"), "")
		err := r.try(ctx, name, t, i == 0)
		done(err, "")
		if code, set := fault.Code(err); ctx.Err() != nil || set && code != fault.Unreachable {
			return folders[:i], err // not the remote's fault: interrupted, not confirmed, no key
		}
		t.Err = explained(declared, err)
	}
	return folders, nil
}

// Reach lists one folder of a remote, and changes nothing there.
func (r *Remotes) Reach(ctx context.Context, name string) error {
	declared, err := r.Declared(name)
	if err != nil {
		return err
	}
	var path string
	if used := r.folders(name); len(used) > 0 {
		path = used[0].Path
	}
	folder, err := r.open(ctx, fleet.Location{Remote: name, Path: path})
	if err == nil {
		err = errors.Join(folder.Test(ctx), folder.Close(context.WithoutCancel(ctx)))
	}
	return explained(declared, storage.Explain(err, false))
}

// folders are those that the fleet uses on a remote, sorted, each once.
func (r *Remotes) folders(remote string) []Tried {
	f := &r.checkout.Fleet
	found := map[string]Tried{}
	for _, where := range []fleet.Location{f.Record, f.Shared} {
		if where.Remote == remote {
			found[where.Path] = Tried{Path: where.Path}
		}
	}
	for _, t := range f.Snapshots {
		if t.Where.Remote == remote {
			found[t.Where.Path] = Tried{Path: t.Where.Path, AppendOnly: t.AppendOnly}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Tried) int { return strings.Compare(a.Path, b.Path) })
}

func (r *Remotes) try(ctx context.Context, remote string, t *Tried, measure bool) error {
	folder, err := r.open(ctx, fleet.Location{Remote: remote, Path: t.Path})
	if err != nil {
		return storage.Explain(err, false)
	}
	probe, err := folder.Probe(ctx)
	t.Steps, t.Left = probe.Steps, probe.Left
	if err == nil && measure && t.Left == "" {
		t.Speed, err = folder.Measure(ctx)
	}
	if err == nil {
		t.Room, err = folder.Room(ctx)
	}
	return errors.Join(err, folder.Close(context.WithoutCancel(ctx)))
}

// explained adds the next step to why a remote can't be used.
func explained(remote []fleet.Remote, err error) error {
	hint := fault.Hint(err)
	switch {
	case hint != "":
	case errors.Is(err, storage.ErrOtherKey):
		hint = "if the server was reinstalled, remove host_keys from the remote in fleet.yaml and run this again; otherwise someone may be intercepting the connection"
	case errors.Is(err, storage.ErrFolder):
		hint = "is root_folder_id (or team_drive) right, and may this account see it? With the scope drive.file a login sees only what its own client made: --scope drive --folder ID"
	case errors.Is(err, storage.ErrGrant):
		hint = (&storage.Denied{Remote: remote[len(remote)-1].Name}).Fix()
	case errors.Is(err, storage.ErrLogin):
		hint = loginHint(remote)
	case errors.Is(err, storage.ErrFull):
		hint = "make room on the remote; salvor snapshot prune removes what the retention does not keep"
	case errors.Is(err, storage.ErrReadOnly):
		hint = "let the remote's user write there, or name another folder in fleet.yaml"
	case errors.Is(err, storage.ErrUnreachable):
		hint = "check the address in fleet.yaml, and whether the server runs and answers from here"
	}
	return fault.WithHint(err, hint)
}

// loginHint names the secrets with which a remote is reached.
func loginHint(remote []fleet.Remote) string {
	base := remote[len(remote)-1]
	if !base.Options["token"].IsZero() && base.Type == "drive" {
		return (&storage.Denied{Remote: base.Name}).Fix()
	}
	for _, option := range slices.Sorted(maps.Keys(base.Options)) {
		if name, is := base.Options[option].Secret(); is && storage.IsSecret(base.Type, option) {
			return "salvor secret set " + name + " sets it again; is the user in fleet.yaml right?"
		}
	}
	return "give the remote " + base.Name + " a login in fleet.yaml; docs/snapshots.md shows what each type needs"
}
