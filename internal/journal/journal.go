// Package journal keeps what was done to a host: append-only JSON lines, one
// file a month, readable without Salvor.
package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Schema is the version of an Entry.
const Schema = 1

// An Entry is one thing that was done, or that went wrong.
type Entry struct {
	Schema int       `json:"schema"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // "apply", "deploy", "snapshot", "restore", "fenced", …
	Stack  string    `json:"stack,omitempty"`
	Commit string    `json:"commit,omitempty"`
	Owner  string    `json:"owner,omitempty"`
	Text   string    `json:"text,omitempty"`
	Error  string    `json:"error,omitempty"`

	Services []string `json:"services,omitempty"` // of kind "secrets": whose files were written
	Secrets  []string `json:"secrets,omitempty"`  // of kind "secrets": which, by name
}

// A Journal is a folder of entries.
type Journal struct{ Dir string }

// Append adds an entry; At and Schema are filled in when zero. The line is on
// disk when Append returns.
func (j Journal) Append(e Entry) error {
	e.Schema = Schema
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.file(e.At), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (j Journal) file(at time.Time) string {
	return filepath.Join(j.Dir, at.UTC().Format("2006-01")+".jsonl")
}

// Tail returns the newest n entries, oldest first. A line interrupted by a power
// failure is skipped.
func (j Journal) Tail(n int) ([]Entry, error) {
	files, err := filepath.Glob(filepath.Join(j.Dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var entries []Entry
	for i := len(files) - 1; i >= 0 && len(entries) < n; i-- {
		older, err := read(files[i])
		if err != nil {
			return nil, err
		}
		entries = append(older, entries...)
	}
	return entries[max(0, len(entries)-n):], nil
}

func read(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	var entries []Entry
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			entries = append(entries, e)
		}
	}
	return entries, lines.Err()
}
