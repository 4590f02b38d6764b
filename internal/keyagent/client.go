package keyagent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"salvor/internal/machine/local"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// startTime is what an agent may take until it listens.
const startTime = 20 * time.Second

// A Client asks one agent.
type Client struct {
	folder Folder
	name   string
}

// Find returns the agent of an identity file with this content and what it holds. The
// error wraps ErrNone where there is none, whatever is in the folder.
func (f Folder) Find(ctx context.Context, file []byte) (Client, Held, error) {
	c := Client{folder: f, name: nameOf(file)}
	held, err := c.held(ctx)
	return c, held, err
}

// All returns every agent of this user with what it holds. A folder that is not there
// has none.
func (f Folder) All(ctx context.Context) (clients []Client, all []Held, err error) {
	names, err := f.names()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	for _, name := range names {
		c := Client{folder: f, name: name}
		held, failed := c.held(ctx)
		if failed != nil {
			continue // it was killed, or ends in this moment
		}
		clients, all = append(clients, c), append(all, held)
	}
	return clients, all, err
}

// A Key is an opened identity file.
type Key struct {
	Path       string
	File       []byte // its content, encrypted
	Identities secret.Value
}

// Start starts the agent of a key: program calls Serve when it sees argv. It gets the key
// through a pipe, and outlives this process.
func (f Folder) Start(ctx context.Context, program string, argv []string, k Key, lasts time.Duration) error {
	if err := f.make(); err != nil {
		return err
	}
	text := k.Identities.Reveal()
	header, err := json.Marshal(start{Folder: f, Name: nameOf(k.File), Path: k.Path, Lasts: lasts, Size: len(text)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	said, err := local.Background(ctx, program, argv, io.MultiReader(bytes.NewReader(append(header, '\n')), bytes.NewReader(text)))
	if err == nil && said != listening {
		err = errors.New(strings.TrimPrefix(said, "salvor: "))
	}
	if err != nil {
		return fmt.Errorf("start the key agent: %w", err)
	}
	return nil
}

func (c Client) held(ctx context.Context) (Held, error) {
	a, err := c.ask(ctx, request{Verb: verbHeld})
	if err == nil && a.Held == nil {
		err = fmt.Errorf("%w: no answer", ErrNone)
	}
	if err != nil {
		return Held{}, err
	}
	return *a.Held, nil
}

// Extend has the key open for a time from now on, see Longest.
func (c Client) Extend(ctx context.Context, lasts time.Duration) (Held, error) {
	if _, err := c.ask(ctx, request{Verb: verbExtend, Lasts: lasts}); err != nil {
		return Held{}, err
	}
	return c.held(ctx)
}

// Lock has the agent forget its key and end.
func (c Client) Lock(ctx context.Context) error {
	_, err := c.ask(ctx, request{Verb: verbLock})
	return err
}

// ask sends a request. An error wraps ErrNone where no agent answered.
func (c Client) ask(ctx context.Context, q request) (a answer, err error) {
	if err := c.folder.check(); err != nil {
		return a, fmt.Errorf("%w: %w", ErrNone, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.folder.socket(c.name))
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer conn.Close()
	if deadline, limited := ctx.Deadline(); limited {
		err = conn.SetDeadline(deadline)
	}
	unix, is := conn.(*net.UnixConn)
	if err != nil || !is {
		return a, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err := mustBe(os.Geteuid(), unix); err != nil {
		return a, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return a, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err := json.NewDecoder(io.LimitReader(conn, maxMessage)).Decode(&a); err != nil {
		return a, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Keyring returns the keys that the agent holds, to unwrap with. If the agent has ended by
// then, otherwise opens instead.
func (c Client) Keyring(held Held, otherwise agekey.Keyring) agekey.Keyring {
	return keyring{c, held, otherwise}
}

type keyring struct {
	client    Client
	held      Held
	otherwise agekey.Keyring
}

// Identities implements agekey.Keyring: one for each key, so that each is known by its
// recipient. The first of them unwraps for all.
func (k keyring) Identities() ([]age.Identity, error) {
	var ids []age.Identity
	for i, recipient := range k.held.Recipients {
		ids = append(ids, heldIdentity{keyring: k, recipient: recipient, asks: i == 0})
	}
	return ids, nil
}

// A heldIdentity is a key whose private half only the agent has.
type heldIdentity struct {
	keyring
	recipient string
	asks      bool
}

// Recipient implements agekey.Held.
func (i heldIdentity) Recipient() string { return i.recipient }

// Unwrap implements age.Identity.
func (i heldIdentity) Unwrap(header []*age.Stanza) ([]byte, error) {
	if !i.asks {
		return nil, age.ErrIncorrectIdentity
	}
	q := request{Verb: verbUnwrap}
	for _, s := range header {
		q.Stanzas = append(q.Stanzas, stanza{Type: s.Type, Args: s.Args, Body: s.Body})
	}
	a, err := i.client.ask(context.Background(), q) //nolint:forbidigo // age knows no context, and an agent answers at once
	switch {
	case errors.Is(err, ErrNone):
		return i.unwrapOtherwise(header)
	case err != nil:
		return nil, err
	case a.FileKey == nil:
		return nil, age.ErrIncorrectIdentity
	}
	return a.FileKey, nil
}

func (i heldIdentity) unwrapOtherwise(header []*age.Stanza) ([]byte, error) {
	ids, err := i.otherwise.Identities()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		key, err := id.Unwrap(header)
		if !errors.Is(err, age.ErrIncorrectIdentity) {
			return key, err
		}
	}
	return nil, age.ErrIncorrectIdentity
}
