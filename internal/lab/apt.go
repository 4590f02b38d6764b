package lab

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
)

// aptPort is where the lab's apt server listens: a caching proxy for the
// machine's own mirror, and the lab's repository as plain files.
const aptPort = 3142

type aptServer struct {
	address netip.Addr
	files   string // folder served under /lab/
}

func (s *aptServer) proxy() string {
	return "http://" + netip.AddrPortFrom(s.address, aptPort).String()
}

// startApt starts the package cache. It is a container rather than a part of this
// process so that kept labs continue having it.
func (l *Lab) startApt(ctx context.Context) error {
	image, err := l.goImage(ctx, "aptcache")
	if err != nil {
		return err
	}
	cache, err := cacheFolder("apt")
	if err != nil {
		return err
	}
	files := filepath.Join(l.folder, "apt")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	address, err := l.nextAddress()
	if err != nil {
		return err
	}
	l.apt = &aptServer{address: address, files: files}
	name := l.ID + "-apt"
	err = l.run(ctx, []string{
		"--name", name, "--network", l.ID, "--network-alias", "apt", "--ip", address.String(),
		"-v", cache + ":/cache", "-v", files + ":/lab:ro", image,
	})
	if err != nil {
		return err
	}
	return until(ctx, serviceLimit, func(ctx context.Context) error { return dial(ctx, netip.AddrPortFrom(address, aptPort)) })
}
