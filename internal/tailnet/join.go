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
	joinTime   = 90 * time.Second
)

// A Source is where the packages come from, and the key that signs them.
type Source struct {
	URL   string // "https://pkgs.tailscale.com/stable/debian"
	Suite string // the distribution's codename
	Key   []byte // armored
}

// Resources are what makes a host a member of the tailnet: the package from its own apt
// repository, the daemon, and the membership.
func Resources(s Source, m Membership) []converge.Resource {
	packages := resource.Packages{Name: program, List: []resource.Package{{Name: program}}, After: []string{"repository " + repository}}
	daemon := resource.Unit{Name: unit, Boot: resource.Enabled, Run: resource.Running, Needs: []string{packages.ID()}}
	m.Needs = append(slices.Clone(m.Needs), daemon.ID())
	return []converge.Resource{
		resource.Directory{Path: "/etc/apt/keyrings", Mode: 0o755},
		resource.Repository{Name: repository, URL: s.URL, Suite: s.Suite, Components: "main", Key: s.Key},
		packages, daemon, m,
	}
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

// A state is what the daemon says of itself.
type state struct {
	Backend string `json:"BackendState"`
	Self    struct {
		Tags []string `json:"Tags"`
	} `json:"Self"`
}

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
	var is state
	var want prefs
	err := ask(ctx, h, &is, "status", "--json", "--peers=false")
	if err == nil {
		err = ask(ctx, h, &want, "debug", "prefs")
	}
	if errors.Is(err, errNotThere) {
		return m.change(h, true, converge.Makes, "tailscaled is not there yet"), nil
	}
	if err != nil {
		return nil, err
	}
	switch is.Backend {
	case "Running", "Starting", "Stopped":
	default: // NeedsLogin, NoState, NeedsMachineAuth
		return m.change(h, true, converge.Makes, "it is logged out: "+terminal.Line(is.Backend)), nil
	}
	causes := m.differs(want)
	if len(causes) == 0 {
		return nil, nil
	}
	moves := m.server() != server(want.ControlURL)
	return m.change(h, moves, converge.Changes, strings.Join(causes, ", ")), nil
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
		argv := []string{program, "up", "--reset", "--timeout=60s", "--hostname=" + m.Hostname, fmt.Sprintf("--accept-dns=%t", m.AcceptDNS),
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
		return err
	}}
}

var errNotThere = errors.New("tailscaled is not there")

// ask runs tailscale, which prints JSON.
func ask(ctx context.Context, h *observe.Host, answer any, args ...string) error {
	out, err := h.Run(ctx, machine.Cmd{Argv: append([]string{"env", program}, args...), Timeout: joinTime})
	if exit, is := errors.AsType[*machine.ExitError](err); is {
		if exit.Code == 127 || strings.Contains(string(exit.Stderr), "failed to connect to local tailscaled") {
			return errNotThere
		}
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out.Stdout, answer); err != nil {
		return fmt.Errorf("tailscale %s: the answer is not JSON", args[0])
	}
	return nil
}
