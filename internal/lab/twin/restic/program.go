// Package restic is the restic program in this process: what package snapshot asks
// of it, over the same protocol and in the same format of repositories. It reads
// every file and puts each into one blob, uncompressed.
package restic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/machine"
	"salvor/internal/secret"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/repository"
)

// Version is what it prints when it is asked.
const Version = "restic 0.18.0 compiled with go1.24.4 on linux/amd64\n"

// Exit codes of restic 0.17 and newer.
const (
	exitFailed = 1
	exitLocked = 12
)

// A spec is what nsexec hands to the program that it becomes.
type spec struct {
	Argv     []string          `json:"argv"`
	Binds    []nsexec.Bind     `json:"binds"`
	Hostname string            `json:"hostname"`
	Secrets  map[string][]byte `json:"secrets"`
}

// run is one run of the program.
type run struct {
	spec
	store *rest
	repo  *repository.Repository // for reading
	key   key
	cmd   machine.Cmd
}

// Run does what the command's spec says, as salvord's helper would. Connections to
// the repository are made by dial.
func Run(ctx context.Context, c machine.Cmd, dial func(context.Context, string) (net.Conn, error)) (machine.Output, error) {
	r := run{cmd: c}
	if err := json.NewDecoder(c.Stdin).Decode(&r.spec); err != nil {
		return machine.Output{}, err
	}
	store, err := connect(string(r.Secrets["repository"]), dial)
	if err != nil {
		return machine.Output{}, err
	}
	r.store = store
	defer store.close()
	err = r.do(ctx, dial)
	if ctx.Err() != nil {
		return machine.Output{}, ctx.Err()
	}
	if err == nil {
		return machine.Output{}, nil
	}
	code := exitFailed
	if errors.Is(err, secret.ErrLocked) {
		code = exitLocked
	}
	text := "Fatal: " + err.Error()
	if c.Stderr != nil {
		_, _ = io.WriteString(c.Stderr, text+"\n")
	}
	return machine.Output{}, &machine.ExitError{Argv: []string{"restic"}, Code: code, Stderr: []byte(text)}
}

func (r *run) do(ctx context.Context, dial func(context.Context, string) (net.Conn, error)) (err error) {
	if r.key, err = unlock(ctx, r.store, r.Secrets["password"]); err != nil {
		return err
	}
	if r.repo, err = repository.Open(ctx, r.store, secret.New(r.Secrets["password"]), repository.Spare{}); err != nil {
		return err
	}
	command := slices.IndexFunc(r.Argv, func(a string) bool {
		return slices.Contains([]string{"backup", "restore", "repair", "check", "prune", "copy"}, a)
	})
	if command < 0 {
		return fmt.Errorf("unknown command: %q", r.Argv)
	}
	args := r.Argv[command+1:]
	switch r.Argv[command] {
	case "backup":
		return r.locked(ctx, false, func() error { return r.backup(ctx, args) })
	case "copy":
		return r.locked(ctx, false, func() error { return r.copy(ctx, args[len(args)-1], dial) })
	case "restore":
		return r.restore(ctx, args)
	case "repair":
		return r.locked(ctx, true, func() error { return r.repair(ctx) })
	case "check":
		return nil
	}
	return fmt.Errorf("%s is not part of this twin", r.Argv[command])
}

// options returns the values of an option that may be given several times.
func options(args []string, name string) []string {
	var values []string
	for i, a := range args {
		if a == name {
			values = append(values, args[i+1])
		}
	}
	return values
}

func option(args []string, name string) string {
	if values := options(args, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// source returns where a path of the namespace is on the host.
func (r *run) source(at string) (string, bool) {
	for _, b := range slices.Backward(r.Binds) {
		if at == b.Target {
			return b.Source, true
		}
		if rest, ok := strings.CutPrefix(at, b.Target+"/"); ok {
			return filepath.Join(b.Source, rest), true
		}
	}
	return "", false
}
