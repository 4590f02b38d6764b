// Package agentapi defines the messages between salvor and salvord: JSON on the
// standard input and output of `salvord VERB`, reached through a machine. It is
// versioned; a salvord understands its own schema and the previous one.
package agentapi

import (
	"slices"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/route"
	"salvor/internal/sign"
)

// Schema is the version of these types: the protocol. A build of salvor works with every
// build of salvord that speaks its protocol, so a change that an older one may not ignore
// raises it; see docs/adr/0031-two-builds.md.
//
// Protocol 2 has Host.Manage: a salvord that ignored it would take over what is not Salvor's.
// Protocol 3 has fleet.Restore.Volumes: one that ignored them would take every volume back.
// Protocol 4 has Host.Ingress: of a request without it, a host does not take off what it publishes.
const Schema = 4

// OldestSchema is the oldest protocol that this salvord answers.
const OldestSchema = max(Schema-1, 1)

// Host is a host's part of the fleet at one commit: what `salvord apply` makes true
// and what salvord keeps in /etc/salvor/fleet.json to boot from. It has no secret in
// plain text.
type Host struct {
	Schema   int             `json:"schema"`
	Fleet    string          `json:"fleet"`
	Name     string          `json:"name"`
	Commit   string          `json:"commit"`
	Docker   fleet.Docker    `json:"docker"`
	Manage   fleet.Areas     `json:"manage"` // none of protocol 1, which had no areas: both that there are
	Networks []fleet.Network `json:"networks,omitempty"`
	Mounts   []fleet.Mount   `json:"mounts,omitempty"`
	Git      Git             `json:"git"`
	SSH      SSH             `json:"ssh,omitzero"`
	Tailnet  *Tailnet        `json:"tailnet,omitempty"` // of a host that has the area; nil for none
	Outside  Outside         `json:"outside,omitzero"`  // where Manage has the firewall
	Signers  sign.Keys       `json:"signers,omitempty"` // the fleet's signing keys
	Record   fleet.Location  `json:"record"`
	Own      *Stack          `json:"own,omitempty"`    // what the host has of its own: a stack without services, that is never started; nil for nothing
	Stacks   []Stack         `json:"stacks,omitempty"` // in start order: needs first

	Ingress  *Ingress     `json:"ingress,omitempty"`  // nil for a host that publishes nothing
	Projects []OwnProject `json:"projects,omitempty"` // the host's own, which no stack declares

	Bandwidth map[string]string `json:"bandwidth,omitempty"` // by remote: how much of the host's line it may use, as rclone's --bwlimit
}

// Kept returns all whose data snapshots keep: the stacks, and the host's own.
func (h Host) Kept() []Stack {
	if h.Own == nil {
		return h.Stacks
	}
	return append(slices.Clone(h.Stacks), *h.Own)
}

// Routes returns all that the host is asked to publish, of stopped stacks and closed ones too;
// none where it publishes nothing.
func (h Host) Routes() []route.Owned {
	if h.Ingress == nil {
		return nil
	}
	var all []route.Owned
	for _, r := range h.Ingress.Routes {
		all = append(all, route.Owned{Owner: fleet.Own(h.Name), Route: r})
	}
	for _, st := range h.Stacks {
		for _, r := range st.Project.Routes {
			all = append(all, route.Owned{Owner: st.Name, Route: r})
		}
	}
	return all
}

// SSH has the keys that the host accepts, in addition to those that it accepts anyway.
type SSH struct {
	User string   `json:"user"` // whose authorized_keys
	Keys []string `json:"keys"` // its lines
}

// Outside is what reaches a host from outside.
type Outside struct {
	SSHFrom []fleet.Source   `json:"ssh_from,omitempty"` // none for everywhere
	Open    []fleet.OpenPort `json:"open,omitempty"`
}

// Git is how this host reads the control repository: with its own key, made on
// the host at `host add`, read-only.
type Git struct {
	URL        string   `json:"url,omitempty"` // "" when the repository has no remote
	Branch     string   `json:"branch,omitempty"`
	KnownHosts []string `json:"known_hosts,omitempty"` // lines for the Git host
}

// Stack is one placed stack as a host needs it.
type Stack struct {
	Name       string                  `json:"name"`
	Epoch      int                     `json:"epoch"`
	Stopped    bool                    `json:"stopped,omitempty"`
	Project    project.Project         `json:"project"`
	Volumes    []project.Volume        `json:"volumes,omitempty"`
	Targets    []Target                `json:"targets,omitempty"`
	Images     map[string]string       `json:"images,omitempty"`    // service to pinned reference, from the lock
	Sealed     []byte                  `json:"sealed,omitempty"`    // sealed/<host>/<stack>.age
	Signature  []byte                  `json:"signature,omitempty"` // of Sealed, by the fleet's key
	Inputs     string                  `json:"inputs,omitempty"`    // digest of what Sealed must be made from; "" while it is being replaced
	Consent    project.Consent         `json:"consent,omitempty"`
	Adopt      *project.Adoption       `json:"adopt,omitempty"`   // with this Consent
	Draft      bool                    `json:"draft,omitempty"`   // with this Consent: the containers are made again from what was made of them
	Restore    *fleet.Restore          `json:"restore,omitempty"` // of this epoch; done when the host says so
	Proven     map[string]fleet.Proven `json:"proven,omitempty"`  // by repository, from the lock
	RPO        time.Duration           `json:"rpo,omitempty"`
	PauseLimit time.Duration           `json:"pause_limit"`
	PauseEvery time.Duration           `json:"pause_every"`
	Hooks      fleet.Hooks             `json:"hooks,omitzero"`  // around its snapshots
	Stops      []string                `json:"stops,omitempty"` // services that are stopped for a snapshot, not paused
	Needs      []string                `json:"needs,omitempty"`
	Shared     *Shared                 `json:"shared,omitempty"`      // of a stack that has shared volumes
	AcceptLoss bool                    `json:"accept_loss,omitempty"` // a newest snapshot that the remote has lost is given up for the newest that is there, unless the stack ran here at this epoch
	From       string                  `json:"from,omitempty"`        // the only target that restores take from, for one apply; "" for all
	Kept       bool                    `json:"kept,omitempty"`        // the commit's files do not load: all except the values above from the lock is as the host has it
}

// Ingress is how a host publishes routes: its own, and those of its stacks. The token for it
// is in the seal of Host.Own. A host that gets routes is one of Hosts, see fleet.Fleet.Publishes.
type Ingress struct {
	Account string        `json:"account"`          // the id of Cloudflare's account
	Network string        `json:"network"`          // Docker's, on which the connector reaches services
	Hosts   int           `json:"hosts"`            // how many hosts of the fleet publish: they share what Cloudflare's API takes
	Routes  []route.Route `json:"routes,omitempty"` // the host's own, of ingress.routes
	Tunnel  string        `json:"tunnel,omitempty"` // the ID of the tunnel that the host took over; "" for one of its own

	// Former are other hosts, by what they have of their own, up to the epoch whose marks mean
	// nothing any more: a route of theirs may be this host's now.
	Former map[string]int `json:"former,omitempty"`
}

// OwnProject is a Compose project that a host makes for itself. It has no placement, claim,
// volume or seal. A salvord that does not know the name makes none.
type OwnProject struct {
	Name  string `json:"name"`            // begins with fleet.OwnProjectPrefix, as no stack's does
	Image string `json:"image,omitempty"` // of its containers: in a request with its digest once the lock has one; from a host the one that runs, "" while none does
}

// Image returns the image of one of the host's own projects, "" for one that is not asked for.
func (h Host) Image(project string) string {
	for _, p := range h.Projects {
		if p.Name == project {
			return p.Image
		}
	}
	return ""
}

// IsOwn reports whether it is what a host has of its own.
func (s Stack) IsOwn() bool {
	_, own := fleet.OwnerOf(s.Name)
	return own
}

// Shared says where a stack's shared volumes are and how they are mounted.
type Shared struct {
	Where fleet.Location    `json:"where"` // the folder of all stacks; a volume is in STACK/VOLUME below it
	Mount fleet.SharedMount `json:"mount"`
}

// Target is one snapshot target with the stack's repository on it.
type Target struct {
	Name       string         `json:"name"`
	Where      fleet.Location `json:"where"` // the target's folder; the repository is <path>/<stack>/<repository>
	Repository string         `json:"repository"`
	Former     []string       `json:"former,omitempty"` // repositories before it, newest last: restored from, never written to
	Every      time.Duration  `json:"every"`
	RPO        time.Duration  `json:"rpo,omitempty"` // goal for its data, instead of the stack's; 0 for none
	Keep       fleet.Keep     `json:"keep"`
	AppendOnly bool           `json:"append_only,omitempty"` // the host deletes nothing there
}

// Origin returns the repository that the stack's data began with. It names the
// data, whatever repositories came after it.
func (t Target) Origin() string {
	if len(t.Former) > 0 {
		return t.Former[0]
	}
	return t.Repository
}

// Line returns the target once for each of its repositories: with the present
// one first, then with each former one, newest first.
func (t Target) Line() []Target {
	line := []Target{t}
	for _, id := range slices.Backward(t.Former) {
		former := t
		former.Repository, former.Former = id, nil
		line = append(line, former)
	}
	return line
}
