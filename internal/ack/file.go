package ack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// File is where the repository keeps which findings are acknowledged.
const File = "acks.json"

// An Ack is one finding that the operators have acknowledged.
type Ack struct {
	Code    finding.Code `json:"code"`
	Subject string       `json:"subject"` // without a line
	Until   time.Time    `json:"until,omitzero"`
	Why     string       `json:"why,omitempty"`
}

// String says what is acknowledged, until when and why.
func (a Ack) String() string {
	text := fmt.Sprintf("%s %s", a.Code, a.Subject)
	if !a.Until.IsZero() {
		text += " until " + a.Until.UTC().Format(time.DateOnly)
	}
	if a.Why != "" {
		text += ": " + a.Why
	}
	return text
}

// Acks are all of them, by code and subject.
type Acks []Ack

type ackFile struct {
	Schema int  `json:"schema"`
	Acks   Acks `json:"acks"`
}

// Decode reads acks.json; no content has none.
func Decode(content []byte) (Acks, error) {
	if len(content) == 0 {
		return nil, nil
	}
	var f ackFile
	dec := json.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New(File + ": there is extra data after its content")
	}
	switch {
	case f.Schema > fleet.Schema:
		return nil, fmt.Errorf("%s: schema %d: a newer salvor wrote this", File, f.Schema)
	case f.Schema < 1:
		return nil, errors.New(File + ": no schema")
	}
	return f.Acks, nil
}

// Encode returns the bytes of acks.json.
func Encode(all Acks) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(ackFile{fleet.Schema, all})
	return out.Bytes(), err
}

// With returns the acks with one more, in the place of an earlier one of the same
// finding, and without those that have ended.
func (all Acks) With(a Ack, now time.Time) Acks {
	a.Subject = placeless(a.Subject)
	kept, _ := all.Without(a.Code, a.Subject)
	kept = slices.DeleteFunc(append(kept, a), func(a Ack) bool { return a.ended(now) })
	slices.SortFunc(kept, func(a, b Ack) int { return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject, b.Subject)) })
	return kept
}

// Without returns the acks without the one of a finding, and whether there was one.
func (all Acks) Without(code finding.Code, subject string) (Acks, bool) {
	kept := slices.DeleteFunc(slices.Clone(all), func(a Ack) bool { return a.Code == code && a.Subject == placeless(subject) })
	return kept, len(kept) < len(all)
}

// Covers reports whether a finding is acknowledged at a time. A fatal one never is.
func (all Acks) Covers(f finding.Finding, now time.Time) bool {
	return f.Severity != finding.Fatal && slices.ContainsFunc(all, func(a Ack) bool {
		return a.Code == f.Code && a.Subject == placeless(f.Subject) && !a.ended(now)
	})
}

func (a Ack) ended(now time.Time) bool { return !a.Until.IsZero() && !now.Before(a.Until) }

var place = regexp.MustCompile(`:\d+(:\d+)?$`)

// placeless is a subject without the line and column, which move as the file is edited.
func placeless(subject string) string { return place.ReplaceAllString(subject, "") }
