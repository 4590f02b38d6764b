package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// A Sysctl is a kernel setting, now and after every boot: the value in
// /proc/sys and a line in /etc/sysctl.d/60-salvor-KEY.conf. Key is written with
// dots.
type Sysctl struct {
	Key   string
	Value string
	Needs []string
}

var _ converge.Resource = Sysctl{}

// ID returns "sysctl KEY".
func (s Sysctl) ID() string { return "sysctl " + s.Key }

// Links looks at the file.
func (s Sysctl) Links() converge.Links {
	links := s.file().Links()
	links.Needs = s.Needs
	return links
}

func (s Sysctl) file() File {
	return File{Path: "/etc/sysctl.d/60-salvor-" + s.Key + ".conf", Content: []byte(s.Key + " = " + s.Value + "\n"), Mode: 0o644}
}

// path swaps dots and slashes, as sysctl.d(5) says: net.ipv4.conf.eth0/1.forwarding.
func (s Sysctl) path() string {
	return "/proc/sys/" + strings.NewReplacer(".", "/", "/", ".").Replace(s.Key)
}

// Diff compares the value that holds and the one for the next boot.
func (s Sysctl) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	content, err := h.ReadFile(ctx, s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this kernel has no such setting")
	}
	if err != nil {
		return nil, err
	}
	var causes []string
	is := strings.Join(strings.Fields(string(content)), " ")
	now := is != s.Value
	if now {
		causes = append(causes, fmt.Sprintf("is %s, want %s", is, s.Value))
	}
	file, err := s.file().Diff(ctx, h)
	if err != nil {
		return nil, err
	}
	if file != nil {
		causes = append(causes, s.file().Path+" "+file.Cause)
	}
	return because(causes, func(ctx context.Context, say func(string)) error {
		if file != nil {
			if err := file.Apply(ctx, say); err != nil {
				return err
			}
		}
		if now {
			return s.set(ctx, h)
		}
		return nil
	}), nil
}

// set writes the value through tee(1): files in /proc can't be replaced, and
// sysctl(8) is not on every host.
func (s Sysctl) set(ctx context.Context, m machine.Machine) error {
	_, err := m.Run(ctx, machine.Cmd{Argv: []string{"tee", s.path()}, Stdin: bytes.NewBufferString(s.Value + "\n"), Timeout: quick})
	return err
}
