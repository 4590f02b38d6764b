package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// composeModule is the small module whose go.mod pins docker compose: the
// command's own exclude directives keep go install from building it.
const composeModule = "github.com/docker/compose/v5"

// A deb is a package of the lab's repository, built by nfpm.
type deb struct {
	name, version string
	depends       string
	program       string // path of a program to install, "" for a metapackage
	target        string
}

func (d deb) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nversion: %q\narch: %s\nmaintainer: the lab <lab@lab.invalid>\ndescription: %s, as the lab has it\n", d.name, d.version, runtime.GOARCH, d.name)
	if d.depends != "" {
		fmt.Fprintf(&b, "depends: [%s]\n", d.depends)
	}
	if d.program != "" {
		fmt.Fprintf(&b, "contents:\n  - {src: %q, dst: %q, file_info: {mode: 0755}}\n", d.program, d.target)
	}
	return b.String()
}

// An AptRepo is a signed apt repository on the lab's network.
type AptRepo struct {
	URL    string // for a sources.list line: "deb [signed-by=…] URL bookworm stable"
	KeyURL string // of its armoured signing key
}

// AptRepo serves a repository in the layout of Docker's own: suite bookworm (Debian 12),
// component stable. Its docker-ce is Debian's engine under that name, docker-ce-cli and
// containerd.io are metapackages, docker-compose-plugin is the real one. The packages are
// built (cached between runs: compose takes a minute or more).
func (l *Lab) AptRepo(ctx context.Context) (*AptRepo, error) {
	folder := filepath.Join(l.apt.files, "docker")
	pool := filepath.Join(folder, "pool")
	if err := os.MkdirAll(pool, 0o755); err != nil {
		return nil, err
	}
	if err := l.fillPool(ctx, pool); err != nil {
		return nil, err
	}
	return index(ctx, l, "docker", "stable", "bookworm")
}

// index makes a signed repository of the packages in the pool of a folder that the lab's apt
// server has, and returns it.
func index(ctx context.Context, l *Lab, folder, component string, suites ...string) (*AptRepo, error) {
	image, err := l.build(ctx, services)
	if err != nil {
		return nil, err
	}
	args := []string{"--name", l.ID + "-aptrepo-" + folder, "--network", "none", "-e", "component=" + component, "-e", "suites=" + strings.Join(suites, " "), "-v", filepath.Join(l.apt.files, folder) + ":/repo"}
	if err := l.runToEnd(ctx, append(args, image, "sh", "-e", "-c", recipe("apt-repo.sh"))); err != nil {
		return nil, fmt.Errorf("index the apt repository %s: %w", folder, err)
	}
	url := l.apt.proxy() + "/lab/" + folder
	return &AptRepo{URL: url, KeyURL: url + "/gpg"}, nil
}

func (l *Lab) fillPool(ctx context.Context, pool string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	version, pinned, err := composePin(root)
	if err != nil {
		return err
	}
	cache, err := cacheFolder("debs", hashOf(pinned, runtime.GOARCH, fmt.Sprint(debs("", version)), recipe("docker-ce.sh")))
	if err != nil {
		return err
	}
	unlock, err := lock("debs")
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Chtimes(cache, time.Now(), time.Now()); err != nil { // for Prune
		return err
	}
	built, err := filepath.Glob(filepath.Join(cache, "*.deb"))
	if err != nil {
		return err
	}
	if len(built) <= len(debs("", version)) { // docker-ce comes last
		l.options.Log("building docker compose %s and its package", version)
		if err := l.buildDebs(ctx, root, cache, version); err != nil {
			return err
		}
		if err := l.buildDockerCE(ctx, cache); err != nil {
			return err
		}
	}
	return os.CopyFS(pool, os.DirFS(cache))
}

func (l *Lab) buildDockerCE(ctx context.Context, into string) error {
	image, err := l.hostImage(ctx, HostOptions{Release: 12})
	if err != nil {
		return err
	}
	args := []string{"--name", l.ID + "-docker-ce", "--network", l.ID, "-e", "http_proxy=" + l.apt.proxy(), "-v", into + ":/out"}
	if err := l.runToEnd(ctx, append(args, image, "sh", "-e", "-c", recipe("docker-ce.sh"))); err != nil {
		return fmt.Errorf("package docker-ce: %w", err)
	}
	return nil
}

// composePin returns the pinned version without its v, and all that pins it.
func composePin(root string) (version, pinned string, err error) {
	mod, err := os.ReadFile(filepath.Join(root, "tools/compose/go.mod"))
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(mod)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == composeModule {
			return strings.TrimPrefix(fields[1], "v"), string(mod), nil
		}
	}
	return "", "", errors.New("tools/compose/go.mod does not require " + composeModule)
}

func debs(program, version string) []deb {
	return []deb{
		{name: "containerd.io", version: "1.6.20", depends: "containerd"},
		{name: "docker-ce-cli", version: "20.10.24"},
		{name: "docker-compose-plugin", version: version, program: program, target: "/usr/libexec/docker/cli-plugins/docker-compose"},
	}
}

func (l *Lab) buildDebs(ctx context.Context, root, into, version string) (err error) {
	work, err := os.MkdirTemp(l.folder, "debs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	program := filepath.Join(work, "docker-compose")
	compose := process{
		argv: []string{
			"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X " + composeModule + "/internal.Version=v" + version,
			"-o", program, composeModule + "/cmd",
		},
		dir: filepath.Join(root, "tools/compose"), env: []string{"CGO_ENABLED=0"},
	}
	if _, err := compose.run(ctx); err != nil {
		return err
	}
	for _, d := range debs(program, version) {
		if err := pack(ctx, root, filepath.Join(work, d.name+".yaml"), d.config(), into); err != nil {
			return err
		}
	}
	return nil
}

// pack has nfpm make a package, by a configuration that is written to a file.
func pack(ctx context.Context, root, file, config, into string) error {
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return err
	}
	_, err := process{
		argv: []string{"go", "tool", "nfpm", "package", "--config", file, "--packager", "deb", "--target", into},
		dir:  filepath.Join(root, "tools"),
	}.run(ctx)
	return err
}
