package agent

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

// A setting is one thing that the commit says and the host keeps in its
// fleet.json, in words. Settings of one group belong to one thing, which is there
// as a whole or not at all.
type setting struct{ group, name, value string }

// settingsChanges returns what of the host's file would change, in addition to the
// other changes: the project, its sealed file and its place. What differs by nature,
// such as the commit and what the lock learned from this very host, is not a change.
func settingsChanges(applied, want agentapi.Host, others []agentapi.Change) []agentapi.Change {
	var all []agentapi.Change
	if applied.Schema == 0 {
		if len(others) == 0 {
			all = append(all, agentapi.Change{ID: string(agentapi.ChangeSettings), Action: "+", Cause: "not delivered here yet"})
		}
	} else {
		all = append(all, settingsChange("", hostSettings(applied), hostSettings(want))...)
	}
	for _, st := range want.Stacks {
		if st.Kept {
			continue
		}
		i := slices.IndexFunc(applied.Stacks, func(a agentapi.Stack) bool { return a.Name == st.Name })
		told := slices.ContainsFunc(others, func(c agentapi.Change) bool { return c.Stack == st.Name })
		switch {
		case i >= 0:
			was, now := stackSettings(applied.Stacks[i], st)
			all = append(all, settingsChange(st.Name, was, now)...)
		case !told:
			all = append(all, agentapi.Change{Stack: st.Name, ID: string(agentapi.ChangeSettings), Action: "+", Cause: "not delivered here yet"})
		}
	}
	return slices.Concat(all, projectChanges(applied, want), routeChanges(applied, want))
}

func settingsChange(stack string, was, now []setting) []agentapi.Change {
	said := differences(was, now)
	if len(said) == 0 {
		return nil
	}
	return []agentapi.Change{{Stack: stack, ID: string(agentapi.ChangeSettings), Action: "~", Cause: strings.Join(said, "; ")}}
}

// differences returns what differs between was and now, ordered as in the second.
func differences(was, now []setting) []string {
	var said []string
	for _, s := range now {
		switch i := slices.IndexFunc(was, s.same); {
		case i >= 0 && was[i].value != s.value:
			said = append(said, fmt.Sprintf("%s %s → %s", s.label(), cmp.Or(was[i].value, "none"), cmp.Or(s.value, "none")))
		case i < 0 && s.group != "" && !grouped(was, s.group):
			said = append(said, s.group+" added")
		case i < 0:
			said = append(said, fmt.Sprintf("%s %s", s.label(), cmp.Or(s.value, "none")))
		}
	}
	for _, s := range was {
		switch {
		case slices.ContainsFunc(now, s.same):
		case s.group != "" && !grouped(now, s.group):
			said = append(said, s.group+" removed")
		default:
			said = append(said, fmt.Sprintf("%s %s → none", s.label(), cmp.Or(s.value, "none")))
		}
	}
	return slices.Compact(said)
}

func (s setting) same(o setting) bool { return s.group == o.group && s.name == o.name }

func (s setting) label() string {
	if s.group == "" {
		return s.name
	}
	return s.group + ": " + s.name
}

func grouped(all []setting, group string) bool {
	return slices.ContainsFunc(all, func(s setting) bool { return s.group == group })
}

// said is "yes", or "" for what is not asked.
func said(yes bool) string {
	if yes {
		return "yes"
	}
	return ""
}

// dockerUsers is "" where the group is left as it is.
func dockerUsers(names []string) string {
	if names != nil && len(names) == 0 {
		return "no one"
	}
	return strings.Join(names, ", ")
}

// hostSettings are what the file says in addition to its stacks.
func hostSettings(h agentapi.Host) []setting {
	all := []setting{
		{name: "schema", value: fmt.Sprint(h.Schema)}, {name: "fleet", value: h.Fleet}, {name: "name", value: h.Name},
		{name: "docker channel", value: h.Docker.Channel}, {name: "docker repository", value: h.Docker.URL}, {name: "docker key", value: short(h.Docker.Key)},
		{name: "docker live-restore", value: said(h.Docker.LiveRestore)}, {name: "docker users", value: dockerUsers(h.Docker.Users)},
		{name: "Git address", value: h.Git.URL}, {name: "Git branch", value: h.Git.Branch}, {name: "Git host keys", value: short(strings.Join(h.Git.KnownHosts, "\n"))},
		{name: "SSH user", value: h.SSH.User}, {name: "accepted SSH keys", value: short(strings.Join(h.SSH.Keys, "\n"))},
		{name: "SSH from", value: words(h.Outside.SSHFrom)}, {name: "open ports", value: words(h.Outside.Open)},
		{name: "fleet's signing keys", value: strings.Join(h.Signers.Fingerprints(), ", ")},
		{name: "record", value: here.LocationText(h.Record)},
	}
	for _, remote := range slices.Sorted(maps.Keys(h.Bandwidth)) {
		all = append(all, setting{name: "bandwidth of " + remote, value: h.Bandwidth[remote]})
	}
	for _, m := range h.Mounts {
		group := "mount " + m.Name
		all = append(all, setting{group, "at", m.At}, setting{group, "kind", string(m.Kind)}, setting{group, "source", m.Source}, setting{group, "options", m.Options}, setting{group, "credentials", m.Credentials})
	}
	if h.Own != nil {
		all = append(all, setting{name: "what the host has of its own", value: fmt.Sprintf("%s at epoch %d, seal %s", h.Own.Name, h.Own.Epoch, short(here.SealedDigest(*h.Own)))})
		for _, v := range h.Own.Volumes {
			all = append(all, setting{"protected folder " + v.Path, "method", string(v.Method)})
		}
		for _, s := range generalSettings(*h.Own) {
			all = append(all, setting{strings.TrimSpace("own " + s.group), s.name, s.value})
		}
	}
	if t := h.Tailnet; t != nil {
		all = append(all, setting{"tailnet", "tags", strings.Join(t.Tags, ", ")}, setting{"tailnet", "login_server", t.LoginServer}, setting{"tailnet", "accept_dns", fmt.Sprint(t.AcceptDNS)},
			setting{"tailnet", "repository", t.URL}, setting{"tailnet", "key", short(t.Key)})
	}
	if i := h.Ingress; i != nil {
		all = append(all, setting{"ingress", "account", i.Account}, setting{"ingress", "network", i.Network}, setting{"ingress", "hosts that publish", fmt.Sprint(i.Hosts)}, setting{"ingress", "tunnel", i.Tunnel})
		for _, owner := range slices.Sorted(maps.Keys(i.Former)) {
			all = append(all, setting{"ingress", "takes hostnames over from " + owner, fmt.Sprintf("up to epoch %d", i.Former[owner])})
		}
	}
	for _, n := range h.Networks {
		group := "network " + n.Name
		all = append(all, setting{group, "driver", n.Driver}, setting{group, "subnet", n.Subnet}, setting{group, "internal", fmt.Sprint(n.Internal)})
	}
	return all
}

// words are values as text.
func words[T ~string](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, string(one))
	}
	return strings.Join(texts, ", ")
}

// stackSettings are what the file said of a stack and what it is to say, as far
// as they can be compared: where a volume is follows from the Compose file, whose
// change is one of its services.
func stackSettings(applied, want agentapi.Stack) (was, now []setting) {
	sameProject := applied.Project.Hash == want.Project.Hash && applied.Project.Dir == want.Project.Dir
	known := func(v project.Volume, others []project.Volume) bool {
		return sameProject || slices.ContainsFunc(others, func(o project.Volume) bool { return o.Name == v.Name })
	}
	was, now = generalSettings(applied), generalSettings(want)
	if before, after := targets(applied), targets(want); slices.Equal(slices.Sorted(slices.Values(before)), slices.Sorted(slices.Values(after))) {
		was = append(was, setting{name: "order of targets", value: strings.Join(before, ", ")})
		now = append(now, setting{name: "order of targets", value: strings.Join(after, ", ")})
	}
	if want.Stopped || applied.Stopped {
		was, now = append(was, stoppedSettings(applied)...), append(now, stoppedSettings(want)...)
	}
	for _, v := range applied.Volumes {
		if known(v, want.Volumes) {
			was = append(was, volumeSettings(v, sameProject)...)
		}
	}
	for _, v := range want.Volumes {
		if known(v, applied.Volumes) {
			now = append(now, volumeSettings(v, sameProject)...)
		}
	}
	return was, now
}

func generalSettings(st agentapi.Stack) []setting {
	all := []setting{
		{name: "rpo", value: duration(st.RPO)}, {name: "pause limit", value: duration(st.PauseLimit)}, {name: "pause every", value: duration(st.PauseEvery)},
		{name: "needs", value: strings.Join(st.Needs, ", ")}, {name: "stopped for snapshots", value: strings.Join(st.Stops, ", ")},
		{name: "hooks before snapshots", value: hooks(st.Hooks.Before)}, {name: "hooks after snapshots", value: hooks(st.Hooks.After)},
	}
	for _, t := range st.Targets {
		group := "target " + t.Name
		all = append(all, setting{group, "where", here.LocationText(t.Where)}, setting{group, "every", duration(t.Every)}, setting{group, "rpo", duration(t.RPO)}, setting{group, "keep", keep(t.Keep)},
			setting{group, "append_only", fmt.Sprint(t.AppendOnly)}, setting{group, "repository", t.Repository}, setting{group, "former repositories", strings.Join(t.Former, ", ")})
	}
	return append(all, sharedSettings(st.Shared)...)
}

func hooks(all []fleet.Hook) string {
	var words []string
	for _, h := range all {
		who := h.Service
		if h.User != "" {
			who += " as " + h.User
		}
		words = append(words, fmt.Sprintf("%s: %s (%s)", who, strings.Join(h.Command, " "), duration(h.Limit)))
	}
	return strings.Join(words, ", ")
}

func sharedSettings(s *agentapi.Shared) []setting {
	if s == nil {
		return nil
	}
	m := s.Mount
	return []setting{
		{"shared volumes", "where", here.LocationText(s.Where)}, {"shared volumes", "uid", fmt.Sprint(m.UID)}, {"shared volumes", "gid", fmt.Sprint(m.GID)},
		{"shared volumes", "umask", fmt.Sprintf("%03o", m.Umask)}, {"shared volumes", "cache", terminal.Bytes(m.Cache)}, {"shared volumes", "keep_free", terminal.Bytes(m.KeepFree)},
	}
}

func targets(st agentapi.Stack) []string {
	var names []string
	for _, t := range st.Targets {
		names = append(names, t.Name)
	}
	return names
}

// stoppedSettings are what the services of a running stack show.
func stoppedSettings(st agentapi.Stack) []setting {
	return []setting{
		{name: "stopped", value: fmt.Sprint(st.Stopped)}, {name: "epoch", value: fmt.Sprint(st.Epoch)},
		{name: "project", value: short(st.Project.Hash + st.Project.Dir)}, {name: "seal", value: short(here.SealedDigest(st))},
	}
}

func volumeSettings(v project.Volume, whole bool) []setting {
	group := "volume " + v.Name
	all := []setting{{group, "protect", string(v.Protect)}, {group, "consistent", string(v.Method)}, {group, "from", v.From}, {group, "writers", string(v.Writers)},
		{group, "exclude", strings.Join(v.Exclude, ", ")}, {group, "caches", string(v.Caches)}}
	if whole {
		all = append(all, setting{group, "written as", v.Source}, setting{group, "Docker volume", v.Docker}, setting{group, "path", v.Path},
			setting{group, "services", strings.Join(v.Services, ", ")}, setting{group, "database", v.Service}, setting{group, "mounted at", v.MountAt}, setting{group, "formerly", v.Formerly})
	}
	return all
}

// duration is as fleet.yaml has it: "15m", not "15m0s"; "" for none.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func keep(k fleet.Keep) string {
	var parts []string
	for _, p := range []struct {
		name string
		n    int
	}{{"last", k.Last}, {"hourly", k.Hourly}, {"daily", k.Daily}, {"weekly", k.Weekly}, {"monthly", k.Monthly}, {"yearly", k.Yearly}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", p.name, p.n))
		}
	}
	return strings.Join(parts, ", ")
}

// short stands for a text that is too long to be shown: equal texts have equal ones.
func short(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
