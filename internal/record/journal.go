package record

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"salvor/internal/fleet"
)

const (
	journalDir  = "journal/operators"
	journalTime = "20060102T150405.000000000Z"
)

// An Entry of the operators' journal says who did what.
type Entry struct {
	Schema   int       `json:"schema"`
	At       time.Time `json:"at"`
	Operator string    `json:"operator"`
	Command  string    `json:"command"`           // without secrets: "recover alpha --to gamma"
	Commit   string    `json:"commit,omitempty"`  // that was applied
	Outcome  string    `json:"outcome,omitempty"` // "ok" or the error's one line
}

// AppendEntry adds an entry to the operators' journal. At is kept in UTC.
func (r *Record) AppendEntry(ctx context.Context, entry Entry) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	entry.Schema, entry.At = fleet.Schema, entry.At.UTC()
	return r.write(ctx, path.Join(journalDir, entry.At.Format(journalTime)+"-"+id.String()+".json"), entry)
}

// Entries returns the operators' journal since a time, oldest first. An entry
// that can't be read is an error that names it.
func (r *Record) Entries(ctx context.Context, since time.Time) ([]Entry, error) {
	files, err := r.store.List(ctx, journalDir) // sorted by name, which is by time
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, file := range files {
		stamp, _, _ := strings.Cut(file.Path, "-")
		at, err := time.Parse(journalTime, stamp)
		if err != nil || at.Before(since) {
			continue
		}
		entry, err := r.entry(ctx, path.Join(journalDir, file.Path))
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func (r *Record) entry(ctx context.Context, name string) (Entry, error) {
	data, err := r.read(ctx, name)
	if err != nil {
		return Entry{}, err
	}
	var entry Entry
	if err := decode(data, &entry); err != nil {
		return Entry{}, fmt.Errorf("%s: %w", name, err)
	}
	return entry, nil
}
