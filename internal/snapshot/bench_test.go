package snapshot

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkRestore compares a fetch, which is verified and durable, with restic
// alone on a folder: what the transport and the verification cost.
//
//	go test ./internal/snapshot -run '^$' -bench Restore -benchtime 3x
func BenchmarkRestore(b *testing.B) {
	l := newLab(b)
	bulk(b, l.data)
	if _, err := l.Take(b.Context(), l.job()); err != nil {
		b.Fatal(err)
	}
	plain := b.TempDir()
	export(b, l, plain)
	b.Run("restic", func(b *testing.B) {
		for b.Loop() {
			target := b.TempDir()
			cmd := exec.CommandContext(b.Context(), l.Restic, "-r", plain, "--no-cache", "--no-lock", "restore", "latest", "--target", target)
			cmd.Env = []string{"RESTIC_PASSWORD=" + string(l.repo.Password.Reveal()), "HOME=/root"}
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatal(err, string(out))
			}
		}
	})
	b.Run("salvor", func(b *testing.B) {
		for b.Loop() {
			l.Dirs.State = b.TempDir()
			if _, err := l.Fetch(b.Context(), l.restoreJob()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// bulk fills a folder with 300 MiB in 3,000 files.
func bulk(b *testing.B, dir string) {
	b.Helper()
	seed := rand.NewChaCha8([32]byte{1})
	for n := range 3000 {
		size := int64(8 << 10)
		if n%100 == 0 {
			size = 10 << 20
		}
		sub := filepath.Join(dir, fmt.Sprint(n%50))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(filepath.Join(sub, fmt.Sprint(n)))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyN(f, seed, size); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// export writes a repository to a folder, for a restic without Salvor.
func export(tb testing.TB, l *lab, dir string) {
	tb.Helper()
	objects, err := l.store.List(context.Background(), "")
	if err != nil {
		tb.Fatal(err)
	}
	for _, o := range objects {
		path := filepath.Join(dir, o.Path)
		content, err := l.store.Get(context.Background(), o.Path, 0, -1)
		if err != nil {
			tb.Fatal(err)
		}
		var all strings.Builder
		if _, err := io.Copy(&all, content); err != nil {
			tb.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(all.String()), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}
