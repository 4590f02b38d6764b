package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

//go:embed recipe
var recipes embed.FS

// recipe returns a file of the recipe folder, which is part of the program.
func recipe(name string) string {
	content, err := recipes.ReadFile("recipe/" + name)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return string(content)
}

// hostPackages are what a rented server has on its first day, and no more.
const hostPackages = "systemd,systemd-sysv,dbus,openssh-server,ca-certificates,iproute2,iptables,nftables,python3,sudo,curl"

// preparedPackages are what Salvor installs on Debian 13.
const preparedPackages = hostPackages + ",restic,sqlite3,docker.io,docker-cli,docker-compose"

// bootstrapVersion counts the changes to tidyRoot and bootstrap, which the images' names
// would not show otherwise.
const bootstrapVersion = "2"

// hashOf names content by all that it is made of.
func hashOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// hostImage returns the image of a Debian release, building it when the engine
// does not have it yet (1 to 2 minutes).
func (l *Lab) hostImage(ctx context.Context, o HostOptions) (string, error) {
	codename, ok := codenames[o.Release]
	if !ok {
		return "", fmt.Errorf("no Debian release %d: have 12 and 13", o.Release)
	}
	packages := hostPackages
	if o.Prepared {
		packages = preparedPackages
	}
	files, err := debianFiles(ctx, o.Release)
	if err != nil {
		return "", err
	}
	files["lab-init"] = recipe("lab-init")
	files["etc/systemd/system/ssh.service.d/keys.conf"] = recipe("ssh-keys.conf")
	tag := fmt.Sprintf("salvor-lab-host:%d-%s", o.Release, hashOf(bootstrapVersion, packages, codename, joined(files)))
	return tag, l.once(ctx, tag, func() error { return l.bootstrap(ctx, tag, codename, packages, files) })
}

// baseImage is the small Debian 13 under the test images and services.
func (l *Lab) baseImage(ctx context.Context) (string, error) {
	const release, packages = 13, "ca-certificates"
	files, err := debianFiles(ctx, release)
	if err != nil {
		return "", err
	}
	tag := fmt.Sprintf("salvor-lab-base:%d-%s", release, hashOf(bootstrapVersion, packages, joined(files)))
	return tag, l.once(ctx, tag, func() error { return l.bootstrap(ctx, tag, codenames[release], packages, files) })
}

// debianFiles are what every root of the lab has in addition to its packages.
func debianFiles(ctx context.Context, release int) (map[string]string, error) {
	files, err := aptFiles(ctx, release)
	if err != nil {
		return nil, err
	}
	files["etc/dpkg/dpkg.cfg.d/lab"] = "force-unsafe-io\n" // a lab root need not survive this machine's power cut
	files["etc/machine-id"] = ""                           // each host makes its own
	return files, nil
}

// joined is a folder's content as one string, in a fixed order.
func joined(files map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%s\x00%s\x00", name, files[name])
	}
	return b.String()
}

// once builds an image unless the engine has it; a file lock keeps two runs
// from building the same one at once.
func (l *Lab) once(ctx context.Context, tag string, build func() error) error {
	if err := used(tag); err != nil {
		return err
	}
	if _, err := docker(ctx, "image", "inspect", "--format", "ok", tag); err == nil {
		return nil
	}
	unlock, err := lock(fileName(tag))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := docker(ctx, "image", "inspect", "--format", "ok", tag); err == nil {
		return nil
	}
	l.options.Log("building %s", tag)
	if err := build(); err != nil {
		return fmt.Errorf("build %s: %w", tag, err)
	}
	return nil
}

// lock waits for the right to make the named cached thing.
func lock(name string) (unlock func(), err error) {
	dir, err := cacheFolder("locks")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}

// bootstrap makes an image of a fresh Debian root with the packages and files. The root
// is in the run's folder: what a killed process leaves goes with its run.
func (l *Lab) bootstrap(ctx context.Context, tag, codename, packages string, files map[string]string) (err error) {
	root, err := os.MkdirTemp(l.folder, "root-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	argv := []string{"debootstrap", "--variant=minbase", "--include=" + packages, codename, root}
	if main := files["etc/apt/sources.list"]; main != "" {
		argv = append(argv, strings.Fields(main)[1])
	}
	if _, err := (process{argv: argv}).run(ctx); err != nil {
		return err
	}
	if err := tidyRoot(root); err != nil {
		return err
	}
	if err := writeTree(root, files, 0o644); err != nil {
		return err
	}
	return importTree(ctx, root, tag)
}

// tidyRoot takes away what a copied machine must not share or keep.
func tidyRoot(root string) error {
	shared, err := filepath.Glob(filepath.Join(root, "etc/ssh/ssh_host_*"))
	if err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(root, "var/cache/apt/archives/*.deb"))
	if err != nil {
		return err
	}
	indices, err := filepath.Glob(filepath.Join(root, "var/lib/apt/lists/*"))
	if err != nil {
		return err
	}
	for _, path := range slices.Concat(shared, debs, indices) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	// no modules to load in a container; the unit's failure would make every host "degraded"
	unit := filepath.Join(root, "etc/systemd/system/systemd-modules-load.service")
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil {
		return err
	}
	return os.Symlink("/dev/null", unit)
}

// importTree makes an image of a folder; changes are Dockerfile instructions.
func importTree(ctx context.Context, root, tag string, changes ...string) error {
	args := []string{"docker", "import"}
	for _, c := range changes {
		args = append(args, "--change", c)
	}
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(process{argv: []string{"tar", "-C", root, "-c", "."}}.stream(ctx, w))
	}()
	_, err := process{argv: append(args, "-", tag), stdin: r}.run(ctx)
	return errors.Join(err, r.Close())
}
