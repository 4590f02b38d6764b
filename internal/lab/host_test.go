package lab_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
	"salvor/internal/lab/oracle"
)

func sshOpen(h *lab.Host) bool {
	conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(h.Address, 22).String(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	n, err := conn.Read(make([]byte, 3))
	return err == nil && n == 3
}

func answersSoon(t *testing.T, h *lab.Host, what string) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !sshOpen(h); {
		if time.Now().After(limit) {
			t.Errorf("%s does not answer", what)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLabHost(t *testing.T) {
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "hosttest"})
	h, err := l.Host(ctx, "alpha", lab.HostOptions{})
	must(t, err)
	first, err := h.HostKey(ctx)
	must(t, err)

	t.Run("a host of the asked release runs", func(t *testing.T) {
		out, err := h.Exec(ctx, "cat", "/etc/os-release", "/etc/hostname")
		must(t, err)
		if !strings.Contains(out, "VERSION_CODENAME=trixie") || !strings.Contains(out, "alpha") {
			t.Errorf("got %s", out)
		}
	})
	t.Run("a program's failure is an error that says why", func(t *testing.T) {
		if _, err := h.Exec(ctx, "ls", "/nowhere"); err == nil || !strings.Contains(err.Error(), "No such file") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("after a power cut the disk and the keys are there", func(t *testing.T) {
		_, err := h.Exec(ctx, "sh", "-c", "echo kept > /root/proof; sync")
		must(t, err)
		must(t, h.Kill(ctx))
		if sshOpen(h) {
			t.Error("a killed host answers")
		}
		must(t, h.Start(ctx))
		out, err := h.Exec(ctx, "cat", "/root/proof")
		must(t, err)
		key, err := h.HostKey(ctx)
		must(t, err)
		if out != "kept\n" || key != first {
			t.Errorf("got %q, host key %q, want kept and %q", out, key, first)
		}
	})
	t.Run("a reboot is orderly", func(t *testing.T) {
		must(t, h.Reboot(ctx))
		_, err := h.Exec(ctx, "cat", "/root/proof")
		must(t, err)
	})
	t.Run("a frozen host is silent until it thaws", func(t *testing.T) {
		must(t, h.Freeze(ctx))
		if sshOpen(h) {
			t.Error("a frozen host answers")
		}
		must(t, h.Thaw(ctx))
		answersSoon(t, h, "a thawed host")
	})
	t.Run("a cut off host runs on alone", func(t *testing.T) {
		must(t, h.CutOff(ctx))
		if sshOpen(h) {
			t.Error("a cut off host answers")
		}
		_, err := h.Exec(ctx, "true")
		must(t, err)
		must(t, h.Reconnect(ctx))
		answersSoon(t, h, "a reconnected host")
	})
	t.Run("a replacement is clean and has another key", func(t *testing.T) {
		must(t, h.Replace(ctx))
		key, err := h.HostKey(ctx)
		must(t, err)
		if key == first {
			t.Error("the new host has the old one's key")
		}
		if _, err := h.Exec(ctx, "cat", "/root/proof"); err == nil {
			t.Error("the new host has the old one's disk")
		}
	})
	t.Run("a manifest sees a changed owner and leaves nothing", func(t *testing.T) {
		before, err := h.Manifest(ctx, "/root")
		must(t, err)
		_, err = h.Exec(ctx, "chown", "daemon", "/root/.bashrc")
		must(t, err)
		after, err := h.Manifest(ctx, "/root")
		must(t, err)
		if lines := oracle.Differences(before, after); len(lines) != 1 || !strings.HasPrefix(lines[0], ".bashrc: ") {
			t.Errorf("got %q, want one about .bashrc", lines)
		}
	})
	t.Run("nothing is left after down", func(t *testing.T) {
		must(t, l.Down(ctx))
		runs, err := lab.Runs(ctx)
		must(t, err)
		for _, r := range runs {
			if r.ID == l.ID {
				t.Errorf("run %s is still on the engine", r.ID)
			}
		}
		if _, err := l.Host(ctx, "late", lab.HostOptions{}); err == nil {
			t.Error("a host was started in a lab that is down")
		}
	})
}
