// Package record is what the fleet remembers on its record remote, in addition to
// Git: who claimed a stack, what hosts found out, what operators did; append-only,
// one small JSON file an entry. The repository's encrypted mirror is there as well.
//
//	claims/<stack>/<epoch>-<uuid>.json
//	facts/<stack>/<epoch>-<seq>-<host>.json
//	journal/operators/<UTC time>-<uuid>.json
//	proven/<stack>/<epoch>-<seq>-<repository>-<snapshot>.json
//	mirror/<commits>-<commit>.bundle.age, with .bundle.json next to it
//
// Claims, mirrors and the operators' journal are signed by the fleet's key, facts and
// proven snapshots by the host that had the stack at that epoch, for the path that they
// are at. Anything else does not count.
//
// A folder that the record has left, or where it is not yet, has the file moved.json,
// which says where it is, signed by the fleet's key.
package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/sign"
)

// ErrNewerSchema is wrapped by errors that mean: a newer salvor wrote this.
var ErrNewerSchema = errors.New("written by a newer salvor")

// maxEntry bounds what is read of one entry; a real one has a few hundred bytes.
const maxEntry = 1 << 20

// A Record is the fleet's record on a remote.
type Record struct {
	store blob.Store
	where fleet.Location // the folder
	trust Trust
}

// New returns the record kept in a folder. It trusts no claim and makes none.
func New(store blob.Store) *Record { return &Record{store: store} }

// A Trust says whose claims count, and signs new ones. Each is asked when it is
// needed; one that is nil trusts no key, or signs nothing.
type Trust struct {
	Keys  func() (sign.Keys, error)               // the fleet's
	Key   func(context.Context) (sign.Key, error) // the one that signs for it
	Own   func(context.Context) (sign.Key, error) // the one that signs for this host
	Hosts map[string]sign.Public                  // by host, to name who signed an ignored file
}

// Trusting returns the same record for a reader who trusts these keys.
func (r *Record) Trusting(t Trust) *Record { return &Record{store: r.store, where: r.where, trust: t} }

func (t Trust) keys() (sign.Keys, error) {
	if t.Keys == nil {
		return nil, nil
	}
	return t.Keys()
}

func (t Trust) key(ctx context.Context) (sign.Key, error) {
	if t.Key == nil {
		return sign.Key{}, errors.New("no key to sign a claim with")
	}
	return t.Key(ctx)
}

// decode reads one entry strictly: known schema, known fields, nothing after.
func decode(data []byte, into any) error {
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	switch {
	case head.Schema > fleet.Schema:
		return fmt.Errorf("schema %d: %w", head.Schema, ErrNewerSchema)
	case head.Schema < 1:
		return errors.New("no schema")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (r *Record) read(ctx context.Context, path string) (data []byte, err error) {
	body, err := r.store.Get(ctx, path, 0, maxEntry)
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

func (r *Record) putRaw(ctx context.Context, path string, data []byte) error {
	_, err := r.store.Put(ctx, path, bytes.NewReader(data), int64(len(data)))
	return err
}
