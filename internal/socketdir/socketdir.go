// Package socketdir makes folders whose path is short enough for Unix sockets.
package socketdir

import "os"

const (
	// Longest is what a socket's path may have on every system: 104 bytes with the closing
	// zero on macOS and BSD, 108 on Linux (unix(4), unix(7)).
	Longest = 103

	room = 42 // two slashes, ten digits of os.MkdirTemp, and a name of 30 bytes
)

// Make makes a new folder for this user alone, named by pattern as for os.MkdirTemp. It is
// in the usual place for temporary files, or in /tmp where that has too long a path. The
// caller removes it. A name of up to 30 bytes fits below it.
func Make(pattern string) (string, error) {
	parent := os.TempDir()
	if len(parent)+len(pattern)+room > Longest {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, pattern)
}
