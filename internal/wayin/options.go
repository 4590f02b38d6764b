package wayin

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
)

// Options are sshd's settings as `sshd -T` prints them: names in small letters, the values of each in order.
type Options map[string][]string

// ParseOptions reads what `sshd -T` prints, one setting a line. Lines without a value are settings that are empty.
func ParseOptions(out []byte) Options {
	o := Options{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name = strings.ToLower(name); name != "" {
			o[name] = append(o[name], strings.TrimSpace(value))
		}
	}
	return o
}

// First is the first value of a setting, "" for none.
func (o Options) First(name string) string {
	if len(o[name]) == 0 {
		return ""
	}
	return o[name][0]
}

// ports are those on which sshd listens. `sshd -T` prints each address with its port; one that a ListenAddress names is
// not among the values of Port.
func (o Options) ports() []string {
	var all []string
	for _, address := range o["listenaddress"] {
		at, _, _ := strings.Cut(address, " ") // a routing domain may follow
		if _, port, err := net.SplitHostPort(at); err == nil && !slices.Contains(all, port) {
			all = append(all, port)
		}
	}
	if len(all) == 0 {
		return o["port"]
	}
	return all
}

// ParseSocket reads what `systemctl show` prints of a socket's ActiveState and Listen: the ports of TCP on which systemd
// listens for it, none for one that is not active. Lines of another form are skipped.
func ParseSocket(out []byte) []string {
	var all []string
	active := false
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		address, stream := strings.CutSuffix(value, " (Stream)")
		switch {
		case name == "ActiveState":
			active = value == "active"
		case name == "Listen" && stream:
			if _, port, err := net.SplitHostPort(address); err == nil && !slices.Contains(all, port) {
				all = append(all, port)
			}
		}
	}
	if !active {
		return nil
	}
	return all
}

// A rule says what one of sshd's settings must be.
type rule struct {
	name string
	want []string // one of these values, none for any
	weak []string // patterns of names that must not be in the list which is its value
	says string   // what it means for sshd if it is not so
}

// rules are what Salvor asks of sshd. Who logs in as another user leaves root's login as it is.
func rules(user string) []rule {
	all := []rule{
		{name: "pubkeyauthentication", want: []string{"yes"}, says: "takes no keys"},
		{name: "passwordauthentication", want: []string{"no"}, says: "takes passwords"},
		{name: "kbdinteractiveauthentication", want: []string{"no"}, says: "asks questions, such as for a password"},
		{name: "permitemptypasswords", want: []string{"no"}, says: "takes empty passwords"},
		{name: "kexalgorithms", weak: []string{"*sha1*", "diffie-hellman-group14-*"}, says: "takes weak key exchanges"},
		{name: "ciphers", weak: []string{"*-cbc"}, says: "takes weak ciphers"},
		{name: "macs", weak: []string{"*sha1*", "*md5*", "umac-64*"}, says: "takes weak MACs"},
	}
	if user == "root" {
		all = append(all, rule{name: "permitrootlogin", want: []string{"without-password", "prohibit-password"}, says: "does not let root in by key alone"})
	}
	return all
}

// holds reports whether a setting is as asked for, and what of it is not.
func (r rule) holds(o Options) (wrong string, ok bool) {
	value := o.First(r.name)
	if len(r.want) > 0 {
		return value, slices.Contains(r.want, value)
	}
	var weak []string
	for name := range strings.SplitSeq(value, ",") {
		if slices.ContainsFunc(r.weak, func(pattern string) bool { fits, err := path.Match(pattern, name); return err == nil && fits }) {
			weak = append(weak, name)
		}
	}
	return strings.Join(weak, ","), len(weak) == 0
}

// broken are the rules that do not hold, in words, with their names.
func broken(user string, o Options) (names, texts []string) {
	for _, r := range rules(user) {
		if wrong, ok := r.holds(o); !ok {
			names, texts = append(names, r.name), append(texts, fmt.Sprintf("%s (%s %s)", r.says, r.name, wrong))
		}
	}
	return names, texts
}
