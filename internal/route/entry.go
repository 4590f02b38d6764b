package route

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/finding"
)

// Settings are what declarations are read with.
type Settings struct {
	Prefix string // of labels, in addition to DockFlare's; "" for none
	Groups Groups
	Grace  time.Duration
}

// An entry is the base of a container's labels, or one of its indexes.
type entry struct {
	*reader
	index string // "0.", "" for the base
}

// own returns a label of this entry alone.
func (e entry) own(name string) (label, value string, is bool) {
	label, value, is = e.lookup(e.index + name)
	if is {
		e.read[label] = true
	}
	return label, value, is
}

// get returns a label of this entry, or the base's, which an index inherits.
func (e entry) get(name string) (label, value string, is bool) {
	if label, value, is = e.own(name); is || e.index == "" {
		return label, value, is
	}
	return entry{e.reader, ""}.own(name)
}

// routes reads the base and the indexes, up to the first one without a hostname. Of two
// with the same hostname and path the later one counts.
func (r *reader) routes() {
	at, found := map[Key]int{}, false
	for i := -1; ; i++ {
		e := entry{r, ""}
		if i >= 0 {
			e.index = strconv.Itoa(i) + "."
		}
		label, hostname, _ := e.own("hostname")
		found = found || hostname != ""
		if hostname == "" && i >= 0 {
			break
		} else if hostname == "" {
			continue
		}
		one, publish := e.route(label, hostname)
		if !publish {
			continue
		}
		if before, twice := at[one.Key()]; twice {
			r.ignored(finding.Warning, label, one.Key().String()+" is declared twice here; this one counts", "remove one of the two")
			r.out.Routes[before] = one
			continue
		}
		at[one.Key()] = len(r.out.Routes)
		r.out.Routes = append(r.out.Routes, one)
	}
	if label, _, _ := r.lookup("enable"); !found {
		r.ignored(finding.Warning, label, "no hostname is declared", "add "+prefix+"hostname")
	}
	r.out.Findings = slices.Concat(r.out.Findings, loosePaths(r.out.Routes), looseNames(r.out.Routes), outside(r.out.Routes), toItself(r.out.Routes))
}

// gaps says why indexes behind the first one that is missing have no effect.
func (r *reader) gaps() {
	missing := 0
	for {
		if _, v, _ := r.lookup(strconv.Itoa(missing) + ".hostname"); v == "" {
			break
		}
		missing++
	}
	for label := range r.c.Labels {
		p, is := r.split(label)
		n, err := strconv.Atoi(strings.TrimSuffix(p.index, "."))
		if !is || err != nil || n < missing || r.why[label] != "" {
			continue
		}
		delete(r.read, label)
		r.why[label] = fmt.Sprintf("%s%d.hostname is missing, and indexes end there", prefix, missing)
	}
	for label := range r.why {
		if p, is := r.split(label); is && p.known() && p.name == "hostname" && p.index != "" && strings.HasSuffix(r.why[label], "end there") {
			r.ignored(finding.Warning, label, "it has no effect: "+r.why[label], "number the indexes from 0 without a gap")
		}
	}
	finding.Sort(r.out.Findings)
}

// route reads an entry. publish is false for one that is left out; one that wants
// protection and can't get it is a route that is closed.
func (e entry) route(label, hostname string) (one Route, publish bool) {
	one = Route{Grace: e.Grace, Of: e.c.Name, Position: e.c.Place(label), Entry: strings.TrimSuffix(e.index, ".")}
	var errs [4]error
	one.Hostname, errs[0] = Hostname(hostname)
	one.Path, errs[1] = e.path()
	one.Service, errs[2] = e.service()
	one.Origin = e.origin(one.Service)
	if label, zone, is := e.get("zonename"); is && zone != "" {
		if one.Zone = zoneName(zone); strings.TrimSpace(zone) != zone {
			errs[3] = fmt.Errorf("%s %q has spaces around it", label, zone)
		}
	}
	access, demanded, err := e.access(one.Path)
	one.Access = access
	if err = errors.Join(append(errs[:], err, e.unreadable())...); err == nil {
		return one, true
	}
	why := strings.ReplaceAll(err.Error(), "\n", "; ")
	e.out.Findings = append(e.out.Findings, closed(one.Position, hostname+one.Path, why))
	one.Closed, one.Access = why, nil
	return one, demanded && errs[0] == nil && errs[1] == nil
}

// unreadable is the error of labels whose values are not known where they are read.
func (e entry) unreadable() error {
	for _, label := range e.c.Unreadable {
		if p, is := e.split(label); is && (p.index == "" || p.index == e.index) {
			return fmt.Errorf("%s has a secret or a value of the host, which a route can't have: write it out", label)
		}
	}
	return nil
}

// closed is the finding about what is not published.
func closed(place, what, why string) finding.Finding {
	return finding.Finding{Code: finding.RouteClosed, Severity: finding.Warning, Subject: place, Text: what + " is not published: " + why, Fix: "correct it; docs/routes.md says what each label and key may have"}
}

func (e entry) service() (string, error) {
	_, text, is := e.get("service")
	if !is {
		return "", errors.New("it has no service")
	}
	return Service(text)
}

// path returns the path label as a rule has it: with a slash in front and none behind.
func (e entry) path() (string, error) {
	_, text, _ := e.get("path")
	return Path(text)
}

// Path returns a path as a rule has it: without spaces around it, with a slash in front
// unless it begins with ^, and none behind; "" for all paths.
func Path(text string) (string, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "^") {
		text = "/" + text
	}
	if text = strings.TrimRight(text, "/"); text == "^" {
		text = ""
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", fmt.Errorf("the path %q has characters that a path can't have", text)
	}
	if _, err := regexp.Compile(text); err != nil {
		return "", fmt.Errorf("the path %q is not a regular expression: %s", text, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return text, nil
}

// origin reads the options of requests, which only HTTP has.
func (e entry) origin(service string) (o Origin) {
	names := []string{"no_tls_verify", "originsrvname", "httpHostHeader", "http2_origin", "disable_chunked_encoding", "match_sni_to_host"}
	if service != "" && !isWeb(service) {
		for _, name := range names {
			if label, _, is := e.lookup(e.index + name); is {
				e.why[label] = service + " is not HTTP"
			}
		}
		return o
	}
	text := func(name string) string { _, v, _ := e.get(name); return strings.TrimSpace(v) }
	truth := func(name string) bool { label, v, is := e.get(name); return is && e.truth(label, v) }
	o.NoTLSVerify, o.ServerName, o.HostHeader = truth(names[0]), text(names[1]), text(names[2])
	o.HTTP2, o.DisableChunkedEncoding, o.MatchSNIToHost = truth(names[3]), truth(names[4]), truth(names[5])
	return o
}

// loosePaths reports protected paths of which Access sees less than cloudflared serves.
func loosePaths(routes []Route) (found []finding.Finding) {
	for _, one := range routes {
		whole := slices.ContainsFunc(routes, func(o Route) bool { return o.Hostname == one.Hostname && o.Path == "" && o.Access.Protects() })
		if one.Closed != "" || one.Path == "" || !one.Access.Protects() || whole || strings.HasPrefix(one.Path, "^") && strings.HasSuffix(one.Path, wholePart) {
			continue
		}
		plain := one.plainPath()
		beyond, how := "/x"+plain, "anywhere in the path"
		if strings.HasPrefix(one.Path, "^") {
			beyond, how = plain+"x", "as the beginning of a word, too"
		}
		found = append(found, finding.Finding{Code: finding.RoutePath, Severity: finding.Warning, Subject: one.Position,
			Text: fmt.Sprintf("Access protects %s%s and what is below; cloudflared takes it %s, so %s reaches the service without Access", one.Hostname, plain, how, beyond),
			Fix:  "write the path as ^" + plain + wholePart + ", or protect the whole hostname"})
	}
	return found
}

// looseNames reports protected wildcards: an application with one is for one level of names.
// Source: developers.cloudflare.com/cloudflare-one/access-controls/policies/app-paths.
func looseNames(routes []Route) (found []finding.Finding) {
	for _, one := range routes {
		if one.Closed == "" && isWildcard(one.Hostname) && one.Access.Protects() {
			below := strings.TrimPrefix(one.Hostname, wildcard)
			found = append(found, finding.Finding{Code: finding.RoutePath, Severity: finding.Warning, Subject: one.Position,
				Text: fmt.Sprintf("Access protects names with one part in front of %s; DNS and cloudflared take more of them, so http://x.y.%s reaches the service without Access", below, below),
				Fix:  "declare each hostname instead of " + one.Hostname})
		}
	}
	return found
}

// Written returns a label of an entry as it is written, the base's where the entry has none.
func (s Settings) Written(c Container, index, name string) (value string, is bool) {
	r := &reader{Settings: s, c: c, read: map[string]bool{}, why: map[string]string{}}
	if index != "" {
		index += "."
	}
	_, value, is = entry{r, index}.get(name)
	return value, is
}
