package agentapi

import (
	"cmp"
	"strings"
	"time"

	"salvor/internal/finding"
	"salvor/internal/sign"
)

// The verbs of salvord that take one of these requests on standard input.
const (
	VerbObserve   = "observe"
	VerbApply     = "apply"
	VerbSnapshot  = "snapshot"
	VerbSnapshots = "snapshots"
	VerbBringBack = "bring-back"
	VerbRelease   = "release"
	VerbStatus    = "status"
	VerbEnrol     = "enrol"

	VerbDeliveries = "deliveries" // a salvord before these verbs refuses them by name
	VerbPrepare    = "prepare"
	VerbFence      = "fence"
	VerbStandBy    = "stand-by"
	VerbKeys       = "keys"
	VerbServices   = "services"
	VerbControl    = "control"
	VerbNewest     = "newest"
)

// Observe asks what a host is like and what apply would change there. Nothing
// is written.
type Observe struct {
	Host    Host     `json:"host"`
	Devices []string `json:"devices,omitempty"` // that its stacks ask for
}

// HostState is the answer to Observe, and the world a plan is made from.
type HostState struct {
	Schema      int               `json:"schema"`
	Salvord     string            `json:"salvord,omitempty"`   // version
	OS          string            `json:"os,omitempty"`        // "debian 13"
	Arch        string            `json:"arch,omitempty"`      // as Go names it
	Commit      string            `json:"commit"`              // last applied, "" for none
	Recipient   string            `json:"recipient,omitempty"` // of the host's identity, "" where it can't be read
	Signer      sign.Public       `json:"signer,omitempty"`    // the host's signing key, "" where it can't be read
	Changes     []Change          `json:"changes,omitempty"`
	Stacks      []StackState      `json:"stacks,omitempty"`   // those asked for and those found, by name
	Projects    []ProjectState    `json:"projects,omitempty"` // the host's own that the last apply asked for
	Guarded     []string          `json:"guarded,omitempty"`  // hostnames, with their paths, that ask for protection by the last apply
	Findings    []finding.Finding `json:"findings,omitempty"`
	Report      *Report           `json:"report,omitempty"`      // nil of a host whose salvord does not make one
	Node        *Node             `json:"node,omitempty"`        // of a host that is to be in the tailnet
	Clock       time.Time         `json:"clock,omitzero"`        // the host's, when it answered; zero of an older salvord
	Fingerprint string            `json:"fingerprint,omitempty"` // over what was seen, so that apply notices when the world moved
}

// A Change is one thing apply would do on a host, and why.
type Change struct {
	Stack    string `json:"stack,omitempty"`    // "" for the host itself
	ID       string `json:"id"`                 // "package docker.io", "volume db", "service web"
	Action   string `json:"action"`             // "+" makes, "~" changes, "-" takes away
	Cause    string `json:"cause"`              // "mode is 0644, want 0600"
	Destroys string `json:"destroys,omitempty"` // the data it may lose

	Open  bool   `json:"open,omitempty"`  // of a route: everyone reaches it
	Opens string `json:"opens,omitempty"` // the hostname, with its path, that loses its protection
}

// A ChangeKind is what a Change is about: the first word of its ID.
type ChangeKind string

// The kinds that operators' programs look at.
const (
	ChangeDirectory ChangeKind = "directory"
	ChangeName      ChangeKind = "name" // what the stack is called
	ChangePackages  ChangeKind = "packages"
	ChangePlacement ChangeKind = "placement"
	ChangeRoute     ChangeKind = "route"
	ChangeSecrets   ChangeKind = "secrets"
	ChangeServices  ChangeKind = "services"
	ChangeSettings  ChangeKind = "settings"
	ChangeVolume    ChangeKind = "volume"
)

// Kind returns what the change is about.
func (c Change) Kind() ChangeKind {
	kind, _, _ := strings.Cut(c.ID, " ")
	return ChangeKind(kind)
}

// StackState is what a host knows of one stack.
type StackState struct {
	Name     string        `json:"name"`
	Epoch    int           `json:"epoch"`             // of what is deployed here, 0 for nothing
	Commit   string        `json:"commit"`            // deployed from
	Hash     string        `json:"hash,omitempty"`    // of the deployed project
	Missing  []string      `json:"missing,omitempty"` // services that ought to run and don't
	Drifted  []string      `json:"drifted,omitempty"` // services that were changed by something other than Salvor
	Ungated  []string      `json:"ungated,omitempty"` // services that run and that Docker itself may start after a boot
	Wanted   bool          `json:"wanted"`            // part of the request
	Stopped  bool          `json:"stopped,omitempty"` // declared so: salvor down
	Verdict  Verdict       `json:"verdict,omitempty"`
	Wish     *Wish         `json:"wish,omitempty"` // of the request's Restore
	Services []ServiceRow  `json:"services,omitempty"`
	Volumes  []VolumeRow   `json:"volumes,omitempty"`
	Outside  []string      `json:"outside,omitempty"`  // its mounts that are kept elsewhere, as written: no snapshot has them
	Snapshot *SnapshotInfo `json:"snapshot,omitempty"` // newest that is on the remote, as this host knows
	Targets  []TargetState `json:"targets,omitempty"`  // in the order of the file; none of a salvord that does not report them

	SnapshotUnknown string `json:"snapshot_unknown,omitempty"` // why it can't be said which snapshot is newest

	Schedule *Schedule     `json:"schedule,omitempty"` // of its snapshots, nil for a stack that none is taken of
	Failed   *FailedDeploy `json:"failed,omitempty"`   // the last deploy, where it did not become healthy
	Shared   *SharedState  `json:"shared,omitempty"`   // of a stack with shared volumes
}

// ProjectState is what a host knows of one of its own projects.
type ProjectState struct {
	OwnProject
	Services []ServiceRow `json:"services,omitempty"`
}

// SharedState is how a stack's shared volumes are. They are on a remote and are not part of
// snapshots.
type SharedState struct {
	Volumes []string  `json:"volumes"`
	Remote  string    `json:"remote"`
	Mounted bool      `json:"mounted"`
	Files   int       `json:"files"` // that are not on the remote yet
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest,omitzero"` // when the one was written that waits longest
}

// Schedule is when snapshots of a stack are taken.
type Schedule struct {
	Every   time.Duration `json:"every"`
	Next    time.Time     `json:"next"`              // when it is due, in the past for one that is late
	Pausing []string      `json:"pausing,omitempty"` // the volumes that the stack is paused for, where Every is longer than asked for because of them
	Owed    bool          `json:"owed,omitempty"`    // a restore waits for it
}

// FailedDeploy is a deploy that did not become healthy.
type FailedDeploy struct {
	Commit string    `json:"commit"`
	At     time.Time `json:"at"`
	Why    string    `json:"why"`
}

// Wish is the state of a stack's fleet.Restore on its host.
type Wish struct {
	ID    string    `json:"id"`
	State WishState `json:"state"`
	At    time.Time `json:"at,omitzero"`   // when it failed
	Why   string    `json:"why,omitempty"` // it failed
}

// WishState is how far a wish has come.
type WishState string

// The states of a wish.
const (
	WishPending WishState = "pending" // not tried yet, or an attempt was interrupted
	WishDone    WishState = "done"    // its data is in place
	WishFailed  WishState = "failed"  // tried again only when the operator asks again
)

// Verdict is what the fencing check said.
type Verdict string

// The verdicts.
const (
	VerdictOwn     Verdict = "own"
	VerdictLost    Verdict = "lost"
	VerdictUnknown Verdict = "unknown" // neither Git nor the record remote answered
)

// ServiceRow is one of a service's containers.
type ServiceRow struct {
	Name      string    `json:"name"`
	Container string    `json:"container,omitempty"`
	Image     string    `json:"image"`
	State     string    `json:"state"`            // running, exited, paused, missing …
	Health    string    `json:"health,omitempty"` // healthy, unhealthy, starting, "" for a service without a check
	Since     time.Time `json:"since,omitzero"`   // it started or, where it ended, since then
	Exit      int       `json:"exit,omitempty"`   // code with which it ended last
	Restarts  int       `json:"restarts,omitempty"`
	Ports     []string  `json:"ports,omitempty"` // "8080->80", "127.0.0.1:5353->53/udp"
	Error     string    `json:"error,omitempty"` // why the engine could not start it
	Gated     bool      `json:"gated"`
	Done      bool      `json:"done,omitempty"`    // it ran once, to a good end
	ByHand    bool      `json:"by_hand,omitempty"` // salvor stop: it stays so until salvor start, restart or apply
}

// VolumeRow is one protected volume.
type VolumeRow struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	State string `json:"state"` // "ready", "starts empty", "restores a1b2c3d4 (4m old)", "refused: …"
}

// SnapshotInfo is a snapshot as reports show it.
type SnapshotInfo struct {
	ID    string    `json:"id"`
	Epoch int       `json:"epoch"`
	Seq   int       `json:"seq"`
	Began time.Time `json:"began"`
	Bytes int64     `json:"bytes,omitempty"`
	Files int       `json:"files,omitempty"`
	// Loaded is when a dump of the data's databases was last loaded for a try,
	// the oldest where there are several; zero for never, or without a dump.
	Loaded time.Time `json:"loaded,omitzero"`
}

// Apply asks a host to become what Host says. Fingerprint is the one of the
// plan; "" applies without comparing, which only recover does.
type Apply struct {
	Host        Host   `json:"host"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Owner       string `json:"owner"`   // "alice@laptop", for the error of a second run
	Message     string `json:"message"` // what the run is, "apply 1a2b3c4"

	// Wait has the stacks that a former host may still run, with how long from
	// now: they start no earlier.
	Wait map[string]time.Duration `json:"wait,omitempty"`

	Join *Join `json:"join,omitempty"` // for a host that is to be in the tailnet and is not

	Opens []string `json:"opens,omitempty"` // hostnames, with their paths, that the operator knows to lose their protection: the host refuses others
}

// HostReceipt is what an apply did on one host.
type HostReceipt struct {
	Schema   int               `json:"schema"`
	Host     string            `json:"host"`
	Commit   string            `json:"commit"`
	Changed  []Change          `json:"changed,omitempty"`
	Phases   []Phase           `json:"phases,omitempty"`
	Stacks   []StackReceipt    `json:"stacks,omitempty"`
	Projects []OwnProject      `json:"projects,omitempty"` // the host's own, as they run
	Node     *Node             `json:"node,omitempty"`     // of a host that is to be in the tailnet
	Routes   *RoutesReceipt    `json:"routes,omitempty"`   // of a host that publishes, or did before
	Findings []finding.Finding `json:"findings,omitempty"`
}

// Phase is a part of the work with its times; phases overlap.
type Phase struct {
	Name  string    `json:"name"`
	Stack string    `json:"stack,omitempty"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
}

// StackReceipt is what happened to one stack.
type StackReceipt struct {
	Name     string               `json:"name"`
	Epoch    int                  `json:"epoch"`
	Outcome  string               `json:"outcome"` // "untouched", "deployed", "adopted", "restored", "stopped", "kept", "failed", "interrupted"
	Error    *Error               `json:"error,omitempty"`
	Images   map[string]string    `json:"images,omitempty"` // service to reference with digest
	Born     map[string]time.Time `json:"born,omitempty"`   // volumes that became ready
	Restored *SnapshotInfo        `json:"restored,omitempty"`
	Wish     string               `json:"wish,omitempty"` // id of the fleet.Restore that is fulfilled
	Healthy  time.Time            `json:"healthy,omitzero"`
}

// TakeSnapshot asks for a snapshot of a placed stack now.
type TakeSnapshot struct {
	Stack        string `json:"stack"`
	AcceptShrunk bool   `json:"accept_shrunk,omitempty"`
	Diverged     bool   `json:"diverged,omitempty"`    // of what was moved aside, not of what the stack has
	AcceptLoss   bool   `json:"accept_loss,omitempty"` // earlier snapshots that are gone from the remote are given up
}

// BringBack asks a host to restore a snapshot of its own data into a folder of its own:
// nothing that is there is replaced.
type BringBack struct {
	Snapshot string `json:"snapshot,omitempty"` // id or the beginning of one, "" for the newest
}

// BroughtBack is where a snapshot of a host's own data is now.
type BroughtBack struct {
	Schema   int    `json:"schema"`
	Snapshot string `json:"snapshot"`
	Folder   string `json:"folder"` // with the data of each protected folder, under its own path
}

// Snapshots asks for a placed stack's snapshots on every target.
type Snapshots struct {
	Stack string `json:"stack"`
}

// SnapshotList is the answer to Snapshots: oldest first, one entry a snapshot
// and target.
type SnapshotList struct {
	Schema    int           `json:"schema"`
	Stack     string        `json:"stack"`
	Snapshots []SnapshotRow `json:"snapshots"`

	Silent []SilentTarget `json:"silent,omitempty"` // targets that did not answer

	Findings []finding.Finding `json:"findings,omitempty"` // by salvor, about the answer
}

// SnapshotRow is one snapshot on one target.
type SnapshotRow struct {
	SnapshotInfo
	Target   string            `json:"target"`
	Commit   string            `json:"commit"`           // that was applied when it was taken
	Images   map[string]string `json:"images,omitempty"` // service to reference with digest
	Volumes  []string          `json:"volumes"`
	Diverged bool              `json:"diverged,omitempty"` // taken by a host that had lost the stack
	Damaged  string            `json:"damaged,omitempty"`  // why it can't be restored, "" for a good one
	Unproven bool              `json:"unproven,omitempty"` // not known to be proven: restored only by its id
	Future   bool              `json:"future,omitempty"`   // of an epoch above the placement's: never restored
	Missing  bool              `json:"missing,omitempty"`  // it was proven, and the target does not list it; Damaged says so, too
	Former   int               `json:"former,omitempty"`   // how many repositories ago: 0 for the present one
}

// Before reports whether o is the newer snapshot: in a newer repository, else by
// epoch and sequence.
func (s SnapshotRow) Before(o SnapshotRow) bool {
	return cmp.Or(cmp.Compare(o.Former, s.Former), cmp.Compare(s.Epoch, o.Epoch), cmp.Compare(s.Seq, o.Seq)) < 0
}

// Release asks a host to release a stack that moves away: stop, final snapshot, read
// back. The data stays. A host that has released it already, and has not started it
// since, answers with the same snapshot.
type Release struct {
	Stack   string `json:"stack"`
	Epoch   int    `json:"epoch"` // the one being left
	Owner   string `json:"owner"`
	Message string `json:"message"`
}

// Fence asks a host to stop stacks that were taken over by another one, without a
// snapshot. The data stays.
type Fence struct {
	Stacks  map[string]int `json:"stacks"` // to the epoch at which they were taken over
	Owner   string         `json:"owner"`
	Message string         `json:"message"`
}

// Fenced is the answer to Fence: every stack of it is stopped.
type Fenced struct {
	Schema int `json:"schema"`
}

// SnapshotReceipt is the answer to TakeSnapshot and Release.
type SnapshotReceipt struct {
	Stack    string            `json:"stack"`
	Skipped  bool              `json:"skipped,omitempty"` // nothing had changed; Snapshot is the one that has it all
	Snapshot SnapshotInfo      `json:"snapshot"`
	Paused   time.Duration     `json:"paused,omitempty"`
	Stopped  time.Time         `json:"stopped,omitzero"` // Release: when the last writer ended
	Verified string            `json:"verified"`         // how: "12 objects compared by md5, index and snapshot read with a cold cache"; "" where there is no snapshot to verify
	Why      string            `json:"why,omitempty"`    // there was nothing to take: "nothing to protect"
	Findings []finding.Finding `json:"findings,omitempty"`
}

// Enrol asks a host for its identity, its signing key and its key for Git; all are made there
// at the first call and never change. It says which keys are the fleet's.
type Enrol struct {
	Fleet   string    `json:"fleet"`
	Host    string    `json:"host"`
	Signers sign.Keys `json:"signers,omitempty"` // none leaves those that the host trusts
}

// Enrolment is the answer to Enrol.
//
// Containers are the names of those that there are, whatever made them and whether they
// run. Unseen says why they can't be listed, "" where they can.
type Enrolment struct {
	Containers []string `json:"containers,omitempty"`
	Unseen     string   `json:"unseen,omitempty"`

	Prepares bool `json:"prepares,omitempty"` // Salvor installs packages on its distribution

	Recipient string      `json:"recipient"` // age recipient of the host's identity
	Signer    sign.Public `json:"signer"`    // signs what the host finds out
	GitKey    string      `json:"git_key"`   // SSH public key, authorized_keys format
}

// StandBy asks a host to leave the data and snapshots of stacks alone until salvor hangs
// up. The event of this step that is done says that it does.
type StandBy struct {
	Stacks []string `json:"stacks"`
}

// AskKeys asks a host which machine it is. Nothing is made.
type AskKeys struct{}

// HostKeys is the answer to AskKeys.
type HostKeys struct {
	Schema    int         `json:"schema"`
	Recipient string      `json:"recipient,omitempty"` // of its identity, "" where it can't be read
	Signer    sign.Public `json:"signer,omitempty"`    // its signing key, "" where it can't be read
}

// Prepare asks a host to install what data is restored with.
type Prepare struct{}

// Prepared is the answer to Prepare.
type Prepared struct {
	Schema  int      `json:"schema"`
	Changed []Change `json:"changed,omitempty"`
}

// Deliveries asks which secrets were put into a host's memory, and when.
type Deliveries struct {
	Since time.Time `json:"since"`
}

// DeliveryList is the answer to Deliveries, oldest first.
type DeliveryList struct {
	Schema     int        `json:"schema"`
	Deliveries []Delivery `json:"deliveries"`

	Findings []finding.Finding `json:"findings,omitempty"` // by salvor, about the answer
}

// A Delivery is one time that secrets were written for a stack: at its deploy, at
// a boot, or because they changed.
type Delivery struct {
	At       time.Time `json:"at"`
	Stack    string    `json:"stack"`
	Commit   string    `json:"commit"`
	Services []string  `json:"services,omitempty"` // whose files
	Secrets  []string  `json:"secrets"`            // NAME, or STACK/KEY
}
