package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"

	"salvor/internal/fault"
)

// Resolve returns where a program is, all links followed: by its path or by PATH. One
// that is not there wraps fs.ErrNotExist. A folder of PATH that is not absolute leads
// to another program in every folder, and is refused.
func Resolve(program string) (string, error) {
	file, err := exec.LookPath(program)
	switch {
	case errors.Is(err, exec.ErrDot):
		return "", fault.WithHint(err, "remove folders that don't begin with / from PATH")
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case err != nil:
		return "", err
	}
	return filepath.EvalSymlinks(file)
}
