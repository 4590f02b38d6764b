package here

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/atomicfile"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/resource"
)

// mountPatience is how long a mount is waited for. systemd continues after that: what waits for
// the mount starts in one of the next rounds.
const mountPatience = 10 * time.Second

// HostMounts are a host's mounts, as it is asked to have them.
type HostMounts struct {
	host *Host
	spec agentapi.Host
}

// MountsOf returns the mounts of a host.
func MountsOf(h *Host, spec agentapi.Host) HostMounts { return HostMounts{h, spec} }

// Make has the declared mounts mounted that are not, as far as that is possible now.
// What is not there afterwards is a finding, and tried again in the next round.
//
// The error is about credentials that could not be delivered.
func (h HostMounts) Make(ctx context.Context) error {
	mounts := ReadMounts()
	absent := slices.DeleteFunc(slices.Clone(h.spec.Mounts), func(m fleet.Mount) bool { return !m.Made() || mounts.Has(m) })
	err := h.deliver(absent)
	var all sync.WaitGroup
	for _, m := range absent {
		all.Go(func() { _ = h.systemctl(ctx, mountPatience, "start", resource.MountUnit(m.At)) })
	}
	all.Wait()
	return err
}

// deliver writes the credentials of mounts into memory.
func (h HostMounts) deliver(mounts []fleet.Mount) error {
	mounts = slices.DeleteFunc(slices.Clone(mounts), func(m fleet.Mount) bool { return m.Credentials == "" })
	if len(mounts) == 0 || h.spec.Own == nil {
		return nil
	}
	own, err := h.host.At(h.spec, *h.spec.Own).Open()
	if err != nil {
		return err
	}
	secrets := h.host.Paths.Secrets()
	if _, err := h.host.Mount(string(secrets)); err != nil {
		return err
	}
	for _, m := range mounts {
		at := secrets.MountCredentials(m.Name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		if err := atomicfile.Write(at, bytes.NewReader(own.Access.File.Secrets[m.Name]), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (h HostMounts) systemctl(ctx context.Context, within time.Duration, argv ...string) error {
	_, err := h.host.Machine.Run(ctx, machine.Cmd{Argv: append([]string{"systemctl"}, argv...), Timeout: within})
	return err
}

// Findings are the declared mounts that are not there and that no stack needs: of others
// the stack's finding says it.
func (h HostMounts) Findings() []finding.Finding {
	var all []finding.Finding
	mounts := ReadMounts()
	for _, m := range h.spec.Mounts {
		if mounts.Has(m) || unmade(h.host, m) || slices.ContainsFunc(h.spec.Stacks, func(st agentapi.Stack) bool { return on(m, st) }) {
			continue
		}
		all = append(all, finding.Finding{Code: finding.MountAbsent, Severity: finding.Warning, Subject: h.spec.Name,
			Text: "external mount " + m.String() + " is not mounted", Fix: Absence{m, m.At}.fix(h.spec.Name)})
	}
	return all
}

// unmade reports whether a mount's unit is yet to be written by an apply.
func unmade(h *Host, m fleet.Mount) bool {
	_, err := os.Stat(filepath.Join(h.Paths.Units, resource.MountUnit(m.At)))
	return m.Made() && errors.Is(err, fs.ErrNotExist)
}

func on(m fleet.Mount, st agentapi.Stack) bool {
	for _, v := range st.Volumes {
		if innermost, is := fleet.MountOf([]fleet.Mount{m}, v.Path); is && innermost.Name == m.Name {
			return true
		}
	}
	return false
}

// A FormerMount is one that Salvor made and that is no longer declared.
type FormerMount struct {
	At     string
	UsedBy string // "stack films", "container web"; "" for nothing
}

// Former returns the mounts that Salvor made on this host and that are no longer
// declared, with what still uses them.
func (h HostMounts) Former(ctx context.Context) ([]FormerMount, error) {
	units, err := filepath.Glob(filepath.Join(h.host.Paths.Units, "*.mount"))
	if err != nil {
		return nil, err
	}
	var all []FormerMount
	for _, unit := range units {
		content, err := os.ReadFile(unit)
		if err != nil {
			continue // it was removed meanwhile
		}
		at, ours := resource.MountedAt(string(content))
		if !ours || slices.ContainsFunc(h.spec.Mounts, func(m fleet.Mount) bool { return m.Made() && m.At == at }) {
			continue
		}
		former := FormerMount{At: at}
		if former.UsedBy, err = h.userOf(ctx, at); err != nil {
			return nil, err
		}
		all = append(all, former)
	}
	return all, nil
}

// userOf names a stack or a running container with a folder below at, "" for none.
func (h HostMounts) userOf(ctx context.Context, at string) (string, error) {
	m := fleet.Mount{At: at}
	for _, st := range h.spec.Stacks {
		if on(m, st) {
			return "stack " + st.Name, nil
		}
	}
	mounts, err := h.host.Stacks.Mounts(ctx)
	if NoEngine(err) {
		return "", nil
	}
	for _, used := range mounts {
		if m.Has(used.Source) {
			return "container " + used.Container, nil
		}
	}
	return "", err
}

// Release unmounts the former mounts that nothing uses, and removes their units. One that
// can't be unmounted stays with its unit, and is tried again.
func (h HostMounts) Release(ctx context.Context) error {
	former, err := h.Former(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range former {
		if f.UsedBy != "" {
			continue
		}
		unit := resource.MountUnit(f.At)
		err := h.systemctl(ctx, mountPatience, "disable", "--now", unit)
		if err == nil {
			err = os.Remove(filepath.Join(h.host.Paths.Units, unit))
		}
		if err == nil {
			err = h.systemctl(ctx, mountPatience, "daemon-reload")
			h.host.Enter(journal.Entry{Kind: "mounts", Text: "unmounted " + f.At + ", which is no longer declared"})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", f.At, err))
		}
	}
	return errors.Join(errs...)
}

// FormerFindings are the former mounts that are still used.
func FormerFindings(host string, former []FormerMount) []finding.Finding {
	var all []finding.Finding
	for _, f := range former {
		if f.UsedBy == "" {
			continue
		}
		all = append(all, finding.Finding{Code: finding.MountKept, Severity: finding.Warning, Subject: host,
			Text: fmt.Sprintf("%s is no longer declared under mounts, but %s still uses it: it stays mounted", f.At, f.UsedBy),
			Fix:  fmt.Sprintf("move %s away from %s: Salvor then unmounts it; or declare the mount again", strings.TrimPrefix(f.UsedBy, "container "), f.At)})
	}
	return all
}
