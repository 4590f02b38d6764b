package yamldoc

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Append returns content with an item, YAML on one line, at the end of a list, which is
// made where there is none. Anything else in its place, or a list that other values
// share, is ErrByHand.
func Append(content []byte, at Path, value string) ([]byte, error) {
	root, err := Parse(at.String(), content)
	if err != nil {
		return nil, err
	}
	list := Resolve(Find(root, at...))
	switch {
	case list == nil || IsNull(list):
		return Set(content, at, "["+value+"]")
	case list.Kind != yaml.SequenceNode:
		return nil, fmt.Errorf("%s %w", at, ErrByHand)
	}
	end := at.To(strconv.Itoa(len(list.Content)))
	want, err := flattenAt(end, value)
	if err != nil {
		return nil, err
	}
	return edit(content, at, func(before Flat) Flat { return before.with(end, want) },
		func(root *yaml.Node) [][]byte { return newSource(content).appended(Find(root, at...), value) })
}

// SetItem returns content with a list's item set to YAML on one line.
func SetItem(content []byte, at Path, value string) ([]byte, error) {
	want, err := flattenAt(at, value)
	if err != nil {
		return nil, err
	}
	return edit(content, at, func(before Flat) Flat { return before.with(at, want) },
		func(root *yaml.Node) [][]byte { return newSource(content).replaceScalar(Find(root, at...), value) })
}

// Rename returns content with another key and value in a key's place.
func Rename(content []byte, at Path, key, value string) ([]byte, error) {
	to := at[:len(at)-1].To(key)
	want, err := flattenAt(to, value)
	if err != nil {
		return nil, err
	}
	return edit(content, at, func(before Flat) Flat { return before.without(at).with(to, want) },
		func(root *yaml.Node) [][]byte {
			s := newSource(content)
			k, v := Lookup(Find(root, at[:len(at)-1]...), at[len(at)-1])
			if k == nil {
				return nil
			}
			return [][]byte{s.replace(s.offset(k), max(s.offset(k), s.end(v)), Scalar(key)+": "+value)}
		})
}

// removeItem takes the item of that index out of a list.
func (s *source) removeItem(list *yaml.Node, index string) [][]byte {
	i, err := strconv.Atoi(index)
	switch {
	case err != nil || i < 0 || i >= len(list.Content):
		return nil
	case list.Style&yaml.FlowStyle != 0:
		return s.removeFlow(list, i, 1)
	}
	first := list.Content[i].Line - 1
	return [][]byte{s.removeLines(first, s.itemEnd(first))}
}

// removeLines returns the text without the lines from first up to end.
func (s *source) removeLines(first, end int) []byte {
	to := len(s.text)
	if end < len(s.start) {
		to = s.start[end]
	}
	return s.replace(s.start[first], to, "")
}

// end returns the offset behind a node that is on one line or in braces.
func (s *source) end(n *yaml.Node) int {
	from := s.offset(n)
	switch {
	case from >= len(s.text):
		return from
	case n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode:
		return from + s.tokenLength(from, n)
	case n.Style&yaml.FlowStyle != 0:
		return s.closing(from) + 1
	}
	return 0
}

// itemEnd returns the line, counted from 0, behind the item of a block list that
// begins in a line.
func (s *source) itemEnd(first int) int {
	indent := len(s.line(first)) - len(strings.TrimLeft(s.line(first), " "))
	end := first + 1
	for i := first + 1; i < len(s.start); i++ {
		line := s.line(i)
		bare := strings.TrimLeft(line, " ")
		switch depth := len(line) - len(bare); {
		case strings.TrimSpace(bare) == "" || strings.HasPrefix(bare, "#") && depth <= indent:
		case depth > indent:
			end = i + 1
		default:
			return end
		}
	}
	return end
}

// appended returns the texts that may be a list with one more item.
func (s *source) appended(list *yaml.Node, item string) [][]byte {
	if list.Style&yaml.FlowStyle != 0 || len(list.Content) == 0 {
		open := s.offset(list)
		switch {
		case open >= len(s.text) || s.text[open] != '[':
			return nil
		case len(list.Content) == 0:
			return [][]byte{s.replace(open+1, open+1, item)}
		}
		return s.extendFlow(open, item)
	}
	last := list.Content[len(list.Content)-1].Line - 1
	line := s.line(last)
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	return [][]byte{s.insertLine(s.itemEnd(last), indent+"- "+item)}
}
