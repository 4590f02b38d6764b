package lab

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// A Login is a user and password for one of the lab's services.
type Login struct{ User, Password string }

// A Registry is Debian's docker-registry on the lab's network, plain HTTP. It has
// the test images from its start.
type Registry struct {
	Address string // "ip:5000": what image references on hosts begin with

	service
	lab   *Lab
	local string // where this machine's engine reaches it: a loopback port, which it trusts
	login *Login
}

const registryConfig = `version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}, delete: {enabled: true}}
http: {addr: ":5000"}
`

// Registry starts an image registry under the given name; with a login it
// refuses everybody else.
func (l *Lab) Registry(ctx context.Context, name string, login *Login) (*Registry, error) {
	image, err := l.stocked(ctx)
	if err != nil {
		return nil, err
	}
	return l.registryFrom(ctx, image, name, login)
}

// stocked returns the services image with every test image in its registry:
// to push them compresses a gigabyte, which each lab would do again.
func (l *Lab) stocked(ctx context.Context) (string, error) {
	base, err := l.build(ctx, services)
	if err != nil {
		return "", err
	}
	sources := map[Image]string{}
	parts := []string{base}
	for _, image := range []Image{MariaDB, Nginx, Postgres, Valkey, Writer} {
		if sources[image], err = l.Image(ctx, image); err != nil {
			return "", err
		}
		parts = append(parts, sources[image])
	}
	tag := "salvor-lab-registry:" + hashOf(parts...)
	return tag, l.once(ctx, tag, func() error { return l.stock(ctx, base, tag, sources) })
}

// stock makes the image tag from base and the images that its registry is to have.
func (l *Lab) stock(ctx context.Context, base, tag string, sources map[Image]string) (err error) {
	r, err := l.registryFrom(ctx, base, "stock", nil)
	if err != nil {
		return err
	}
	defer func() {
		_, gone := docker(context.WithoutCancel(ctx), "rm", "-f", "-v", r.container)
		err = errors.Join(err, gone)
	}()
	for image, source := range sources {
		if _, err := r.PushAs(ctx, source, stockName(image, source)); err != nil {
			return err
		}
	}
	_, err = docker(ctx, "commit", r.container, tag)
	return err
}

// stockName is a test image's name in a registry, "<image>:<tag>", for its local tag.
func stockName(image Image, source string) string {
	_, tag, _ := strings.Cut(source, ":")
	return string(image) + ":" + tag
}

func (l *Lab) registryFrom(ctx context.Context, image, name string, login *Login) (*Registry, error) {
	config := registryConfig
	script := `exec docker-registry serve /etc/lab-registry.yml`
	var env []string
	if login != nil {
		config += "auth: {htpasswd: {realm: lab, path: /etc/lab-htpasswd}}\n"
		script = `printf %s "$PASSWORD" | htpasswd -Bic /etc/lab-htpasswd "$LOGIN" && ` + script
		env = []string{"-e", "LOGIN=" + login.User, "-e", "PASSWORD=" + login.Password}
	}
	file := filepath.Join(l.folder, name+".yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	flags := append(env, "-p", "127.0.0.1::5000", "-v", file+":/etc/lab-registry.yml:ro")
	s, err := l.serviceFrom(ctx, image, name, flags, script)
	if err != nil {
		return nil, err
	}
	r := &Registry{Address: netip.AddrPortFrom(s.address, 5000).String(), service: s, lab: l, login: login}
	if err := s.wait(ctx, 5000); err != nil {
		return nil, err
	}
	return r, r.findPort(ctx)
}

func (r *Registry) findPort(ctx context.Context) error {
	out, err := docker(ctx, "port", r.container, "5000/tcp")
	r.local = strings.TrimSpace(out)
	return err
}

// Ref returns the reference by which hosts pull a test image,
// "ip:5000/<image>:<tag>".
func (r *Registry) Ref(ctx context.Context, image Image) (string, error) {
	source, err := r.lab.Image(ctx, image)
	return r.Address + "/" + stockName(image, source), err
}

// PushAs puts a local image into the registry as "<name>:<tag>" and returns the
// reference by which hosts pull it.
func (r *Registry) PushAs(ctx context.Context, source, name string) (ref string, err error) {
	local := r.local + "/" + name
	if _, err := docker(ctx, "tag", source, local); err != nil {
		return "", err
	}
	config, err := r.dockerConfig()
	if err != nil {
		return "", err
	}
	if _, err := docker(ctx, "--config", config, "push", "-q", local); err != nil {
		return "", fmt.Errorf("push %s: %w", name, err)
	}
	_, err = docker(ctx, "rmi", local)
	return r.Address + "/" + name, err
}

// dockerConfig is a configuration folder that knows the registry's login, so
// that the machine's own stays untouched.
func (r *Registry) dockerConfig() (string, error) {
	dir := filepath.Join(r.lab.folder, "docker-"+r.container)
	content := "{}\n"
	if r.login != nil {
		auth := base64.StdEncoding.EncodeToString([]byte(r.login.User + ":" + r.login.Password))
		content = fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`+"\n", r.local, auth)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), []byte(content), 0o600)
}

// Up starts the registry again after Down.
func (r *Registry) Up(ctx context.Context) error {
	if err := r.start(ctx, 5000); err != nil {
		return err
	}
	return r.findPort(ctx) // Docker gives a restarted container another port
}
