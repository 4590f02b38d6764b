package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// tailscaleModule is the module whose programs tools/tailscale pins.
const tailscaleModule = "tailscale.com"

// A Tailnet is Tailscale's own test control server with a relay on the lab's network, and an
// apt repository with the real tailscale and tailscaled. The server knows no tags and forgets
// no device. Its members are lost when it goes down.
type Tailnet struct {
	URL      string   // of the control server
	Domain   string   // of the members' names
	Packages *AptRepo // suites bookworm and trixie, component main

	service
}

// StartTailnet builds the programs (cached between runs: minutes on a machine that never did) and
// starts the control server, which lets no machine in yet: see Admit.
func StartTailnet(ctx context.Context, l *Lab) (*Tailnet, error) {
	built, err := tailscale(ctx, l)
	if err != nil {
		return nil, err
	}
	pool := filepath.Join(l.apt.files, "tailscale", "pool")
	if err := os.MkdirAll(pool, 0o755); err != nil {
		return nil, err
	}
	if err := os.CopyFS(pool, os.DirFS(filepath.Join(built, "pool"))); err != nil {
		return nil, err
	}
	n := &Tailnet{Domain: "lab.ts.net"}
	if n.Packages, err = index(ctx, l, "tailscale", "main", "bookworm", "trixie"); err != nil {
		return nil, err
	}
	if n.service, err = l.service(ctx, "tailnet", []string{"-v", built + ":/opt/tailscale:ro"}, "exec /opt/tailscale/control -domain "+n.Domain+" -address $(hostname -i)"); err != nil {
		return nil, err
	}
	n.URL = "http://" + n.address.String()
	if err := n.wait(ctx, 80, 443); err != nil {
		return nil, err
	}
	return n, n.Admit(ctx, "none yet", time.Nanosecond)
}

// Admit has one machine be able to join with key for that long, and no other. No key at all
// has everything be able to register: only so do members come back after a boot, since the
// server asks them for a key, too.
func (n *Tailnet) Admit(ctx context.Context, key string, lasts time.Duration) error {
	query := url.Values{"value": {key}, "for": {lasts.String()}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, n.URL+"/lab/key?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the control server of the lab answers %s", resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// tailscale returns the folder with the control server, and a pool with the package.
func tailscale(ctx context.Context, l *Lab) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "tools/tailscale")
	sources, err := filepath.Glob(filepath.Join(module, "*"))
	if err != nil {
		return "", err
	}
	parts := []string{runtime.GOARCH}
	for _, file := range sources {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		parts = append(parts, string(content))
	}
	into, err := cacheFolder("tailscale", hashOf(parts...))
	if err != nil {
		return "", err
	}
	unlock, err := lock("tailscale")
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := os.Chtimes(into, time.Now(), time.Now()); err != nil { // for Prune
		return "", err
	}
	if built, err := filepath.Glob(filepath.Join(into, "pool", "*.deb")); err != nil || len(built) > 0 {
		return into, err // the package comes last
	}
	l.options.Log("building Tailscale and its package")
	return into, buildTailscale(ctx, root, module, into)
}

func buildTailscale(ctx context.Context, root, module, into string) error {
	if err := os.MkdirAll(filepath.Join(into, "pool"), 0o755); err != nil {
		return err
	}
	for program, source := range map[string]string{"control": ".", "tailscale": tailscaleModule + "/cmd/tailscale", "tailscaled": tailscaleModule + "/cmd/tailscaled"} {
		build := process{
			argv: []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(into, program), source},
			dir:  module, env: []string{"CGO_ENABLED=0"},
		}
		if _, err := build.run(ctx); err != nil {
			return err
		}
	}
	said, err := process{argv: []string{"go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", tailscaleModule}, dir: module}.run(ctx)
	if err != nil {
		return err
	}
	version, source, _ := strings.Cut(strings.TrimSpace(said), " ")
	return pack(ctx, root, filepath.Join(into, "tailscale.yaml"), tailscaleDeb(strings.TrimPrefix(version, "v"), into, filepath.Join(source, "cmd/tailscaled")), filepath.Join(into, "pool"))
}

// tailscaleDeb is the package in nfpm's words, with the files and places of Tailscale's own.
func tailscaleDeb(version, programs, units string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: tailscale\nversion: %q\narch: %s\nmaintainer: the lab <lab@lab.invalid>\ndescription: tailscale, as the lab builds it\ndepends: [iptables, iproute2]\ncontents:\n", version, runtime.GOARCH)
	for _, f := range []struct{ from, to, mode string }{
		{filepath.Join(programs, "tailscale"), "/usr/bin/tailscale", "0755"},
		{filepath.Join(programs, "tailscaled"), "/usr/sbin/tailscaled", "0755"},
		{filepath.Join(units, "tailscaled.service"), "/usr/lib/systemd/system/tailscaled.service", "0644"},
		{filepath.Join(units, "tailscaled.defaults"), "/etc/default/tailscaled", "0644"},
	} {
		fmt.Fprintf(&b, "  - {src: %q, dst: %q, file_info: {mode: %s}}\n", f.from, f.to, f.mode)
	}
	return b.String()
}
