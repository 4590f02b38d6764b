package stack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os/exec"
	"path"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
	"salvor/internal/machine"
	"salvor/internal/stack"
)

// inContainer is a machine that is a container of this machine's engine.
type inContainer struct {
	name  string
	calls *[]string
}

func (m inContainer) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	*m.calls = append(*m.calls, strings.Join(c.Argv, " "))
	argv := []string{"exec", "-i", "-e", "LC_ALL=C"}
	for _, e := range c.Env {
		argv = append(argv, "-e", e)
	}
	if c.Dir != "" {
		argv = append(argv, "-w", c.Dir)
	}
	cmd := exec.CommandContext(ctx, "docker", append(append(argv, m.name), c.Argv...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &out, &errs
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = &machine.ExitError{Argv: c.Argv, Code: exit.ExitCode(), Stderr: errs.Bytes()}
	}
	return machine.Output{Stdout: out.Bytes(), Stderr: errs.Bytes()}, err
}

func (m inContainer) ReadFile(ctx context.Context, file string) ([]byte, error) {
	out, err := m.Run(ctx, machine.Command("cat", "--", file))
	var exit *machine.ExitError
	if errors.As(err, &exit) && strings.Contains(string(exit.Stderr), "No such file") {
		return nil, fs.ErrNotExist
	}
	return out.Stdout, err
}

func (m inContainer) WriteFile(ctx context.Context, file string, content io.Reader, mode fs.FileMode) error {
	tmp := path.Join(path.Dir(file), ".tmp-"+path.Base(file))
	script := `cat >"$1" && chmod "$3" "$1" && mv -T "$1" "$2"`
	_, err := m.Run(ctx, machine.Cmd{Argv: []string{"sh", "-c", script, "sh", tmp, file, "0" + strings.TrimPrefix(modeText(mode), "0")}, Stdin: content})
	return err
}

func modeText(m fs.FileMode) string {
	const digits = "01234567"
	p := m.Perm()
	return string([]byte{digits[p>>6&7], digits[p>>3&7], digits[p&7]})
}

// Dial speaks to the host's engine through its `docker system dial-stdio`.
func (m inContainer) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "docker", "exec", "-i", m.name, "docker", "system", "dial-stdio")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = far
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.Copy(in, far)
		_ = in.Close()
	}()
	go func() {
		_ = cmd.Wait()
		_ = far.Close() // a host that died ends its connections
	}()
	return near, nil
}

func (inContainer) Close() error { return nil }

// labHost is a Debian host of the lab with Docker and Compose, and a registry
// that has the image app:1 which every test runs: a shell.
type labHost struct {
	*stack.Host
	lab    *lab.Host
	around *lab.Lab
	name   string // of its container
	app    string // the image's reference without its tag
	calls  []string
}

// TestOnHost runs everything that needs an engine on one host: each test has a
// stack of its own there.
func TestOnHost(t *testing.T) {
	l := newLabHost(t)
	for _, scene := range []struct {
		name string
		run  func(*testing.T, *labHost)
	}{
		{"deploy", testDeploy},
		{"adopt", testAdopt},
		{"adopt with a newer Compose", testAdoptWithNewerCompose},
		{"adopt a draft", testDraft},
		{"deploy after create only", testDeployAfterCreateOnly},
		{"first deploy that fails", testFirstDeployThatFails},
		{"networks", testEnsureNetworks},
		{"build, exec, logs, beside", testBuildExecLogsIsolated},
		{"observe is quick", testObserveIsQuick},
		{"deploy pins images", testDeployPinsImages},
		{"gate after power cut", testGateAfterPowerCut},
		{"ports kept over a power cut", testKeptPorts},
		{"health after a pause", testHealthAfterPause},
	} {
		t.Run(scene.name, func(t *testing.T) { scene.run(t, l) })
	}
}

func newLabHost(t *testing.T) *labHost {
	t.Helper()
	surroundings := labtest.Start(t, lab.Options{Name: "stack"})
	registry, err := surroundings.Registry(t.Context(), "registry", nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := surroundings.Host(t.Context(), "alpha", lab.HostOptions{Prepared: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.TrustRegistry(t.Context(), registry.Address); err != nil {
		t.Fatal(err)
	}
	l := &labHost{lab: h, around: surroundings, name: h.Container(), app: registry.Address + "/salvor/app"}
	l.Host = stack.New(inContainer{name: l.name, calls: &l.calls})
	t.Cleanup(l.Close)
	l.sh(t, "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends busybox-static")
	l.sh(t, "mkdir /tmp/img && cp /bin/busybox /tmp/img/ && printf 'FROM scratch\\nCOPY busybox /bin/busybox\\nENTRYPOINT [\"/bin/busybox\",\"sh\",\"-c\"]\\n' >/tmp/img/Dockerfile && docker build -q -t "+l.app+":1 /tmp/img && docker push -q "+l.app+":1")
	return l
}

func (l *labHost) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "exec", l.name, "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// until waits for a condition that a host reaches on its own.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("never: " + what)
		case <-tick.C:
		}
	}
}

// sh2 is sh for what may go wrong, also when the test's context is gone.
func (l *labHost) sh2(script string) error {
	return exec.Command("docker", "exec", l.name, "sh", "-c", script).Run()
}
