package tailnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
	"salvor/internal/resource"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

const (
	repository = "salvor-tailscale"
	program    = "tailscale"
	unit       = "tailscaled.service"
	joinTime   = 60 * time.Second
	askTime    = 15 * time.Second
)

// A Source is where the packages come from, and the key that signs them.
type Source struct {
	URL   string // "https://pkgs.tailscale.com/stable/debian"
	Suite string // the distribution's codename
	Key   []byte // armored; none where the host's own sources have the package

	Foreign bool // the host has a tailscale that no package brought, which stays
}

// PackagesOf is Tailscale's own apt repository for a distribution, by its ID in os-release(5).
func PackagesOf(distribution string) string {
	return "https://pkgs.tailscale.com/stable/" + distribution
}

// Foreign reports whether a host has a tailscale that no package brought.
func Foreign(ctx context.Context, m machine.Machine) (bool, error) {
	programs := []string{"/usr/local/bin/tailscale", "/usr/bin/tailscale", "/usr/sbin/tailscale"}
	h := observe.New(m, observe.Query{Paths: programs})
	installed, err := h.Packages(ctx)
	if err != nil || installed[program].Installed() || installed[program].Interrupted() {
		return false, err
	}
	for _, path := range programs {
		if f, err := h.File(ctx, path); err != nil || f.Exists {
			return err == nil, err
		}
	}
	return false, nil
}

// Resources are what makes a host a member of the tailnet: the package, from an apt
// repository of its own where its key is known, the daemon, and the membership.
func Resources(s Source, m Membership) []converge.Resource {
	var all []converge.Resource
	packages := resource.Packages{Name: program, List: []resource.Package{{Name: program}}}
	daemon := resource.Unit{Name: unit, Boot: resource.Enabled, Run: resource.Running}
	if !s.Foreign {
		if len(s.Key) > 0 {
			from := resource.Repository{Name: repository, URL: s.URL, Suite: s.Suite, Components: "main", Key: s.Key}
			packages.After = []string{from.ID()}
			all = append(all, resource.Directory{Path: "/etc/apt/keyrings", Mode: 0o755}, from)
		}
		all, daemon.Needs = append(all, packages), []string{packages.ID()}
	}
	m.Needs = append(slices.Clone(m.Needs), daemon.ID())
	return append(all, daemon, m)
}

// A Membership is that the host is in a tailnet, under its name. A host that was logged
// out, or stopped, is drift.
type Membership struct {
	Hostname    string
	LoginServer string   // "" for Tailscale's own
	Tags        []string // sorted, "tag:salvor"
	AcceptDNS   bool
	// Key is asked only for a host that must join. It goes to tailscale by standard input.
	Key   func(context.Context) (secret.Value, error)
	Needs []string
}

var _ converge.Resource = Membership{}

// ID returns "tailnet HOSTNAME".
func (m Membership) ID() string { return "tailnet " + m.Hostname }

// Links returns the needs.
func (m Membership) Links() converge.Links { return converge.Links{Needs: m.Needs} }

// prefs are what the daemon was asked to be.
type prefs struct {
	ControlURL  string   `json:"ControlURL"`
	WantRunning bool     `json:"WantRunning"`
	CorpDNS     bool     `json:"CorpDNS"`
	Hostname    string   `json:"Hostname"`
	Tags        []string `json:"AdvertiseTags"`
}

// tailscaleServer is what ControlURL is for Tailscale's own.
const tailscaleServer = "https://controlplane.tailscale.com"

// Diff compares with what the daemon says. A daemon that is not there yet is a cause, since
// its unit comes first.
func (m Membership) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	is, asked, err := look(ctx, h)
	if errors.Is(err, ErrNotThere) {
		return m.change(h, true, converge.Makes, "tailscaled is not there yet"), nil
	}
	if err != nil {
		return nil, err
	}
	if !is.Member() {
		return m.change(h, true, converge.Makes, is.Absence()), nil
	}
	causes := m.differs(asked)
	if len(causes) == 0 {
		return nil, nil
	}
	return m.change(h, m.moves(asked), converge.Changes, strings.Join(causes, ", ")), nil
}

// Joins reports whether the host needs a key to become what the membership says.
func (m Membership) Joins(ctx context.Context, h runner) (bool, error) {
	is, asked, err := look(ctx, h)
	if errors.Is(err, ErrNotThere) {
		return true, nil
	}
	return err == nil && (!is.Member() || m.moves(asked)), err
}

// moves reports whether the host is in another tailnet.
func (m Membership) moves(asked prefs) bool { return m.server() != server(asked.ControlURL) }

// look returns what the daemon is, and what it was asked to be.
func look(ctx context.Context, h runner) (is Status, asked prefs, err error) {
	if is, err = StatusOf(ctx, h); err != nil {
		return is, asked, err
	}
	out, err := ask(ctx, h, "debug", "prefs")
	if err == nil && json.Unmarshal(out, &asked) != nil {
		err = errors.New("tailscale debug prefs: the answer is not what Tailscale describes")
	}
	return is, asked, err
}

// differs says what the daemon was asked to be otherwise.
func (m Membership) differs(is prefs) []string {
	var causes []string
	if got := server(is.ControlURL); got != m.server() {
		causes = append(causes, fmt.Sprintf("login server is %s, want %s", terminal.Line(got), m.server()))
	}
	if !is.WantRunning {
		causes = append(causes, "it is down")
	}
	if is.Hostname != m.Hostname {
		causes = append(causes, fmt.Sprintf("name is %q, want %q", is.Hostname, m.Hostname))
	}
	if is.CorpDNS != m.AcceptDNS {
		causes = append(causes, fmt.Sprintf("accept-dns is %t, want %t", is.CorpDNS, m.AcceptDNS))
	}
	have := slices.Sorted(slices.Values(is.Tags))
	if !slices.Equal(have, m.Tags) {
		causes = append(causes, fmt.Sprintf("tags are %q, want %q", have, m.Tags))
	}
	return causes
}

func (m Membership) server() string { return server(m.LoginServer) }

func server(url string) string {
	if url == "" {
		return tailscaleServer
	}
	return strings.TrimSuffix(url, "/")
}

// change joins, or only changes what a member is like.
func (m Membership) change(h *observe.Host, joins bool, action converge.Action, cause string) *converge.Change {
	return &converge.Change{Action: action, Cause: cause, Apply: func(ctx context.Context, say func(string)) error {
		argv := []string{program, "up", "--reset", "--timeout=30s", "--hostname=" + m.Hostname, fmt.Sprintf("--accept-dns=%t", m.AcceptDNS),
			"--login-server=" + m.server(), "--advertise-tags=" + strings.Join(m.Tags, ",")}
		c := machine.Cmd{Argv: argv, Timeout: joinTime}
		if joins {
			say("joining the tailnet")
			key, err := m.Key(ctx)
			if err != nil {
				return err
			}
			c.Argv = append(c.Argv, "--auth-key=file:/dev/stdin", "--force-reauth")
			c.Stdin = strings.NewReader(string(key.Reveal()) + "\n")
		}
		_, err := h.Run(ctx, c)
		return refused(err, m.server())
	}}
}

// What keeps a host out, as far as tailscale says it.
var (
	// ErrKey means that the key is wrong, was used, or has expired.
	ErrKey = errors.New("the control server refuses the key")
	// ErrControl means that the control server does not answer.
	ErrControl = errors.New("the control server does not answer")
)

// refused is the error of a `tailscale up` in one line, of what is known of it.
// Source: ipn/ipnlocal and cmd/tailscale/cli/up.go of tailscale.com.
func refused(err error, server string) error {
	exit, is := errors.AsType[*machine.ExitError](err)
	if !is {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
	said := strings.TrimPrefix(terminal.Line(lines[len(lines)-1]), "backend error: ")
	kind := errors.New("tailscale up")
	switch {
	case strings.Contains(string(exit.Stderr), "To authenticate, visit"):
		return fmt.Errorf("%w: it wants a person to log in with a browser", ErrKey)
	case strings.Contains(said, "tags"):
		kind = ErrTags
	case strings.Contains(said, "invalid key"), strings.Contains(said, "invalid authkey"):
		kind = ErrKey
	case strings.Contains(said, "timeout waiting for"), strings.Contains(said, "dial tcp"), strings.Contains(said, "connection refused"):
		return fmt.Errorf("%w: %s: %.200s", ErrControl, server, said)
	}
	return fmt.Errorf("%w: %.200s", kind, said)
}
