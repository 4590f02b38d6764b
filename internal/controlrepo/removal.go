package controlrepo

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// RemoveRecipient returns fleet.yaml without an operator. Comments stay, but for
// those inside the entry and on its lines.
func RemoveRecipient(content []byte, name string) ([]byte, error) {
	return remove(content, path{"recipients", "operators", name})
}

// RemoveHost returns fleet.yaml without a host. Comments stay, but for those
// inside the entry and on its lines.
func RemoveHost(content []byte, name string) ([]byte, error) {
	return remove(content, path{"hosts", name})
}

// remove returns content without the key at a path; its mapping stays, if need be
// as {}. What is not there is no change.
func remove(content []byte, at path) ([]byte, error) {
	return edit(content, at, func(f flat) flat { return f.without(at) }, func(root *yaml.Node) [][]byte { return removals(content, root, at) })
}

// removals returns the texts that may be the removal wanted, the nicest first.
func removals(content []byte, root *yaml.Node, at path) [][]byte {
	last := len(at) - 1
	parent := resolve(find(root, at[:last]))
	key, _ := entryOf(parent, at[last])
	if key == nil {
		return nil
	}
	s := newSource(content)
	if parent.Style&yaml.FlowStyle != 0 {
		return s.removeFlow(parent, key)
	}
	holder, _ := entryOf(resolve(find(root, at[:last-1])), at[last-1])
	return s.removeBlock(holder, parent, key)
}

// removeBlock takes out the lines of an entry. The last one of a mapping leaves
// {} behind the mapping's own key.
func (s *source) removeBlock(holder, parent, key *yaml.Node) [][]byte {
	from := s.start[key.Line-1]
	end := len(s.text)
	if line := s.blockEnd(key, key.Column-1); line < len(s.start) {
		end = s.start[line]
	}
	if len(parent.Content) > 2 || holder == nil {
		return [][]byte{s.replace(from, end, "")}
	}
	colon := s.offset(holder)
	colon += bytes.IndexByte(s.text[colon:], ':') + 1
	if colon <= 0 || colon > from {
		return nil
	}
	empty := newSource(s.replace(from, end, ""))
	return [][]byte{empty.replace(colon, colon, " {}")}
}

// removeFlow takes an entry out of {…}, with one comma.
func (s *source) removeFlow(parent, key *yaml.Node) [][]byte {
	open := s.offset(parent)
	closing := s.closing(open)
	i := slices.Index(parent.Content, key)
	if closing == 0 || i < 0 {
		return nil
	}
	from := s.offset(key)
	if i+2 < len(parent.Content) {
		return [][]byte{s.replace(from, s.offset(parent.Content[i+2]), "")}
	}
	if i == 0 {
		return [][]byte{s.replace(open+1, closing, "")}
	}
	end := open + len(bytes.TrimRight(s.text[open:closing], " \t\r\n"))
	before := bytes.TrimRight(s.text[:from], " \t\r\n")
	return [][]byte{s.replace(len(bytes.TrimSuffix(before, []byte(","))), end, ""), s.replace(from, closing, "")}
}

// RemoveHostKeys returns known_hosts without what it pins for one name, such as
// "192.0.2.10" or "[beta.example.net]:2222". A line that names others as well
// stays for them, and so do marked lines: a key that is revoked stays revoked.
func RemoveHostKeys(content []byte, name string) []byte {
	var left []byte
	for line := range bytes.Lines(content) {
		left = append(left, withoutPattern(line, name)...)
	}
	return left
}

func withoutPattern(line []byte, name string) []byte {
	text := string(line)
	fields := strings.Fields(text)
	if len(fields) < 3 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], "@") {
		return line
	}
	patterns := strings.Split(fields[0], ",")
	left := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return p == name })
	switch len(left) {
	case len(patterns):
		return line
	case 0:
		return nil
	}
	return []byte(strings.Replace(text, fields[0], strings.Join(left, ","), 1))
}
