package route

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/suggest"
)

// The prefixes of labels that are always read, the first one first.
const (
	prefix       = "dockflare."
	legacyPrefix = "cloudflare.tunnel."
)

// A suffix is what a label is called behind its prefix.
type suffix struct {
	name    string
	indexed bool
	unread  string // why it never has an effect
}

const unreadMigration = "only DockFlare's import of another tunnel reads it"

// suffixes are the labels of DockFlare 3.1
// (https://github.com/ChrispyBacon-dev/DockFlare).
var suffixes = []suffix{
	{name: "enable"},
	{name: "hostname", indexed: true},
	{name: "service", indexed: true},
	{name: "path", indexed: true},
	{name: "zonename", indexed: true},
	{name: "no_tls_verify", indexed: true},
	{name: "originsrvname", indexed: true},
	{name: "httpHostHeader", indexed: true},
	{name: "http2_origin", indexed: true},
	{name: "disable_chunked_encoding", indexed: true},
	{name: "match_sni_to_host", indexed: true},
	{name: "access.group", indexed: true},
	{name: "access.groups", indexed: true},
	{name: "access.policy", indexed: true},
	{name: "access.name", indexed: true},
	{name: "access.session_duration", indexed: true},
	{name: "access.app_launcher_visible", indexed: true},
	{name: "access.allowed_idps", indexed: true},
	{name: "access.auto_redirect_to_identity", indexed: true},
	{name: "access.custom_rules", indexed: true},
	{name: "access.email", indexed: true, unread: "no version of DockFlare reads it: name an access group"},
	{name: "port", indexed: true, unread: unreadMigration},
	{name: "protocol", indexed: true, unread: unreadMigration},
}

// A Container is a service with its labels.
type Container struct {
	Name   string // of the service
	Labels map[string]string
	Place  func(label string) string // where a label is written, for messages

	Unreadable []string // labels whose values are not known here: they have a secret, or what only the host knows
}

// A Note says why a label has no effect.
type Note struct {
	Place string `json:"place"`
	Label string `json:"label"`
	Why   string `json:"why"`
}

// A Reading is what labels, or other declarations, say.
type Reading struct {
	Routes   []Route
	Findings []finding.Finding
	Notes    []Note // sorted by label
}

// reader reads the labels of one container.
type reader struct {
	Settings
	c      Container
	read   map[string]bool   // labels with an effect, or with a finding that says enough
	why    map[string]string // of those without one
	demand map[string]string // by index: a label that wants protection and can't be understood
	out    Reading
}

var indexPattern = regexp.MustCompile(`^(\d+)\.`)

// A part is a label taken apart.
type part struct {
	prefix string // with which it begins, or was meant to
	exact  bool   // it does begin with it
	index  string // with its dot, "" for none
	name   string
}

// known reports whether a label with these parts is read.
func (p part) known() bool {
	at := slices.IndexFunc(suffixes, func(s suffix) bool { return s.name == p.name })
	return p.exact && at >= 0 && p.index == canonical(p.index) && (p.index == "" || suffixes[at].indexed)
}

// Read returns the routes that a container's labels declare. The base's is first, then
// those of the indexes. What is wrong with one of them stops no other.
func (s Settings) Read(c Container) Reading {
	r := &reader{Settings: s, c: c, read: map[string]bool{}, why: map[string]string{}, demand: map[string]string{}}
	if !r.any() {
		return r.out
	}
	if r.enabled() {
		r.unknown()
		r.routes()
		r.gaps()
	}
	r.notes()
	return r.out
}

// prefixes are those of labels, by precedence.
func (s Settings) prefixes() []string {
	if own := strings.TrimRight(s.Prefix, "."); own != "" {
		return []string{own + ".", prefix, legacyPrefix}
	}
	return []string{prefix, legacyPrefix}
}

// any reports whether a label could be meant for Salvor.
func (r *reader) any() bool {
	for label := range r.c.Labels {
		if _, is := r.split(label); is {
			return true
		}
	}
	return false
}

// split takes a label apart. is is false for one that is of something else.
func (r *reader) split(label string) (p part, is bool) {
	for _, begin := range r.prefixes() {
		if rest, is := strings.CutPrefix(label, begin); is {
			return parted(begin, true, rest), true
		}
	}
	for _, begin := range r.prefixes() {
		words, n := strings.SplitAfter(label, "."), strings.Count(begin, ".")
		if len(words) <= n || suggest.Distance(strings.Join(words[:n], ""), begin) > 2 {
			continue
		}
		if p := parted(begin, false, strings.Join(words[n:], "")); slices.Contains(names(), p.name) {
			return p, true
		}
	}
	return part{}, false
}

func parted(prefix string, exact bool, rest string) part {
	index := indexPattern.FindString(rest)
	return part{prefix, exact, index, rest[len(index):]}
}

// lookup returns the label that has a suffix, by precedence. One that is there and empty
// counts as there.
func (r *reader) lookup(name string) (label, value string, is bool) {
	for _, p := range r.prefixes() {
		v, has := r.c.Labels[p+name]
		switch {
		case has && is:
			r.why[p+name] = label + " comes before it"
		case has:
			label, value, is = p+name, v, true
		}
	}
	return label, value, is
}

// enabled reads the master switch. Only the words that DockFlare takes for true are.
func (r *reader) enabled() bool {
	label, value, is := r.lookup("enable")
	if !is {
		r.switchedOff("no label " + prefix + "enable is true")
		r.unknown()
		if first := r.firstOf("hostname"); first != "" {
			r.ignored(finding.Info, first, "it has no effect without dockflare.enable", "add dockflare.enable=true, or remove it")
		}
		return false
	}
	r.read[label] = true
	if r.truth(label, value) {
		return true
	}
	r.switchedOff(label + " is not true")
	return false
}

func (r *reader) switchedOff(why string) {
	for label := range r.c.Labels {
		r.why[label] = why
	}
}

// firstOf returns the first label of a suffix, with or without an index.
func (r *reader) firstOf(name string) string {
	for _, label := range slices.Sorted(maps.Keys(r.c.Labels)) {
		if p, is := r.split(label); is && p.name == name {
			return label
		}
	}
	return ""
}

// truth reads a label that is true or false, and reports what is neither.
func (r *reader) truth(label, value string) bool {
	switch strings.ToLower(value) {
	case "true", "1", "t", "yes":
		return true
	case "false", "0", "f", "no", "off", "n", "":
	default:
		r.ignored(finding.Warning, label, fmt.Sprintf("%q counts as false", value), `write "true" or "false"`)
	}
	return false
}

// unknown reports labels that are not in the table. One that was meant to protect is
// remembered, since what it protects must not be published without it.
func (r *reader) unknown() {
	for _, label := range slices.Sorted(maps.Keys(r.c.Labels)) {
		p, is := r.split(label)
		switch {
		case !is || p.known():
			continue
		case strings.HasPrefix(p.name, "tailscale."):
			r.why[label] = "labels for Tailscale are in no release of DockFlare, and Salvor does not read them"
			continue
		}
		meant, hint := suggest.Nearest(p.name, names()), "remove it; docs/routes.md lists the labels"
		if slices.Contains(names(), p.name) {
			meant = p.name
		}
		if meant != "" {
			hint = "write " + p.prefix + canonical(p.index) + meant
		}
		if meant == "enable" {
			hint = "write " + p.prefix + meant
		}
		r.why[label] = "the label is not known"
		r.ignored(finding.Warning, label, "the label is not known", hint)
		if strings.HasPrefix(p.name, "access") || strings.HasPrefix(meant, "access.") {
			r.demand[canonical(p.index)] = label
		}
	}
}

// canonical is an index without leading zeros, with its dot.
func canonical(index string) string {
	if index == "" {
		return ""
	}
	n := strings.TrimLeft(index, "0")
	if n == "." {
		return "0."
	}
	return n
}

func names() []string {
	all := make([]string, len(suffixes))
	for i, s := range suffixes {
		all[i] = s.name
	}
	return all
}

// ignored reports a label that has no effect, or not the one that it seems to have.
func (r *reader) ignored(severity finding.Severity, label, text, fix string) {
	r.out.Findings = append(r.out.Findings, finding.Finding{Code: finding.LabelIgnored, Severity: severity, Subject: r.c.Place(label), Text: label + ": " + text, Fix: fix})
}

// notes says of each label that was not read why.
func (r *reader) notes() {
	for _, label := range slices.Sorted(maps.Keys(r.c.Labels)) {
		p, is := r.split(label)
		if !is || r.read[label] {
			continue
		}
		why := r.why[label]
		for _, s := range suffixes {
			if s.name == p.name && why == "" {
				why = s.unread
			}
		}
		if why == "" {
			why = "no route uses it"
		}
		r.out.Notes = append(r.out.Notes, Note{r.c.Place(label), label, why})
	}
}

// Reads reports whether a label is read, or is a misspelt one that is.
func (s Settings) Reads(label string) bool {
	_, is := (&reader{Settings: s}).split(label)
	return is
}
