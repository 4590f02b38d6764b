package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/internal/checkout"
	"salvor/internal/leaks"
	"salvor/internal/progress"
)

// opened returns the names of the files in some folders that work opens.
func opened(t *testing.T, work func(), folders ...string) []string {
	t.Helper()
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	events := os.NewFile(uintptr(watch), "inotify")
	defer events.Close()
	for _, dir := range folders {
		if _, err := unix.InotifyAddWatch(watch, dir, unix.IN_OPEN); err != nil {
			t.Fatal(err)
		}
	}
	work()
	all := make([]byte, 1<<20)
	n, err := unix.Read(watch, all)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	var names []string
	for at := 0; at+unix.SizeofInotifyEvent <= n; {
		size := int(all[at+12]) | int(all[at+13])<<8
		if name := strings.TrimRight(string(all[at+unix.SizeofInotifyEvent:at+unix.SizeofInotifyEvent+size]), "\x00"); name != "" {
			names = append(names, name)
		}
		at += unix.SizeofInotifyEvent + size
	}
	return names
}

// TestIgnoredFilesAreNotOpened is issue 13, item 12: a check of a folder with 1.5 GB that
// Git ignores read all of it.
func TestIgnoredFilesAreNotOpened(t *testing.T) {
	dir := printedRepo(t, newKey(t).Recipient)
	commitStacks(t, dir, map[string]string{
		"photos/compose.yaml": "x-salvor: {host: alpha}\nservices: {web: {image: nginx, volumes: [\"./data:/data\", \"./conf:/conf\", \"./own:/own\"]}}\n",
		"photos/.gitignore":   "data/\nconf/cache/\nown/*\n!own/app.yaml\n", "photos/conf/app.yaml": "a: 1\n", "photos/own/app.yaml": "a: 1\n",
	})
	folders := []string{"data", "data/2026", "conf/cache", "own"}
	for _, folder := range folders {
		for _, name := range []string{"one.db", "two.yaml", ".env", "compose.yaml"} {
			file := filepath.Join(dir, "stacks/photos", folder, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("PASSWORD=Zk3vR8sQw1\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range folders {
		folders[i] = filepath.Join(dir, "stacks/photos", folders[i])
	}
	control := filepath.Join(folders[0], "one.db")
	if got := opened(t, func() { _, _ = os.ReadFile(control) }, folders...); len(got) != 1 || got[0] != "one.db" {
		t.Fatalf("an opened file is not seen: %q", got)
	}
	for _, files := range []checkout.Files{checkout.WorkTree, checkout.Staged, checkout.Committed} {
		got := opened(t, func() {
			a, err := Open(t.Context(), Options{Dir: dir, Files: files, Sink: progress.Discard(), Approve: approveAll})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = a.Close() }()
			if _, err := leaks.Findings(t.Context(), a.Checkout); err != nil {
				t.Error(err)
			}
		}, folders...)
		for _, name := range got {
			if name != "app.yaml" && name != "2026" {
				t.Errorf("%v: opens %s", files, name)
			}
		}
	}
}
