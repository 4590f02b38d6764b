package hostapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"salvor/internal/agent/here"
	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/mount"
	"salvor/internal/mounter"
	"salvor/internal/terminal"
)

const (
	uploadWithin  = 4 * time.Minute // before a mounter ends; less than its unit gives it
	restartWithin = time.Minute     // of a container that holds dead files
)

// mountStack is `salvord mount STACK`: it serves the stack's shared volumes until ctx ends.
// Why it could not is noted for who started it.
func mountStack(ctx context.Context, h *here.Host, args []string, errOut io.Writer) error {
	if len(args) != 1 {
		return errors.New("mount needs a stack")
	}
	err := serveMounts(ctx, h, args[0], errOut)
	if err != nil {
		err = errors.Join(err, note(h.Paths.MountFailure(args[0]), err.Error()))
	}
	return err
}

func note(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(file, strings.NewReader(string(terminal.Text(text))+"\n"), 0o600)
}

func serveMounts(ctx context.Context, h *here.Host, name string, errOut io.Writer) error {
	s, err := h.Placed(name)
	if err != nil {
		return err
	}
	if h.Local(name).LostAt(s.Epoch) {
		return fmt.Errorf("stack %s was taken over by another host", name)
	}
	want := s.SharedVolumes()
	if want == nil {
		return fmt.Errorf("stack %s has no shared volumes", name)
	}
	if unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil {
		return fault.WithHint(errors.New("the host has no /dev/fuse"), "modprobe fuse; a container needs the device passed in")
	}
	if s, err = s.Open(); err != nil {
		return err
	}
	m, err := mounter.Start(ctx, options(h, name, want), volumes(context.WithoutCancel(ctx), s, want))
	if err != nil {
		return err
	}
	defer m.Close()
	for _, f := range m.Aside {
		h.Enter(journal.Entry{Kind: "shared-set-aside", Stack: name, Text: f.Volume + "/" + f.Path})
	}
	if err := here.SharedMountsOf(h, name).Note(want); err != nil {
		return err
	}
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return err
	}
	reattach(ctx, h, name, want, errOut)
	select {
	case <-ctx.Done():
	case err := <-m.Ended():
		return err
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) // systemd waits either way
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), uploadWithin)
	defer cancel()
	m.Upload(last)
	return nil
}

func options(h *here.Host, stack string, want *here.Mounted) mounter.Options {
	return mounter.Options{
		Stack: stack, Cache: h.Paths.Cache(stack), Keep: filepath.Join(h.Paths.Cache(stack), "copies"),
		Aside: filepath.Join(h.Paths.Quarantine(stack), time.Now().UTC().Format(here.QuarantineTime)),
		Size:  want.Mount.Cache, KeepFree: want.Mount.KeepFree,
		UID: uint32(want.Mount.UID), GID: uint32(want.Mount.GID), Umask: uint32(want.Mount.Umask),
		May: mount.Fresh(h.Paths.Owner(stack)),
	}
}

func volumes(ctx context.Context, s *here.Stack, want *here.Mounted) []mounter.Volume {
	var all []mounter.Volume
	computer, remotes := here.ComputerOf(s.Host), s.Access.Remotes()
	for _, v := range want.Volumes {
		line := computer.Lines.To(remotes.Base(v.Where.Remote))
		all = append(all, mounter.Volume{Name: v.Name, Point: v.Point, ReadOnly: v.ReadOnly, Others: v.Others, Line: line, Open: func() (mounter.Remote, error) {
			return computer.Mountable(ctx, remotes, v.Where)
		}})
	}
	return all
}

// reattach gives containers that had the mount of a killed mounter the new one. One that has
// a file open from before is restarted: it would get errors from it for ever.
func reattach(ctx context.Context, h *here.Host, stack string, want *here.Mounted, errOut io.Writer) {
	points := map[string]string{}
	for _, v := range want.Volumes {
		points[v.Name] = v.Point
	}
	holders, err := mount.Reattach(stack, points)
	if err != nil {
		h.Trouble("mounts", err)
		terminal.Printf(errOut, "%s\n", terminal.Text(err.Error()))
	}
	restarted := map[string]bool{}
	for _, holder := range holders {
		text := fmt.Sprintf("process %d has a file open from before the mount was made again", holder.PID)
		if id := holder.Container; id != "" && !restarted[id] {
			restarted[id] = true
			text = fmt.Sprintf("container %.12s was restarted: it had a file open from before the mount was made again", id)
			_, err := h.Machine.Run(ctx, machine.Cmd{Argv: []string{"docker", "restart", id}, Timeout: restartWithin})
			if err != nil {
				text += ": " + err.Error()
			}
		}
		h.Enter(journal.Entry{Kind: "shared-remounted", Stack: stack, Text: text})
		terminal.Printf(errOut, "%s\n", terminal.Text(text))
	}
}
