package controlrepo

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// checkFleet reports what fleet.yaml says that does not fit together.
func checkFleet(r *yamldoc.Reader, f *fleet.Fleet) {
	checkLocation(r, f, f.Record, "record")
	checkLocation(r, f, f.Shared, "data", "shared")
	checkTargets(r, f)
	checkWrapped(r, f)
	checkCredentials(r, f)
	checkHosts(r, f)
	checkDocker(r, f.Docker, "docker")
	checkTailnet(r, f)
	checkIngress(r, f)
}

// checkLocation reports a location on a remote that is not declared. A zero
// location is not one.
func checkLocation(r *yamldoc.Reader, f *fleet.Fleet, l fleet.Location, at ...string) {
	if l.Remote == "" {
		return
	}
	if _, ok := f.Remote(l.Remote); !ok {
		r.Add(r.Places.Of(append(at, "remote")...), "there is no remote %q under remotes%s", l.Remote, suggest.DidYouMean(l.Remote, remoteNames(f)))
	}
}

func checkTargets(r *yamldoc.Reader, f *fleet.Fleet) {
	names, places := map[string]bool{}, map[fleet.Location]string{}
	for i, t := range f.Snapshots {
		at := []string{"data", "snapshots", strconv.Itoa(i)}
		checkLocation(r, f, t.Where, at...)
		if names[t.Name] {
			r.Add(r.Places.Of(append(at, "name")...), "two snapshot targets are named %q", t.Name)
		}
		if first, taken := places[t.Where]; taken {
			r.Add(r.Places.Of(append(at, "path")...), "the targets %q and %q are the same place", first, t.Name)
		}
		names[t.Name], places[t.Where] = true, t.Name
	}
}

// checkWrapped reports remotes of type crypt that wrap none, or, through
// others, themselves.
func checkWrapped(r *yamldoc.Reader, f *fleet.Fleet) {
	for _, remote := range f.Remotes {
		seen := map[string]bool{}
		for at := remote; at.Type == "crypt"; {
			inner := wrapped(at)
			next, ok := f.Remote(inner)
			if !ok && at.Name == remote.Name {
				r.Add(r.Places.Of("remotes", remote.Name, "remote"), "a crypt remote wraps another one, named by its "+
					"option remote; there is no remote %q%s", inner, suggest.DidYouMean(inner, remoteNames(f)))
			}
			if !ok || seen[inner] {
				break
			}
			if inner == remote.Name {
				r.Add(r.Places.Of("remotes", remote.Name, "remote"), "the remote %q wraps itself", inner)
				break
			}
			seen[inner] = true
			at = next
		}
	}
}

// wrapped returns the name of the remote in a crypt remote's option, which is
// written `drive` or, as rclone has it, `drive:path`.
func wrapped(crypt fleet.Remote) string {
	name, _, _ := strings.Cut(crypt.Options["remote"].String(), ":")
	return name
}

// checkCredentials reports credentials for hosts and stacks that are not declared.
func checkCredentials(r *yamldoc.Reader, f *fleet.Fleet) {
	for _, remote := range f.Remotes {
		for _, host := range slices.Sorted(maps.Keys(remote.Hosts)) {
			if _, ok := f.Host(host); !ok {
				r.Add(r.Places.Of("remotes", remote.Name, "hosts", host), "host %q is not declared%s", host, suggest.DidYouMean(host, hostNames(f)))
			}
		}
		for _, stack := range slices.Sorted(maps.Keys(remote.Stacks)) {
			if _, ok := f.Stack(stack); !ok {
				r.Add(r.Places.Of("remotes", remote.Name, "stacks", stack), "there is no stack %q in %s/%s", stack, fleet.StackDir, suggest.DidYouMean(stack, stackNames(f)))
			}
		}
	}
}

func checkHosts(r *yamldoc.Reader, f *fleet.Fleet) {
	former := map[string]string{}
	checkServers(r, f)
	for _, h := range f.Hosts {
		checkDocker(r, h.Docker, "hosts", h.Name, "docker")
		checkMounts(r, h)
		checkProtect(r, f, h)
		checkOutside(r, h)
		if h.Formerly == "" {
			continue
		}
		place := r.Places.Of("hosts", h.Name, "formerly")
		if _, still := f.Host(h.Formerly); still {
			r.Add(place, "%q was formerly %q, but a host of that name is still declared", h.Name, h.Formerly)
		}
		if first, taken := former[h.Formerly]; taken {
			r.Add(place, "both %q and %q were formerly %q", first, h.Name, h.Formerly)
		}
		former[h.Formerly] = h.Name
	}
}

func checkDocker(r *yamldoc.Reader, d fleet.Docker, at ...string) {
	switch {
	case d.URL != "" && d.Key == "":
		r.Add(r.Places.Of(append(at, "url")...), "%s.url needs a key next to it: packages are never installed unsigned", strings.Join(at, "."))
	case d.URL == "" && d.Key != "":
		r.Add(r.Places.Of(append(at, "key")...), "%s.key belongs to a url, but there is none", strings.Join(at, "."))
	}
}

func remoteNames(f *fleet.Fleet) []string {
	names := make([]string, len(f.Remotes))
	for i, r := range f.Remotes {
		names[i] = r.Name
	}
	return names
}

func hostNames(f *fleet.Fleet) []string {
	names := make([]string, len(f.Hosts))
	for i, h := range f.Hosts {
		names[i] = h.Name
	}
	return names
}

// readSigners reads the list that fleet.yaml names.
func readSigners(r *yamldoc.Reader, fsys fs.FS, g fleet.Git) fleet.Signers {
	s := fleet.Signers{GPG: g.GPG}
	if g.Signers == "" {
		return s
	}
	content, err := fs.ReadFile(fsys, g.Signers)
	if err != nil {
		r.Add(r.Places.Of("git", "signers"), "%s can't be read: %v", g.Signers, errors.Unwrap(err))
	} else if s.SSH = content; s.Empty() {
		r.Add(r.Places.Of("git", "signers"), "%s is empty: no commit would be accepted", g.Signers)
	}
	return s
}

// checkServers refuses one server for two hosts: host destroy of one would end the other.
func checkServers(r *yamldoc.Reader, f *fleet.Fleet) {
	has := map[fleet.Server]string{}
	for _, h := range f.Hosts {
		if h.Server == (fleet.Server{}) {
			continue
		}
		if first := has[h.Server]; first != "" {
			r.Add(r.Places.Of("hosts", h.Name, "server"), "hosts.%s.server: %s is the server of %s", h.Name, h.Server, first)
			continue
		}
		has[h.Server] = h.Name
	}
}
