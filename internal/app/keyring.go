package app

import (
	"os"
	"strings"
	"sync"

	"filippo.io/age"

	"salvor/internal/secret/agekey"
)

// lazyKeyring opens the identity file at the first use and keeps it.
type lazyKeyring struct {
	open func() (*agekey.File, error)

	mu   sync.Mutex // guards file
	file *agekey.File
}

// Identities implements agekey.Keyring.
func (k *lazyKeyring) Identities() ([]age.Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file == nil {
		f, err := k.open()
		if err != nil {
			return nil, err
		}
		k.file = f
	}
	return k.file.Identities()
}

// opened reports whether the identity is open.
func (k *lazyKeyring) opened() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.file != nil
}

// unlocked reports whether the operator's keys are available without a question.
func (a *App) unlocked() bool {
	lazy, isLazy := a.ring.(*lazyKeyring)
	return !isLazy || lazy.opened()
}

// Unlock begins to open the operator's identity, which is a second of work. It is for
// callers whose passphrase comes from no person, who might be asked something else at
// the same time. An error is reported by the code that needs the identity.
func (a *App) Unlock() {
	go func() { _, _ = a.ring.Identities() }()
}

// identityPath is the place of an operator's identity: given, or the usual place.
func identityPath(given, fleet string) (string, error) {
	if given != "" {
		return given, nil
	}
	dir, err := os.UserConfigDir()
	return agekey.Path(dir, fleet), err
}

func splitLines(text string) []string {
	return strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
}
