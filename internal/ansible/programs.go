package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"salvor/internal/atomicfile"
	"salvor/internal/embedded"
	"salvor/internal/machine/ssh"
)

// Programs puts salvord into a folder, which is for this user alone, for each processor that
// this salvor has it for, and returns their paths by processor. What is there and the same is
// left. It may be called again at any time.
func Programs(f *Fleet, dir string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(dir, "salvord-"+arch)
		err := f.unpack(arch, path)
		if errors.Is(err, embedded.ErrNotBuilt) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("unpack salvord: %w", err)
		}
		paths[arch] = path
	}
	if len(paths) == 0 {
		return nil, embedded.ErrNotBuilt
	}
	return paths, nil
}

// unpack writes salvord to path unless it is there.
func (f *Fleet) unpack(arch, path string) error {
	is, err := f.unpacked(arch, path)
	if err != nil || is {
		return err
	}
	program, err := f.Program(arch)
	if err != nil {
		return err
	}
	defer program.Close()
	return atomicfile.Write(path, program, 0o600)
}

// unpacked compares a file with salvord, byte by byte: hosts run it as root.
func (f *Fleet) unpacked(arch, path string) (bool, error) {
	program, err := f.Program(arch)
	if err != nil {
		return false, err
	}
	defer program.Close()
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return same(program, file)
}

func same(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 1<<18), make([]byte, 1<<18)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return false, err
			}
		}
		if errA != nil || errB != nil {
			return true, nil // they ended together, or their parts would differ
		}
	}
}

// Keep writes what an inventory names below a folder of this user, since it is read after
// salvor has ended: ssh's configuration without an agent, and salvord.
func Keep(ctx context.Context, f *Fleet, cache string) (Paths, error) {
	programs, err := Programs(f, cache)
	if err != nil {
		return Paths{}, err
	}
	all, err := f.logins(ctx)
	if err != nil {
		return Paths{}, err
	}
	dir := filepath.Join(cache, "ssh-"+f.Declared.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Paths{}, err
	}
	config, err := ssh.WriteRoster(dir, all, "")
	return Paths{Logins: all, Config: config, Control: filepath.Join(dir, "cp"), Programs: programs}, err
}
