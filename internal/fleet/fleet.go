// Package fleet is the vocabulary of what the operator declares: hosts, stacks,
// volumes, remotes, placements. Values of this package are validated; only package
// controlrepo makes them from files, and they are not validated again.
package fleet

import (
	"time"

	"salvor/internal/secret"
)

// Schema is the version of every format Salvor writes: fleet.yaml, salvor.lock,
// host state, journal, claims, receipts and --json.
const Schema = 1

// A Fleet is everything the control repository declares, at one commit.
type Fleet struct {
	Name       string
	MinVersion string   // the oldest salvor that may apply this fleet, "" for any
	Hosts      []Host   // sorted by name
	Remotes    []Remote // in the order of the file
	Record     Location // claims, facts, operators' journal; where salvor.lock has it, before the first placement on the first remote
	Shared     Location // where volumes that live on a remote are; zero when none may
	Snapshots  []Target // in the order of preference for taking; at least one when a volume is protected
	Networks   []Network
	Registries []Registry
	Vaults     map[string]secret.Setting // Ansible Vault id to its password
	Secrets    []Secret                  // what is said of single secrets; sorted by name
	ScanAllow  []string                  // files and folders that a scan skips, see Allowed
	Vars       map[string]string
	Binds      Binds // what folders of the hosts are that stacks mount
	Docker     Docker
	SSHFrom    []Source // from where hosts with Salvor's firewall take SSH; none for everywhere
	Git        Git
	Tailnet    *PrivateNetwork // nil for none
	Ingress    Ingress         // how routes reach the internet
	Recipients Recipients
	Playbooks  Playbooks // of Ansible, around an apply
	Stacks     []Stack   // sorted by name
}

// A Host is a declared server. A host within reach is a machine.
type Host struct {
	Name    string
	Address string  // IP address or DNS name
	Port    int     // SSH, 22 by default
	User    string  // root by default; another one needs sudo without a password
	Jump    string  // "user@host:port", "" for a direct connection; its key is pinned like any other
	Docker  Docker  // overrides the fleet's where set
	Manage  Areas   // what Salvor takes care of there
	Mounts  []Mount // sorted by name
	// SSHFrom overrides the fleet's where it has some.
	SSHFrom []Source
	// Open are the ports that the firewall leaves open from outside, in the order of the file.
	Open []OpenPort
	// Protect are folders of the host's own that snapshots keep, sorted.
	Protect []string
	Server  Server // that Salvor had made for it; zero for one that was there before

	ReadToken secret.Setting // with which it reads the repository over https: the fleet's

	// Formerly is the name the host had before, when it was renamed.
	Formerly string
}

// Docker says where a host's engine comes from.
type Docker struct {
	Channel string // "distribution", "docker" (Docker's apt repository) or "" for: distribution where it has Compose v2, else docker
	URL     string // apt repository instead of Docker's own, for mirrors
	Key     string // its signing key, armored, when URL is set

	LiveRestore bool     // containers run on while the engine is restarted
	Users       []string // the members of the group docker, each as good as root; nil leaves the group as it is
}

// From reports whether it says where Docker comes from.
func (d Docker) From() bool { return d.Channel != "" || d.URL != "" || d.Key != "" }

// Git is where hosts read the control repository. The zero value means: the URL of
// the operator's own remote.
type Git struct {
	URL    string
	Branch string // "main" by default

	Key secret.Setting // SSH private key that may read the repository, for the recovery card

	Token     secret.Setting // of the operators at the Git host: it goes to no host of the fleet
	ReadToken secret.Setting // with which hosts read the repository over https

	Signers string   // path in the repository of the keys that may sign commits, as OpenSSH's allowed_signers; "" for none
	GPG     []string // fingerprints of GnuPG keys that may, too
}

// Recipients are the age recipients every secret is encrypted to.
type Recipients struct {
	Operators map[string]string // name to age recipient
	Recovery  string            // age recipient of the recovery identity
}

// A Remote is an rclone remote: a backend type and its options, some of which
// are secrets. Type "crypt" wraps the remote named by its option "remote".
type Remote struct {
	Name    string
	Type    string
	Options map[string]secret.Setting

	Bandwidth string // how much of a computer's line it may use, as rclone's --bwlimit; "" for all

	// Credentials that hosts are given in place of the operators' own in Options: a
	// stack's, by its name, else those of the host that has the stack.
	Hosts  map[string]Credential
	Stacks map[string]Credential
}

// A Credential is as whom and with what a remote is reached, by the options of its
// backend.
type Credential map[string]secret.Setting

// A Location is a path on a remote.
type Location struct {
	Remote string `json:"remote,omitempty"`
	Path   string `json:"path"`
}

// String returns REMOTE:PATH, as commands take it.
func (l Location) String() string { return l.Remote + ":" + l.Path }

// A Target is one place where snapshots go.
type Target struct {
	Name  string
	Where Location
	Every time.Duration
	RPO   time.Duration // goal for the data there, instead of each stack's; 0 for none
	Keep  Keep

	AppendOnly bool // hosts delete nothing there; operators prune
}

// TargetNames are the names of the snapshot targets, in the order of the file.
func (f *Fleet) TargetNames() []string {
	var names []string
	for _, t := range f.Snapshots {
		names = append(names, t.Name)
	}
	return names
}

// Keep is a retention policy: how many snapshots to keep by each measure. The
// newest is always kept.
type Keep struct {
	Last    int `json:"last,omitempty"`
	Hourly  int `json:"hourly,omitempty"`
	Daily   int `json:"daily,omitempty"`
	Weekly  int `json:"weekly,omitempty"`
	Monthly int `json:"monthly,omitempty"`
	Yearly  int `json:"yearly,omitempty"`
}

// A Network is a Docker network that stacks join as external. It is created
// before any stack.
type Network struct {
	Name     string
	Driver   string // "bridge" by default
	Subnet   string
	Internal bool
}

// A Registry holds images behind a login.
type Registry struct {
	Name     string // host[:port]
	Username secret.Setting
	Password secret.Setting
}

// A Secret is what fleet.yaml says of one secret; most need nothing said.
type Secret struct {
	Name     string        // as `salvor secret` takes it: NAME, STACK/KEY, FILE.yml/KEY
	Command  []string      // prints the value on the operator's machine; nil: an encrypted file holds it
	Timeout  time.Duration // of the command
	Revision int           // of the value that the command prints, from 1: what Git knows of its changes
	Rotate   time.Duration // how old a value may get, 0 for any age
}

// Secret returns what is said of the secret of that name.
func (f *Fleet) Secret(name string) (Secret, bool) {
	for _, s := range f.Secrets {
		if s.Name == name {
			return s, true
		}
	}
	return Secret{}, false
}

// Host returns the declared host of that name.
func (f *Fleet) Host(name string) (Host, bool) {
	for _, h := range f.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

// Stack returns the stack of that name.
func (f *Fleet) Stack(name string) (Stack, bool) {
	for _, s := range f.Stacks {
		if s.Name == name {
			return s, true
		}
	}
	return Stack{}, false
}

// Remote returns the remote of that name.
func (f *Fleet) Remote(name string) (Remote, bool) {
	for _, r := range f.Remotes {
		if r.Name == name {
			return r, true
		}
	}
	return Remote{}, false
}

// Bandwidths returns the bandwidth of each remote that has one, by its name.
func (f *Fleet) Bandwidths() map[string]string {
	all := map[string]string{}
	for _, r := range f.Remotes {
		if r.Bandwidth != "" {
			all[r.Name] = r.Bandwidth
		}
	}
	return all
}
