package confirmation

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

// formerGrants are what renamed hosts had under the names before.
func formerGrants(repo *controlrepo.Repository) []grant.Grant {
	var all []grant.Grant
	for _, h := range repo.Fleet.Hosts {
		if h.Formerly == "" {
			continue
		}
		// a loaded repository has the machine's key under the new name already
		for _, name := range []string{h.Formerly, h.Name} {
			if repo.Recipients[name] != "" {
				all = append(all, HostGrant(repo, h.Formerly, name))
			}
		}
		all = append(all, grant.Address(h.Formerly, ReachedAt(h), h.Jump))
	}
	return all
}

// declaredGrants are what fleet.yaml and hosts/ let others do.
func declaredGrants(repo *controlrepo.Repository) []grant.Grant {
	f := &repo.Fleet
	var all []grant.Grant
	for _, name := range slices.Sorted(maps.Keys(f.Recipients.Operators)) {
		all = append(all, grant.Operator(name, f.Recipients.Operators[name]))
	}
	if f.Recipients.Recovery != "" {
		all = append(all, grant.Recovery(f.Recipients.Recovery))
	}
	for _, h := range f.Hosts {
		if repo.Recipients[h.Name] != "" {
			all = append(all, HostGrant(repo, h.Name, h.Name))
		}
		all = append(all, grant.Address(h.Name, ReachedAt(h), h.Jump))
	}
	for _, k := range repo.HostKeys {
		if k.Marker != "@revoked" {
			all = append(all, HostKeyGrant(f, k))
		}
	}
	return slices.Concat(all, LoginGrants(repo), sourceGrants(f))
}

// LoginGrants are the keys that hosts accept.
func LoginGrants(repo *controlrepo.Repository) []grant.Grant {
	var all []grant.Grant
	for _, line := range repo.LetIn {
		fields := strings.Fields(line) // the loader has checked it: type, key, comment
		wire, _ := base64.StdEncoding.DecodeString(fields[1])
		all = append(all, grant.Login(reach.FingerprintOf(wire), strings.Join(fields[2:], " "), loginUsers(&repo.Fleet)))
	}
	return all
}

// HostGrant is that a name is the host which has the keys of another name, or of itself.
func HostGrant(repo *controlrepo.Repository, name, of string) grant.Grant {
	signer := ""
	if k := repo.HostSigners[of]; k != "" {
		signer = k.Fingerprint()
	}
	return grant.Host(name, repo.Recipients[of], signer)
}

// sourceGrants are from where hosts take what they run, and who is sent secrets.
func sourceGrants(f *fleet.Fleet) []grant.Grant {
	var all []grant.Grant
	for _, r := range f.Registries {
		for _, s := range []secret.Setting{r.Username, r.Password} {
			if name, is := s.Secret(); is {
				all = append(all, grant.Sent("registry "+r.Name, name))
			}
		}
	}
	if name, is := f.Git.Token.Secret(); is {
		all = append(all, GitTokenGrant(name))
	}
	if name, is := f.Git.ReadToken.Secret(); is {
		all = append(all, grant.Sent("every host", name))
	}
	if name, is := f.Ingress.Token.Secret(); is && f.Ingress.Complete() {
		all = append(all, grant.Sent("ingress cloudflare", name))
	}
	if f.Git.URL != "" {
		all = append(all, grant.Source("git", "the repository", f.Git.URL, ""))
	}
	docker := map[string]fleet.Docker{"docker": f.Docker}
	for _, h := range f.Hosts {
		docker["docker/"+h.Name] = h.Docker
	}
	for _, name := range slices.Sorted(maps.Keys(docker)) {
		if d := docker[name]; d.URL != "" {
			sum := sha256.Sum256([]byte(d.Key))
			all = append(all, grant.Source(name, "Docker", d.URL, hex.EncodeToString(sum[:])))
		}
	}
	return all
}

// GitTokenGrant is that the Git host is sent a secret, as the operators' token.
func GitTokenGrant(name string) grant.Grant { return grant.Sent("git host", name) }

// ReachedAt is as whom and where a host is reached.
func ReachedAt(h fleet.Host) string { return h.User + "@" + reach.KnownHostsName(h.Address, h.Port) }

// HostKeyGrant is that a key is a host's, or its jump host's.
func HostKeyGrant(f *fleet.Fleet, k controlrepo.HostKey) grant.Grant {
	return grant.HostKey(strings.TrimSpace(k.Marker+" "+strings.Join(k.Patterns, ",")), whoseKey(f, k), k.Type, reach.FingerprintOf(k.Key))
}

// whoseKey names the hosts that a line of known_hosts is about.
func whoseKey(f *fleet.Fleet, k controlrepo.HostKey) string {
	var names []string
	for _, h := range f.Hosts {
		if slices.Contains(k.Patterns, reach.KnownHostsName(h.Address, h.Port)) {
			names = append(names, h.Name)
		}
		if j := reach.ParseJump(h.Jump); h.Jump != "" && slices.Contains(k.Patterns, reach.KnownHostsName(j.Address, j.Port)) {
			names = append(names, h.Name+"'s jump host")
		}
	}
	return strings.Join(names, ", ")
}

// loginUsers returns the users as whom the keys of hosts/authorized_keys may log in.
func loginUsers(f *fleet.Fleet) string {
	by := map[string][]string{}
	for _, h := range f.Hosts {
		by[h.User] = append(by[h.User], h.Name)
	}
	if len(by) == 0 || len(by) == 1 && by["root"] != nil {
		return "root on every host"
	}
	var parts []string
	for _, user := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s on %s", user, strings.Join(by[user], ", ")))
	}
	return strings.Join(parts, "; ") + " (with sudo)"
}
