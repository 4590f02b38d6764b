// Package storetest is what every store of secrets has to do, as one test that
// each of them runs.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"salvor/internal/secret"
)

// A Store keeps secrets by name.
type Store interface {
	secret.Resolver
	// Set gives a secret a value, new or not. A store that only reads wraps
	// secret.ErrReadOnly.
	Set(ctx context.Context, name string, value secret.Value) error
}

// A Subject is one store under test, with one name that has no secret yet.
type Subject struct {
	Store
	Name    string
	Unknown string          // a name of the same kind that never gets a secret
	Locked  secret.Resolver // what Store has, without a key that fits

	// Put gives the secret its value where Set can't; nil for a store that writes.
	Put func(t *testing.T, value []byte)
	// Holds reports whether the store's format can hold a value; nil for any value.
	Holds func(value []byte) bool
	// Content returns what stands for the secret in Git, and Replace puts other
	// bytes there; nil where nothing does.
	Content func() []byte
	Replace func(content []byte)
}

// Canary is part of every value, to be looked for where it must not be.
const Canary = "hunter2-canary"

// Run runs the suite. Each part gets a subject of its own.
func Run(t *testing.T, subject func(t *testing.T) Subject) {
	t.Run("values come back byte for byte", func(t *testing.T) { roundTrip(t, subject(t)) })
	t.Run("errors say which and show nothing", func(t *testing.T) { refusals(t, subject(t)) })
	if subject(t).Content != nil { // what a program prints, and nothing in Git, can be tampered with only where it is made
		t.Run("tampering is noticed", func(t *testing.T) { tampering(t, subject(t)) })
	}
	t.Run("many read at once", func(t *testing.T) { together(t, subject(t)) })
	t.Run("a context that is over ends it", func(t *testing.T) { cancelled(t, subject(t)) })
}

func values() map[string][]byte {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return map[string][]byte{
		"text": []byte(Canary), "empty": {}, "line ends": []byte(Canary + "\n\r\n\nx\n"), "only a line end": []byte("\n"),
		"binary": append([]byte(Canary), every...), "spaces": []byte("  " + Canary + "\t "), "quotes": []byte(`"` + Canary + `' $x ${y} #z`),
		"other scripts": []byte("ключ-" + Canary + "-鍵"), "1 MiB": []byte(Canary + strings.Repeat("x", 1<<20-len(Canary))),
	}
}

// put gives the subject's secret a value.
func (s Subject) put(t *testing.T, value []byte) error {
	t.Helper()
	if s.Put == nil {
		return s.Set(t.Context(), s.Name, secret.New(value))
	}
	if err := s.Set(t.Context(), s.Name, secret.New(value)); !errors.Is(err, secret.ErrReadOnly) {
		t.Errorf("a store that only reads was set: %v", err)
	}
	s.Put(t, value)
	return nil
}

func (s Subject) mustPut(t *testing.T) {
	t.Helper()
	if err := s.put(t, []byte(Canary)); err != nil {
		t.Fatal(err)
	}
}

func roundTrip(t *testing.T, s Subject) {
	for name, value := range values() {
		err := s.put(t, value)
		if err == nil {
			var got secret.Value
			if got, err = s.Resolve(t.Context(), s.Name); err == nil && !bytes.Equal(got.Reveal(), value) {
				t.Errorf("%s: %d bytes came back as %d others", name, len(value), len(got.Reveal()))
			}
		}
		if held := s.Holds == nil || s.Holds(value); held != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		quiet(t, err)
	}
	if s.Content != nil && bytes.Contains(s.Content(), []byte(Canary)) {
		t.Error("the content in Git shows the value")
	}
	if text := fmt.Sprintf("%+v %#v", s.Store, s.Store); strings.Contains(text, Canary) {
		t.Error("the store, printed, shows the value")
	}
}

// quiet fails when an error shows a value.
func quiet(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, Canary) || strings.Contains(text, fmt.Sprintf("%x", Canary)) {
			t.Errorf("the error shows the value: %s", text)
		}
	}
}

func refusals(t *testing.T, s Subject) {
	if _, err := s.Resolve(t.Context(), s.Unknown); !errors.Is(err, secret.ErrNotFound) || errors.Is(err, secret.ErrLocked) {
		t.Errorf("a name without a secret: %v, want secret.ErrNotFound", err)
	}
	s.mustPut(t)
	got, err := s.Locked.Resolve(t.Context(), s.Name)
	if !errors.Is(err, secret.ErrLocked) || !got.IsZero() || errors.Is(err, secret.ErrNotFound) {
		t.Errorf("without a key: %v, want secret.ErrLocked", err)
	}
	quiet(t, err)
	if !strings.Contains(err.Error(), lastPart(s.Name)) {
		t.Errorf("the error does not say which secret: %v", err)
	}
}

// lastPart is what an error has to name: of STACK/KEY the file is enough.
func lastPart(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return first
}

// tampering changes bits all over what is in Git: what is read is the value or an
// error, and most changes are noticed. Bytes that only lay a file out may change.
func tampering(t *testing.T, s Subject) {
	s.mustPut(t)
	content := bytes.Clone(s.Content())
	step := max(len(content)/100, 1)
	tried, noticed := 0, 0
	for i := 0; i < len(content); i += step {
		changed := bytes.Clone(content)
		changed[i] ^= 1
		s.Replace(changed)
		got, err := s.Resolve(t.Context(), s.Name)
		quiet(t, err)
		if tried++; err != nil {
			noticed++
		} else if string(got.Reveal()) != Canary {
			t.Errorf("byte %d changed: another value was read", i)
		}
	}
	for _, n := range []int{0, 1, len(content) / 3, len(content) / 2, len(content) - 20} {
		s.Replace(bytes.Clone(content[:n]))
		got, err := s.Resolve(t.Context(), s.Name)
		if err == nil && (n <= len(content)/2 || string(got.Reveal()) != Canary) {
			t.Errorf("cut off after %d of %d bytes: not noticed", n, len(content))
		}
		quiet(t, err)
	}
	if noticed < tried/2 {
		t.Errorf("only %d of %d changes were noticed", noticed, tried)
	}
}

func together(t *testing.T, s Subject) {
	s.mustPut(t)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if got, err := s.Resolve(t.Context(), s.Name); err != nil || string(got.Reveal()) != Canary {
				t.Errorf("%d bytes, %v", len(got.Reveal()), err)
			}
		})
	}
	all.Wait()
}

func cancelled(t *testing.T, s Subject) {
	s.mustPut(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := s.Resolve(over, s.Name); !errors.Is(err, context.Canceled) || !got.IsZero() {
		t.Errorf("read: %v", err)
	}
	if err := s.Set(over, s.Name, secret.NewString("another")); err == nil {
		t.Error("written")
	}
}
