package fleet

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A SharedMount is how a stack's shared volumes are mounted on its host.
type SharedMount struct {
	UID      int   `json:"uid"` // of every file and folder
	GID      int   `json:"gid"`
	Umask    int   `json:"umask"`     // permission bits that none has
	Cache    int64 `json:"cache"`     // bytes that the cache may hold on the host's disk
	KeepFree int64 `json:"keep_free"` // bytes that stay free there
}

// DefaultSharedMount is what holds where x-salvor.shared says nothing.
func DefaultSharedMount() SharedMount {
	return SharedMount{Umask: 0o022, Cache: 10 << 30, KeepFree: 2 << 30}
}

// Writers says how many stacks write to a shared folder.
type Writers string

// How many stacks write to a shared folder. With many, neither sees what the other has
// locked, and the last upload of a file wins.
const (
	OneWriter   Writers = "one" // the stack whose folder it is; "" means the same
	ManyWriters Writers = "many"
)

var sizePattern = regexp.MustCompile(`^([0-9]{1,7})(MiB|GiB|TiB)$`)

// ParseSize reads a number of bytes, written like 10GiB.
func ParseSize(v string) (int64, error) {
	m := sizePattern.FindStringSubmatch(v)
	if m == nil {
		return 0, fmt.Errorf("%q is not a size: write it like 500MiB or 10GiB", v)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	shift := 20 + 10*strings.IndexByte("MGT", m[2][0])
	if err != nil || n == 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is not a size: it is out of range", v)
	}
	return n << shift, nil
}
