package convergetest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"salvor/internal/machine"
)

// A Cut is a way in which a run ends early.
type Cut string

// The cuts. From the given call on, no call reaches the machine.
const (
	Refused   Cut = "refused"   // the call has no effect and returns an error
	Lost      Cut = "lost"      // the call has its effect, then returns an error
	Cancelled Cut = "cancelled" // the context ends before the call
)

var errCut = errors.New("cut by the test")

// cutMachine passes calls on until it is cut. It counts once it is armed.
type cutMachine struct {
	machine.Machine
	how    Cut
	mu     sync.Mutex
	armed  bool
	left   int // calls that still pass
	cut    bool
	cancel context.CancelFunc
}

// arm begins the count and returns the context that the cut cancels.
func (m *cutMachine) arm(ctx context.Context) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed = true
	ctx, m.cancel = context.WithCancel(ctx)
	return ctx
}

func (m *cutMachine) happened() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cut
}

// pass reports whether the next call reaches the machine and whether it fails.
func (m *cutMachine) pass() (reach, fail bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.armed:
		return true, false
	case m.cut:
		return false, true
	case m.left > 0:
		m.left--
		return true, false
	}
	m.cut = true
	if m.how == Cancelled {
		m.cancel()
	}
	return m.how == Lost, true
}

// Run implements machine.Machine.
func (m *cutMachine) Run(ctx context.Context, c machine.Cmd) (out machine.Output, err error) {
	reach, fail := m.pass()
	if reach {
		out, err = m.Machine.Run(ctx, c)
	}
	if fail {
		return machine.Output{}, errCut
	}
	return out, err
}

// ReadFile implements machine.Machine.
func (m *cutMachine) ReadFile(ctx context.Context, path string) (content []byte, err error) {
	reach, fail := m.pass()
	if reach {
		content, err = m.Machine.ReadFile(ctx, path)
	}
	if fail {
		return nil, errCut
	}
	return content, err
}

// WriteFile implements machine.Machine.
func (m *cutMachine) WriteFile(ctx context.Context, path string, content io.Reader, mode fs.FileMode) (err error) {
	reach, fail := m.pass()
	if reach {
		err = m.Machine.WriteFile(ctx, path, content, mode)
	}
	if fail {
		return errCut
	}
	return err
}
