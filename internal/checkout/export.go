package checkout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// exportName begins the name of a folder that holds an exported commit; the id of
// the process that uses it follows.
const exportName = "salvor-commit-"

// exportFolder makes a private folder for a commit's files below tmp, after
// removing those that commands of this user left there when they were killed.
func exportFolder(tmp string) (string, error) {
	left, err := filepath.Glob(filepath.Join(tmp, exportName+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range left {
		if abandoned(dir) {
			_ = os.RemoveAll(dir) // another command may be at it; nothing depends on it
		}
	}
	return os.MkdirTemp(tmp, fmt.Sprintf("%s%d-", exportName, os.Getpid()))
}

// abandoned reports whether a folder is this user's and its process is gone.
func abandoned(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() && info.Mode().Type() != os.ModeSymlink { // a link to a folder in memory
		return false
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !known || int(owner.Uid) != os.Geteuid() {
		return false
	}
	id, _, named := strings.Cut(strings.TrimPrefix(filepath.Base(dir), exportName), "-")
	process, err := strconv.Atoi(id) // without a dash it is an older salvor's random number
	return named && err == nil && process > 0 && errors.Is(syscall.Kill(process, 0), syscall.ESRCH)
}
