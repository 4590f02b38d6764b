package mount

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"salvor/internal/atomicfile"
)

// ConfirmedFor is how long a confirmation lets uploads through. It is shorter than the time
// after which another host may take a stack over.
const ConfirmedFor = time.Minute

// Confirm notes that a stack is this host's, by a look at the claims that was just made.
func Confirm(stamp string) error {
	now := time.Now()
	err := os.Chtimes(stamp, now, now)
	if !os.IsNotExist(err) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(stamp), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(stamp, strings.NewReader(""), 0o600)
}

// Fresh returns whether a stack was confirmed lately, asked again each time.
func Fresh(stamp string) func() bool {
	return func() bool {
		info, err := os.Stat(stamp)
		if err != nil {
			return false
		}
		age := time.Since(info.ModTime())
		return age <= ConfirmedFor && age > -time.Second // a clock that was set back confirms nothing
	}
}
