package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// HostOptions describe a host. The zero value is Debian 13.
type HostOptions struct {
	Release  int  // Debian 13 or 12
	Prepared bool // Debian 13 that has restic, Docker and Compose already, for scenarios about what comes after
}

// A Host is a Debian machine of the lab.
type Host struct {
	Name    string
	Address netip.Addr // stays the same through every fault and replacement

	lab       *Lab
	options   HostOptions
	container string
}

// bootLimit is what a host may take from its start until systemd has finished
// booting and sshd answers: measured 3 to 6 s, more with every core busy.
const bootLimit = 3 * time.Minute

// Host starts a clean host and waits until systemd has booted and sshd answers.
// Names are unique within the lab.
func (l *Lab) Host(ctx context.Context, name string, o HostOptions) (*Host, error) {
	if o.Release == 0 {
		o.Release = 13
	}
	address, err := l.nextAddress()
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, Address: address, lab: l, options: o, container: l.ID + "-" + name}
	l.mu.Lock()
	_, taken := l.hosts[name]
	if !taken {
		l.hosts[name] = h
	}
	l.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("host %s exists already", name)
	}
	return h, h.create(ctx)
}

func (h *Host) create(ctx context.Context) error {
	image, err := h.lab.hostImage(ctx, h.options)
	if err != nil {
		return err
	}
	if _, err := docker(ctx, append([]string{"volume", "create"}, append(h.lab.labels(), h.container+"-docker")...)...); err != nil {
		return err
	}
	if err := h.lab.run(ctx, append(append(h.flags(), h.lab.public().leading()...), image, "sh", "/lab-init")); err != nil {
		return fmt.Errorf("start host %s: %w", h.Name, err)
	}
	if err := h.furnish(ctx); err != nil {
		return fmt.Errorf("furnish host %s: %w", h.Name, err)
	}
	return h.ready(ctx)
}

// flags make a container in which systemd, FUSE, tun and an inner Docker work.
// SYS_RESOURCE is not ours to give where the machine itself is confined;
// SYS_TIME and SYS_MODULE would reach the machine.
func (h *Host) flags() []string {
	return []string{
		"--name", h.container, "--hostname", h.Name, "--label", labelHost + "=" + h.Name,
		"--network", h.lab.ID, "--network-alias", h.Name, "--ip", h.Address.String(), "-e", "container=docker",
		"--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--cap-drop", "SYS_TIME", "--cap-drop", "SYS_MODULE",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
		"--device-cgroup-rule", "a *:* rwm", "--device", "/dev/fuse", "--device", "/dev/net/tun", "--cgroupns=private",
		"--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
		"--stop-signal", "SIGRTMIN+3", // systemd(1): halt
		"-v", h.container + "-docker:/var/lib/docker",
	}
}

// furnish gives the new host the operator's key, the lab's package cache, and trust in its
// internet.
func (h *Host) furnish(ctx context.Context) error {
	key, err := h.lab.publicKey()
	if err != nil {
		return err
	}
	if err := h.WriteFile(ctx, "/root/.ssh/authorized_keys", key+"\n"); err != nil {
		return err
	}
	proxy := fmt.Sprintf("Acquire::http::Proxy %q;\nAcquire::http::Proxy::%s \"DIRECT\";\n", h.lab.apt.proxy(), h.lab.apt.address)
	if err := h.WriteFile(ctx, "/etc/apt/apt.conf.d/90lab-cache", proxy); err != nil {
		return err
	}
	return h.lab.public().trusted(ctx, h.container)
}

// ready waits until systemd has booted with every unit well and sshd answers.
func (h *Host) ready(ctx context.Context) error {
	err := until(ctx, bootLimit, h.booted)
	if err == nil {
		err = until(ctx, bootLimit, h.answers)
	}
	if err != nil {
		return fmt.Errorf("host %s is not ready: %w", h.Name, err)
	}
	return nil
}

func (h *Host) booted(ctx context.Context) error {
	state, err := h.Exec(ctx, "systemctl", "is-system-running")
	switch strings.TrimSpace(state) {
	case "running":
		return nil
	case "degraded":
		failed, err := h.Exec(ctx, "systemctl", "--failed", "--no-legend", "--plain")
		if err != nil {
			return err
		}
		return fmt.Errorf("units failed: %s", strings.TrimSpace(failed))
	}
	return fmt.Errorf("systemd is %q: %w", strings.TrimSpace(state), err)
}

func (h *Host) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(h.Address, 22).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 4))
	return err
}

// Container is the host's name on this machine's engine, for docker exec.
func (h *Host) Container() string { return h.container }

// Exec runs a program on the host from outside, through the engine: it works
// also while the host is cut off. It returns what the program printed.
func (h *Host) Exec(ctx context.Context, argv ...string) (string, error) {
	return process{argv: append([]string{"docker", "exec", h.container}, argv...)}.run(ctx)
}

// WriteFile writes a root-owned file of mode 0600 on the host, with its folder.
func (h *Host) WriteFile(ctx context.Context, path, content string) error {
	return writeIn(ctx, h.container, path, content)
}

func writeIn(ctx context.Context, container, path, content string) error {
	// by its length: an end of the input that comes while sh is being started is lost at times
	script := `umask 077; mkdir -p "${1%/*}" && head -c "$2" >"$1"`
	argv := []string{"docker", "exec", "-i", container, "sh", "-c", script, "sh", path, strconv.Itoa(len(content))}
	_, err := process{argv: argv, stdin: strings.NewReader(content)}.run(ctx)
	return err
}

// HostKey is the host's public SSH key as a line of authorized_keys(5),
// "ssh-ed25519 AAAA… comment". It changes when the host is replaced.
func (h *Host) HostKey(ctx context.Context) (string, error) {
	key, err := h.Exec(ctx, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
	return strings.TrimSpace(key), err
}

// TrustRegistry lets the Docker that is or will be installed on the host pull from
// the lab's registries, which speak plain HTTP. With an internet the first one has Docker Hub's
// images.
func (h *Host) TrustRegistry(ctx context.Context, registries ...string) error {
	settings := `"insecure-registries": ["` + strings.Join(registries, `", "`) + `"]`
	if h.lab.public() != nil && len(registries) > 0 {
		settings += `, "registry-mirrors": ["http://` + registries[0] + `"]`
	}
	if err := h.WriteFile(ctx, "/etc/docker/daemon.json", "{"+settings+"}\n"); err != nil || !h.options.Prepared {
		return err
	}
	_, err := h.Exec(ctx, "systemctl", "reload", "docker")
	return err
}
