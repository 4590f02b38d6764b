package parts

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"salvor/internal/fault"
)

// A Ref names a file or folder in a snapshot, as commands take it: ID:/VOLUME/PATH.
type Ref struct {
	ID   string // the beginning of an id, Latest, or "" where it is chosen in another way
	Path string // clean and absolute: "/" is the whole snapshot
}

// Latest is the ID of the newest snapshot that may be restored.
const Latest = "latest"

var beginning = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// ParseRef reads ID, ID:/VOLUME/PATH, or /VOLUME/PATH. What is neither is an error that ends
// with the code for a wrong command line.
func ParseRef(text string) (Ref, error) {
	id, at, found := strings.Cut(text, ":")
	if strings.HasPrefix(text, "/") {
		id, at, found = "", text, true
	}
	if !found || at == "" && id != "" {
		at = "/"
	}
	var err error
	switch {
	case !strings.HasPrefix(at, "/") || strings.ContainsRune(at, 0):
		err = fmt.Errorf("%q is not a place in a snapshot: behind the colon is a path, such as /data", text)
	case id == "" && !found:
		err = errors.New("an empty word names no snapshot")
	case id != "" && id != Latest && !beginning.MatchString(id):
		err = fmt.Errorf("%q is not the id of a snapshot: these are of 0-9 and a-f, or %q", id, Latest)
	}
	if err != nil {
		return Ref{}, fault.WithCode(fault.WithHint(err, "salvor snapshot ls STACK lists the ids; a file is ID:/VOLUME/PATH"), fault.Usage)
	}
	return Ref{ID: id, Path: path.Clean(at)}, nil
}

// String is the Ref as commands take it.
func (r Ref) String() string { return r.ID + ":" + r.Path }
