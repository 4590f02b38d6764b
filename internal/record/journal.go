package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

const (
	journalDir  = "journal/operators"
	journalTime = "20060102T150405.000000000Z"
)

// JournalKind is what the fleet's key signs entries of the operators' journal as.
const JournalKind sign.Kind = "salvor-journal"

// An Entry of the operators' journal says who did what. On the remote it is encrypted
// to the operators and signed by the fleet's key for its path.
type Entry struct {
	Schema   int       `json:"schema"`
	ID       string    `json:"id"` // a UUID, which identifies it
	At       time.Time `json:"at"` // UTC
	Operator string    `json:"operator"`
	Command  string    `json:"command"`          // without what a container is asked to run: "recover alpha --to gamma", "exec notes"
	Commit   string    `json:"commit,omitempty"` // that was looked at or applied
	Opened   []string  `json:"opened,omitempty"` // names of the secrets that it decrypted, sorted
}

// NewEntry returns an entry with schema, id and time.
func NewEntry(at time.Time, operator, command string) (Entry, error) {
	id, err := uuid.NewV7()
	return Entry{Schema: fleet.Schema, ID: id.String(), At: at.UTC(), Operator: operator, Command: command}, err
}

// DecodeEntry reads one entry as a clone keeps it and as it is encrypted, strictly.
func DecodeEntry(data []byte) (Entry, error) {
	var entry Entry
	if err := decode(data, &entry); err != nil {
		return Entry{}, err
	}
	if _, err := uuid.Parse(entry.ID); err != nil {
		return Entry{}, fmt.Errorf("its id is not a UUID: %w", err)
	}
	return entry, nil
}

func (e Entry) path() string {
	return path.Join(journalDir, e.At.Format(journalTime)+"-"+e.ID+".json")
}

// AppendEntry adds an entry to the operators' journal, encrypted to the recipients
// and signed by the fleet's key. The same entry may be added twice; it is there once.
func (r *Record) AppendEntry(ctx context.Context, entry Entry, key sign.Key, recipients []string) error {
	plain, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	sealed, err := agekey.Encrypt(secret.New(plain), recipients...)
	if err != nil {
		return err
	}
	signed, err := key.Enclose(JournalKind, entry.path(), sealed)
	if err != nil {
		return err
	}
	if err := r.putRaw(ctx, entry.path(), append(signed, '\n')); err != nil {
		return err
	}
	return r.checkNotMoved(ctx)
}

// An Unread file of the record does not count: it is not signed by the fleet's key,
// damaged, or encrypted to others (secret.ErrLocked).
type Unread struct {
	Path string
	Err  error
}

// Finding is about a file that does not count.
func (u Unread) Finding(code finding.Code) finding.Finding {
	return finding.Finding{Code: code, Severity: finding.Warning, Subject: u.Path, Text: fmt.Sprintf("it is ignored: %v", u.Err),
		Fix: "find out who wrote it (every host and the remote's administrator can write there), then delete it there"}
}

// Entries returns the operators' journal since a time, oldest first, as far as the
// fleet's keys signed it and the keyring opens it; all else is unread. Nothing needs
// the keyring where there is no entry.
func (r *Record) Entries(ctx context.Context, since time.Time, trusted sign.Keys, ring agekey.Keyring) (entries []Entry, unread []Unread, err error) {
	files, err := r.store.List(ctx, journalDir) // sorted by name, which is by time
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		stamp, _, _ := strings.Cut(file.Path, "-")
		at, failed := time.Parse(journalTime, stamp)
		if failed == nil && at.Before(since) {
			continue
		}
		name := path.Join(journalDir, file.Path)
		if failed != nil {
			unread = append(unread, Unread{name, errors.New("its name is not the name of an entry")})
			continue
		}
		data, err := r.read(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		entry, err := openEntry(name, data, trusted, ring)
		if errors.Is(err, errNoKeys) {
			return nil, nil, err
		}
		if err != nil {
			unread = append(unread, Unread{name, err})
			continue
		}
		entries = append(entries, entry)
	}
	return entries, unread, nil
}

// ResignJournal signs with another key the entries that the trusted keys have signed.
func (r *Record) ResignJournal(ctx context.Context, trusted sign.Keys, key sign.Key) error {
	files, err := r.store.List(ctx, journalDir)
	if err != nil {
		return err
	}
	for _, file := range files {
		name := path.Join(journalDir, file.Path)
		data, err := r.read(ctx, name)
		if err != nil {
			return err
		}
		content, by, err := trusted.Open(JournalKind, name, data)
		if err != nil || by == key.Public() {
			continue // no entry, or done
		}
		signed, err := key.Enclose(JournalKind, name, content)
		if err == nil {
			err = r.putRaw(ctx, name, append(signed, '\n'))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errNoKeys means that the keyring could not be opened at all.
var errNoKeys = errors.New("the operators' journal is encrypted to the operators")

func openEntry(name string, data []byte, trusted sign.Keys, ring agekey.Keyring) (Entry, error) {
	sealed, _, err := trusted.Open(JournalKind, name, data)
	if err != nil {
		return Entry{}, err
	}
	if _, err := ring.Identities(); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errNoKeys, err)
	}
	plain, err := agekey.Decrypt(name, sealed, ring)
	if err != nil {
		return Entry{}, err
	}
	entry, err := DecodeEntry(plain.Reveal())
	if err == nil && entry.path() != name {
		err = errors.New("it is the entry of another place")
	}
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", name, err)
	}
	return entry, nil
}
