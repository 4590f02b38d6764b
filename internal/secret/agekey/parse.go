package agekey

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// ErrPlugin means that a plugin has the key, where no plugin may run.
var ErrPlugin = errors.New("age plugins only work on the operator's computer")

// maxLine bounds a line of an identity or recipients file: plugin encodings are
// long, but none comes near.
const maxLine = 64 << 10

// ParseRecipient checks one recipient: X25519 ("age1…") or a plugin's
// ("age1yubikey1…"). The error never repeats what was given, which may be a
// secret pasted into the wrong place.
func ParseRecipient(s string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(s, "AGE-"):
		return nil, errors.New("this is a secret key; a recipient starts with age1")
	case strings.HasPrefix(s, "age1pq1"):
		return nil, errors.New("post-quantum recipients can't be combined with X25519 ones; use an age1… recipient of age-keygen")
	case !strings.HasPrefix(s, "age1"):
		return nil, errors.New("not an age recipient: it must start with age1")
	}
	if r, err := age.ParseX25519Recipient(s); err == nil {
		return r, nil
	}
	if strings.Count(s, "1") > 1 {
		if r, err := plugin.NewRecipient(s, noTerminal()); err == nil {
			return r, nil
		}
	}
	return nil, errors.New("not an age recipient: mistyped or cut off")
}

// ParseRecipients reads a file of recipients, one per line, with # comments.
// Errors name file and line.
func ParseRecipients(name string, data []byte) ([]string, error) {
	var recipients []string
	err := eachLine(name, data, func(line string) error {
		if _, err := ParseRecipient(line); err != nil {
			return err
		}
		if !slices.Contains(recipients, line) {
			recipients = append(recipients, line)
		}
		return nil
	})
	if err == nil && len(recipients) == 0 {
		err = fmt.Errorf("%s: no age recipient in it", name)
	}
	return recipients, err
}

// ParseIdentities reads an identity file as age does: one identity per line,
// with # comments. Plugin identities are accepted where ui is not nil: they run
// a program, which only an operator's machine does. Errors name file and line
// and repeat nothing of its content.
func ParseIdentities(name string, data []byte, ui *plugin.ClientUI) ([]age.Identity, error) {
	var ids []age.Identity
	err := eachLine(name, data, func(line string) error {
		id, err := parseIdentity(line, ui)
		if err == nil {
			ids = append(ids, id)
		}
		return err
	})
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("%s: no age identity in it", name)
	}
	return ids, err
}

func parseIdentity(line string, ui *plugin.ClientUI) (age.Identity, error) {
	switch {
	case strings.HasPrefix(line, "AGE-PLUGIN-"):
		if ui == nil {
			return nil, ErrPlugin
		}
		if id, err := plugin.NewIdentity(line, ui); err == nil {
			return id, nil
		}
	case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
		if id, err := age.ParseX25519Identity(line); err == nil {
			return id, nil
		}
	case strings.HasPrefix(line, "age1"):
		return nil, errors.New("this is a recipient; an identity starts with AGE-SECRET-KEY-1")
	default:
		return nil, errors.New("not an age identity: it must start with AGE-SECRET-KEY-1")
	}
	return nil, errors.New("not an age identity: mistyped or cut off")
}

func eachLine(name string, data []byte, visit func(string) error) error {
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(nil, maxLine)
	n := 0
	for sc.Scan() {
		n++
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := visit(line); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return nil
}

// noTerminal answers a plugin that asks for something while encrypting:
// encryption never needs the operator's attention.
func noTerminal() *plugin.ClientUI {
	refuse := errors.New("an age plugin asked a question while encrypting")
	return &plugin.ClientUI{
		DisplayMessage: func(string, string) error { return nil },
		RequestValue:   func(string, string, bool) (string, error) { return "", refuse },
		Confirm:        func(string, string, string, string) (bool, error) { return false, refuse },
		WaitTimer:      func(string) {},
	}
}
