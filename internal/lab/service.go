package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// errDown is what a lab that is being taken down answers to new containers.
var errDown = errors.New("the lab is down")

// run starts a container with the run's labels, unless the lab is being taken
// down: what is created behind Down's back would stay.
func (l *Lab) run(ctx context.Context, args []string) error {
	l.creating.RLock()
	defer l.creating.RUnlock()
	if l.isDown {
		return errDown
	}
	_, err := docker(ctx, append(append([]string{"run", "-d"}, l.labels()...), args...)...)
	return err
}

// runToEnd runs a container with the run's labels until its program ends.
func (l *Lab) runToEnd(ctx context.Context, args []string) error {
	l.creating.RLock()
	defer l.creating.RUnlock()
	if l.isDown {
		return errDown
	}
	_, err := docker(ctx, append(append([]string{"run", "--rm"}, l.labels()...), args...)...)
	return err
}

// serviceLimit is what a service may take until it listens.
const serviceLimit = 2 * time.Minute

// A service is a container with one program and an address of its own.
type service struct {
	container string
	address   netip.Addr
}

// service starts a shell script in the services image.
func (l *Lab) service(ctx context.Context, name string, flags []string, script string) (service, error) {
	image, err := l.build(ctx, services)
	if err != nil {
		return service{}, err
	}
	return l.serviceFrom(ctx, image, name, flags, script)
}

// serviceFrom starts a shell script in an image of the lab.
func (l *Lab) serviceFrom(ctx context.Context, image, name string, flags []string, script string) (service, error) {
	address, err := l.nextAddress()
	if err != nil {
		return service{}, err
	}
	s := service{container: l.ID + "-" + name, address: address}
	args := []string{"--name", s.container, "--hostname", name, "--network", l.ID, "--network-alias", name, "--ip", address.String()}
	args = append(append(args, flags...), image, "sh", "-e", "-c", script)
	if err := l.run(ctx, args); err != nil {
		return service{}, fmt.Errorf("start %s: %w", name, err)
	}
	return s, nil
}

// wait waits until the service listens on every port, and gives what it said
// when it does not.
func (s service) wait(ctx context.Context, ports ...uint16) error {
	for _, port := range ports {
		err := until(ctx, serviceLimit, func(ctx context.Context) error { return dial(ctx, netip.AddrPortFrom(s.address, port)) })
		if err != nil {
			said, _ := process{argv: []string{"sh", "-c", `docker logs --tail 20 "$1" 2>&1`, "sh", s.container}}.run(ctx)
			return fmt.Errorf("%s does not listen on port %d: %w: %s", s.container, port, err, said)
		}
	}
	return nil
}

func (s service) start(ctx context.Context, ports ...uint16) error {
	if _, err := docker(ctx, "start", s.container); err != nil {
		return err
	}
	return s.wait(ctx, ports...)
}

// Down cuts the service's power; its disk stays.
func (s service) Down(ctx context.Context) error {
	_, err := docker(ctx, "kill", s.container)
	return err
}

// dial reports whether something listens at the address.
func dial(ctx context.Context, at netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// goImage returns an image that holds one static program of this module,
// internal/lab/<name>, which is in PATH, too, and nothing else but what Dockerfile
// instructions change; its tag is the hash of both.
func (l *Lab) goImage(ctx context.Context, name string, changes ...string) (tag string, err error) {
	root, err := os.MkdirTemp(l.folder, "go-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	program := filepath.Join(root, name)
	build := process{
		argv: []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program, "salvor/internal/lab/" + name},
		env:  []string{"CGO_ENABLED=0"},
	}
	if _, err := build.run(ctx); err != nil {
		return "", err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	if err := writeTree(root, map[string]string{"tmp/.keep": "", "data/.keep": ""}, 0o644); err != nil {
		return "", err
	}
	if err := inPath(root, name); err != nil {
		return "", err
	}
	tag = fmt.Sprintf("salvor-lab-%s:%s", name, hashOf(append(changes, string(content))...))
	return tag, l.once(ctx, tag, func() error {
		return importTree(ctx, root, tag, append([]string{fmt.Sprintf(`ENTRYPOINT ["/%s"]`, name)}, changes...)...)
	})
}

func inPath(root, program string) error {
	dir := filepath.Join(root, "usr/local/bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Symlink("/"+program, filepath.Join(dir, program))
}
