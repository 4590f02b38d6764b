package benches

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

// The amount of data of the six stacks: 2 GiB in 20,000 files, most of both in
// one stack, so that there are small ones and a large one.
const (
	sixMiB   = 2048
	sixFiles = 20_000
)

// bulk is the stack that holds most of the data.
const bulk = "photos"

const blogPassword = "s3cret-of-the-blog"

// A six is a fleet of one host with six stacks: SQLite, Postgres, files, a page
// from Git.
type six struct {
	*world.World
	alpha  *lab.Host
	images world.Images
	names  []string // of those with data
}

func startSix(ctx context.Context, l *lab.Lab, mib, files int) (*six, error) {
	w, err := world.New(ctx, l, world.Options{})
	if err != nil {
		return nil, err
	}
	s := &six{World: w}
	if s.images, err = w.Images(ctx); err != nil {
		return nil, err
	}
	if s.alpha, err = w.Host(ctx, "alpha", lab.HostOptions{}); err != nil {
		return nil, err
	}
	if err := w.Add(ctx, s.alpha); err != nil {
		return nil, err
	}
	if err := s.declare(ctx); err != nil {
		return nil, err
	}
	if _, err := w.Salvor(ctx, nil, "apply"); err != nil {
		return nil, err
	}
	return s, s.fill(ctx, mib, files)
}

func (s *six) declare(ctx context.Context) error {
	if _, err := s.Salvor(ctx, strings.NewReader(blogPassword), "secret", "set", "blog/POSTGRES_PASSWORD"); err != nil {
		return err
	}
	for i, store := range []string{"sqlite", "postgres", "files", "sqlite", "files"} {
		// a few rows and then none: both contenders bring back the same
		st := world.Stack{Name: []string{"notes", "blog", bulk, "feeds", "wiki"}[i], Store: store, Host: "alpha", Port: 8081 + i, Every: "20ms", Size: 100, Limit: 200}
		s.names = append(s.names, st.Name)
		if err := s.Write("stacks/"+st.Name+"/compose.yaml", st.Compose(s.images, "")); err != nil {
			return err
		}
	}
	for name, content := range world.Site("alpha", 8086, s.images) {
		if err := s.Write(name, content); err != nil {
			return err
		}
	}
	return s.Commit(ctx, "six stacks")
}

// fill writes files of random bytes into the bulk stack's volume: restic and
// rclone can neither deduplicate nor compress them.
func (s *six) fill(ctx context.Context, mib, files int) error {
	const script = `cd "/var/lib/docker/volumes/$1_data/_data" && mkdir -p bulk && cd bulk && head -c "$2" /dev/urandom | split -b "$3" -a 4 -`
	size := mib << 20 / files
	_, err := s.alpha.Exec(ctx, "sh", "-c", script, "sh", bulk, strconv.Itoa(size*files), strconv.Itoa(size))
	if err != nil {
		return fmt.Errorf("fill %s: %w", bulk, err)
	}
	return nil
}

func (s *six) snapshots(ctx context.Context) error {
	for _, name := range s.names {
		if _, err := s.Salvor(ctx, nil, "snapshot", "take", name); err != nil {
			return err
		}
	}
	return nil
}
