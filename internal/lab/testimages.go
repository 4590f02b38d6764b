package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A built image is the small Debian plus what a script installs.
type built struct {
	name    string
	script  string            // run as root by sh -e
	files   map[string]string // executables, written before the script runs
	changes []string          // Dockerfile instructions that docker commit takes
	stop    string            // stop signal, which it does not take; default SIGTERM
}

// services is the image under registry, Git host and remote.
var services = built{name: "services", script: recipe("services.sh"), files: map[string]string{"/usr/local/bin/git-readonly": recipe("git-readonly")}}

// An Image is one that stacks of tests and the demo use.
type Image string

// The images that every registry of the lab has. Postgres keeps the official image's contract,
// MariaDB the part of it that its entrypoint names; Writer is internal/lab/writer; Nginx serves
// /usr/share/nginx/html on port 80; Valkey keeps each write at once in /data.
const (
	MariaDB  Image = "mariadb"
	Postgres Image = "postgres"
	Writer   Image = "writer"
	Nginx    Image = "nginx"
	Valkey   Image = "valkey"
)

// WriterNext is Writer's next version: it migrates its database, writes on and
// is never healthy. Registries have it once it was pushed.
const WriterNext Image = "writer-next"

var builtImages = map[Image]built{
	Postgres: {
		name: "postgres", script: recipe("postgres.sh"), files: map[string]string{"/usr/local/bin/docker-entrypoint.sh": recipe("postgres-entrypoint")},
		changes: []string{
			"ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8", "VOLUME /var/lib/postgresql/data", "EXPOSE 5432",
			`ENTRYPOINT ["docker-entrypoint.sh"]`, `CMD ["postgres"]`,
		},
		stop: "SIGINT",
	},
	Nginx: {name: "nginx", script: recipe("nginx.sh"), changes: []string{"EXPOSE 80", `CMD ["nginx", "-g", "daemon off;"]`}, stop: "SIGQUIT"},
	Valkey: {name: "valkey", script: recipe("valkey.sh"), changes: []string{
		"VOLUME /data", "EXPOSE 6379", `CMD ["valkey-server", "--dir", "/data", "--appendonly", "yes", "--appendfsync", "always", "--protected-mode", "no"]`,
	}},
	MariaDB: {
		name: "mariadb", script: recipe("mariadb.sh"), files: map[string]string{"/usr/local/bin/docker-entrypoint.sh": recipe("mariadb-entrypoint")},
		changes: []string{
			"VOLUME /var/lib/mysql", "EXPOSE 3306", `ENTRYPOINT ["docker-entrypoint.sh"]`,
			`CMD ["mariadbd", "--skip-name-resolve", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M"]`, // small: several servers share the machine
		},
	},
}

// Image returns the local tag of a test image, building it when the engine does
// not have it yet.
func (l *Lab) Image(ctx context.Context, image Image) (string, error) {
	switch image {
	case Writer:
		return l.goImage(ctx, string(image))
	case WriterNext:
		return l.goImage(ctx, string(Writer), "ENV FORMAT=2")
	}
	b, ok := builtImages[image]
	if !ok {
		return "", fmt.Errorf("no test image %q", image)
	}
	return l.build(ctx, b)
}

// build runs the script in a container of the base image and commits it. It
// does not use docker build: its builders differ between engines in whether
// they reach the lab's network, where the package cache is.
func (l *Lab) build(ctx context.Context, b built) (string, error) {
	base, err := l.baseImage(ctx)
	if err != nil {
		return "", err
	}
	tag := fmt.Sprintf("salvor-lab-%s:%s", b.name, hashOf(base, b.script, joined(b.files), strings.Join(b.changes, "\n"), b.stop))
	return tag, l.once(ctx, tag, func() error { return l.commit(ctx, base, tag, b) })
}

func (l *Lab) commit(ctx context.Context, base, tag string, b built) (err error) {
	container := l.ID + "-build-" + b.name
	flags := []string{"--name", container, "--network", l.ID, "--init"}
	if b.stop != "" {
		flags = append(flags, "--stop-signal", b.stop)
	}
	if err := l.run(ctx, append(flags, base, "sleep", "infinity")); err != nil {
		return err
	}
	defer func() {
		_, gone := docker(context.WithoutCancel(ctx), "rm", "-f", "-v", container)
		err = errors.Join(err, gone)
	}()
	for path, content := range b.files {
		if err := writeIn(ctx, container, path, content); err != nil {
			return err
		}
		if _, err := docker(ctx, "exec", container, "chmod", "755", path); err != nil {
			return err
		}
	}
	const cleanup = "\napt-get clean\nrm -rf /var/lib/apt/lists/* /var/log/*.log /usr/share/doc /usr/share/man /usr/share/locale\nexit\n"
	script := "export DEBIAN_FRONTEND=noninteractive\napt-get update -q\n" + b.script + cleanup
	install := process{
		argv:  []string{"docker", "exec", "-i", "-e", "http_proxy=" + l.apt.proxy(), container, "sh", "-e"},
		stdin: strings.NewReader(script),
	}
	if out, err := install.run(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, out[max(0, len(out)-2000):])
	}
	args := []string{"commit"}
	for _, c := range append([]string{`CMD ["bash"]`}, b.changes...) {
		args = append(args, "--change", c)
	}
	_, err = docker(ctx, append(args, container, tag)...)
	return err
}
