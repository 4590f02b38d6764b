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
	ID       string    `json:"id"` // a UUID, which tells it from every other
	At       time.Time `json:"at"` // UTC
	Operator string    `json:"operator"`
	Command  string    `json:"command"`          // without secrets: "recover alpha --to gamma"
	Commit   string    `json:"commit,omitempty"` // that was looked at or applied
	Opened   []string  `json:"opened,omitempty"` // names of the secrets that it decrypted, sorted
}

// NewEntry returns an entry with schema, id and time.
func NewEntry(at time.Time, operator, command string) (Entry, error) {
	id, err := uuid.NewV7()
	return Entry{Schema: fleet.Schema, ID: id.String(), At: at.UTC(), Operator: operator, Command: command}, err
}

// DecodeEntry reads one entry as AppendEntry writes it, strictly.
func DecodeEntry(data []byte) (Entry, error) {
	var entry Entry
	if err := decode(data, &entry); err != nil {
		return Entry{}, err
	}
	if _, err := uuid.Parse(entry.ID); err != nil {
		return Entry{}, fmt.Errorf("its id is no UUID: %w", err)
	}
	return entry, nil
}

// AppendEntry adds an entry to the operators' journal. The same entry may be
// added twice; it is there once.
func (r *Record) AppendEntry(ctx context.Context, entry Entry) error {
	return r.write(ctx, path.Join(journalDir, entry.At.Format(journalTime)+"-"+entry.ID+".json"), entry)
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
	entry, err := DecodeEntry(data)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", name, err)
	}
	return entry, nil
}
