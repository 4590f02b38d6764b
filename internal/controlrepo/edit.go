package controlrepo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/secret"
)

// ErrByHand means that a file is written in a way that cannot be edited without
// changing more than was asked; nothing was changed. An anchor on the value
// that others use is such a way.
var ErrByHand = errors.New("cannot be edited without changing more; edit it by hand")

// SetStackHost returns a Compose file with x-salvor.host set. Comments, order,
// quoting and line ends stay. Setting what is set returns the same bytes.
func SetStackHost(content []byte, host string) ([]byte, error) {
	if err := fleet.ValidHost(host); err != nil {
		return nil, err
	}
	return set(content, path{"x-salvor", "host"}, scalar(host))
}

// AddHost returns fleet.yaml with one more host, or with the address, port, user and
// jump of a declared one changed; what else is at it stays.
func AddHost(content []byte, h fleet.Host) ([]byte, error) {
	if err := fleet.ValidHost(h.Name); err != nil {
		return nil, err
	}
	fields := []assignment{{"address", scalar(h.Address)}}
	if h.User != "" {
		fields = append(fields, assignment{"user", scalar(h.User)})
	}
	if h.Port != 0 && h.Port != 22 {
		fields = append(fields, assignment{"port", strconv.Itoa(h.Port)})
	}
	if h.Jump != "" {
		fields = append(fields, assignment{"jump", scalar(h.Jump)})
	}
	return setFields(content, path{"hosts", h.Name}, fields)
}

// AddRecipient returns fleet.yaml with an operator's age recipient added or
// replaced.
func AddRecipient(content []byte, name, recipient string) ([]byte, error) {
	if err := fleet.ValidName(name); err != nil {
		return nil, err
	}
	if err := checkOperator(recipient); err != nil {
		return nil, err
	}
	return set(content, path{"recipients", "operators", name}, scalar(recipient))
}

// SetRecovery returns fleet.yaml with the recovery key's recipient.
func SetRecovery(content []byte, recipient string) ([]byte, error) {
	if err := hostkey.CheckRecipient(recipient); err != nil {
		return nil, err
	}
	return set(content, path{"recipients", "recovery"}, scalar(recipient))
}

// SetRemote returns fleet.yaml with a remote added, or with the type and these
// options of a declared one changed; its other options stay.
func SetRemote(content []byte, r fleet.Remote) ([]byte, error) {
	if err := fleet.ValidName(r.Name); err != nil {
		return nil, err
	}
	fields := []assignment{{"type", scalar(r.Type)}}
	for _, option := range slices.Sorted(maps.Keys(r.Options)) {
		fields = append(fields, assignment{option, settingText(r.Options[option])})
	}
	return setFields(content, path{"remotes", r.Name}, fields)
}

// SetRevision returns fleet.yaml with the revision of a command's secret.
func SetRevision(content []byte, name string, revision int) ([]byte, error) {
	return set(content, path{"secrets", name, "revision"}, strconv.Itoa(revision))
}

func settingText(s secret.Setting) string { return scalar(s.String()) }

// A assignment is a key and its value in YAML.
type assignment struct{ key, value string }

// setFields sets several keys of one mapping, which is written on one line when
// it is new.
func setFields(content []byte, at path, fields []assignment) ([]byte, error) {
	root, err := parse(fleet.File, content)
	if err != nil {
		return nil, err
	}
	if find(root, at) == nil {
		parts := make([]string, len(fields))
		for i, f := range fields {
			parts[i] = f.key + ": " + f.value
		}
		return set(content, at, "{"+strings.Join(parts, ", ")+"}")
	}
	for _, f := range fields {
		if content, err = set(content, at.to(f.key), f.value); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// set returns content with the value at a path set to YAML on one line.
func set(content []byte, at path, value string) ([]byte, error) {
	want, err := flattenAt(at, value)
	if err != nil {
		return nil, err
	}
	return edit(content, at, func(before flat) flat { return before.with(at, want) },
		func(root *yaml.Node) [][]byte { return candidates(content, root, at, value) })
}

// edit returns the first of some texts that says what content does, with what
// goal changes and nothing else: the text edit may guess, the result may not.
// Where goal changes nothing it is content itself.
func edit(content []byte, at path, goal func(before flat) flat, guess func(root *yaml.Node) [][]byte) ([]byte, error) {
	root, err := parse(at.String(), content)
	if err != nil {
		return nil, err
	}
	before, err := flatten(root)
	if err != nil {
		return nil, err
	}
	want := goal(before)
	if maps.Equal(want, before) {
		return content, nil
	}
	for _, edited := range guess(root) {
		again, err := parse(at.String(), edited)
		if err != nil {
			continue
		}
		if after, err := flatten(again); err == nil && maps.Equal(want, after) {
			return edited, nil
		}
	}
	return nil, fmt.Errorf("%s %w", at, ErrByHand)
}

// find returns the node at a path, nil when there is none.
func find(n *yaml.Node, at path) *yaml.Node {
	for _, key := range at {
		if n = resolve(n); n == nil {
			return nil
		}
		if i, err := strconv.Atoi(key); n.Kind == yaml.SequenceNode {
			if err != nil || i < 0 || i >= len(n.Content) {
				return nil
			}
			n = n.Content[i]
			continue
		}
		_, n = entryOf(n, key)
	}
	return n
}

// entryOf returns a mapping's own key and value nodes, nil when it has none.
func entryOf(n *yaml.Node, key string) (k, v *yaml.Node) {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// scalar writes s as YAML on one line: plain where it reads back as the same
// text, also inside {}, else in double quotes.
func scalar(s string) string {
	var back []string
	if err := yaml.Unmarshal([]byte("["+s+"]"), &back); err == nil && len(back) == 1 && back[0] == s && isText(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

func isText(s string) bool {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(s), &n); err != nil || len(n.Content) != 1 {
		return false
	}
	v := n.Content[0]
	return v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str" && v.Value == s && v.Style == 0 && v.Anchor == "" && !strings.ContainsAny(s, "#\n")
}
