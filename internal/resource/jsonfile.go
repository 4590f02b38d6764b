package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A JSONFile holds the given keys of a JSON object in a file that others write
// too, like Docker's daemon.json: other keys stay. Where both values are arrays
// what is missing is appended.
type JSONFile struct {
	Path  string
	Keys  map[string]json.RawMessage
	Mode  fs.FileMode // of a file that is not there yet
	Needs []string
}

var _ converge.Resource = JSONFile{}

// ID returns "file PATH", as a File's: there can only be one of both.
func (j JSONFile) ID() string { return fileID(j.Path) }

// Links puts the file behind its folder.
func (j JSONFile) Links() converge.Links {
	return converge.Links{Needs: j.Needs, After: []string{directoryID(path.Dir(j.Path))}, Looks: observe.Query{Paths: []string{j.Path}}}
}

// Diff compares the keys. A file that is not a JSON object is an error: it must not
// be overwritten, since someone meant it.
func (j JSONFile) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	is, err := h.File(ctx, j.Path)
	if err != nil {
		return nil, err
	}
	content, err := h.ReadFile(ctx, j.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	merged, causes, err := j.merge(content)
	if err != nil {
		return nil, err
	}
	mode := j.Mode
	if is.Exists {
		mode = is.Mode.Perm()
	}
	change := because(causes, quietly(func(ctx context.Context) error {
		return h.WriteFile(ctx, j.Path, bytes.NewReader(merged), mode)
	}))
	if change != nil && !is.Exists {
		change.Action = converge.Makes
	}
	return change, nil
}

func (j JSONFile) merge(content []byte) (merged []byte, causes []string, err error) {
	object := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(content)) > 0 {
		if err := json.Unmarshal(content, &object); err != nil {
			return nil, nil, fmt.Errorf("is not a JSON object: %w", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(j.Keys)) {
		is, want := object[key], union(object[key], j.Keys[key])
		if bytes.Equal(compact(is), compact(want)) {
			continue
		}
		cause := fmt.Sprintf("%s is %s, want %s", key, compact(is), compact(want))
		if is == nil {
			cause = fmt.Sprintf("%s is not set, want %s", key, compact(want))
		}
		causes = append(causes, cause)
		object[key] = want
	}
	merged, err = json.MarshalIndent(object, "", "  ")
	return append(merged, '\n'), causes, err
}

// union returns want, or is with the elements of want that it lacks when both
// are arrays.
func union(is, want json.RawMessage) json.RawMessage {
	var have, add []json.RawMessage
	if is == nil || json.Unmarshal(is, &have) != nil || json.Unmarshal(want, &add) != nil {
		return want
	}
	for _, element := range add {
		if !slices.ContainsFunc(have, func(h json.RawMessage) bool { return bytes.Equal(compact(h), compact(element)) }) {
			have = append(have, element)
		}
	}
	joined, err := json.Marshal(have)
	if err != nil {
		return want
	}
	return joined
}

func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return raw
	}
	return b.Bytes()
}
