package cli

import (
	"context"
	"io/fs"
	"os"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"salvor/internal/machine"
	"salvor/internal/stack"
)

// resized is a machine on which a command looks at its terminal while the person makes
// theirs larger.
type resized struct {
	machine.Machine
	enlarge func() error
	sizes   [][2]int
}

// ReadFile implements machine.Machine: the stack's project is called as the stack.
func (r *resized) ReadFile(context.Context, string) ([]byte, error) { return nil, fs.ErrNotExist }

// Run implements machine.Machine.
func (r *resized) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	r.sizes = append(r.sizes, [2]int{c.TTY.Width, c.TTY.Height})
	if err := r.enlarge(); err != nil {
		return machine.Output{}, err
	}
	select {
	case size := <-c.TTY.Resize:
		r.sizes = append(r.sizes, size)
	case <-ctx.Done():
	}
	return machine.Output{}, nil
}

// TestExecFollowsTheTerminal: an editor in a container kept the size that the terminal had
// when it was started.
func TestExecFollowsTheTerminal(t *testing.T) {
	g, _, _ := onTerminal(t)
	if err := pty.Setsize(g.Term, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	m := &resized{enlarge: func() error {
		if err := pty.Setsize(g.Term, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
			return err
		}
		return unix.Kill(os.Getpid(), unix.SIGWINCH) // as the kernel does for the terminal's programs
	}}
	if err := g.exec(t.Context(), stack.New(m), "notes", []string{"web", "vi"}, true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][2]int{{80, 24}, {132, 50}}, m.sizes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
