// Package audit notes who decrypted which secret: in the operators' journal on the record
// remote, and by what hosts note of what was delivered to them.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/fleetkeys"
	"salvor/internal/identity"
	"salvor/internal/reach"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/sign"
)

// ErrUnsent is wrapped by errors that mean: an entry of the operators' journal
// waits in this clone, since the record remote could not take it.
var ErrUnsent = errors.New("not yet in the operators' journal")

// Journals are the operators' journal on the record remote, and what hosts note about
// what was delivered to them.
type Journals struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	confirmed *confirmation.Confirmed
	keys      *fleetkeys.Keys
	record    *recording.Recorder
	reach     *reach.Dialer
}

// New returns the journals of a checkout's fleet.
func New(c *checkout.Checkout, id *identity.Identity, confirmed *confirmation.Confirmed, k *fleetkeys.Keys, r *recording.Recorder, d *reach.Dialer) *Journals {
	return &Journals{checkout: c, identity: id, confirmed: confirmed, keys: k, record: r, reach: d}
}

// Journal adds to the operators' journal on the record remote what this command
// decrypted since it was opened, or since the last Journal. A command that decrypted
// nothing leaves no entry; a fleet without a remote keeps no journal. An entry that
// can't be sent is kept in this clone, the error wraps ErrUnsent, and the next
// Journal sends it along. One of a command that only had a program print a secret
// waits so, too: no one is asked for a passphrase to send it.
func (j *Journals) Journal(ctx context.Context, command string) error {
	opened := j.identity.Trail.Take()
	if len(opened) == 0 || j.checkout.Repository == nil || j.checkout.Fleet.Record.Remote == "" {
		return nil
	}
	unlocked := j.identity.Unlocked()
	entry, err := record.NewEntry(time.Now(), j.identity.Operator(), command)
	if err != nil {
		return err
	}
	entry.Commit, entry.Opened = string(j.checkout.Commit), opened
	dir, err := j.keepEntry(entry)
	if err != nil || !unlocked {
		return err
	}
	if err := j.sendEntries(ctx, dir); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsent, err)
	}
	return nil
}

// keepEntry puts an entry among those that wait, and returns their folder.
func (j *Journals) keepEntry(entry record.Entry) (dir string, err error) {
	if dir, err = j.checkout.Git.OwnFile("journal"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	content, err := json.Marshal(entry)
	if err != nil {
		return "", err
	}
	return dir, atomicfile.Write(filepath.Join(dir, entry.ID+".json"), bytes.NewReader(content), 0o600)
}

func (j *Journals) sendEntries(ctx context.Context, dir string) error {
	waiting, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	key, err := j.keys.KnownSigningKey(ctx)
	if err != nil {
		return err
	}
	return j.record.With(ctx, func(rec *record.Record) error {
		for _, file := range waiting {
			if err := sendEntry(ctx, rec, file, key, j.checkout.Fleet.Recipients.All()); err != nil {
				return err
			}
		}
		return nil
	})
}

func sendEntry(ctx context.Context, rec *record.Record, file string, key sign.Key, recipients []string) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another command sent it
	}
	if err != nil {
		return err
	}
	entry, err := record.DecodeEntry(content)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := rec.AppendEntry(ctx, entry, key, recipients); err != nil {
		return err
	}
	if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
