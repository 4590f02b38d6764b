package agekey

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home.age")
	fresh, now := path+".new", time.Date(2026, 3, 4, 23, 0, 0, 0, time.UTC)
	want := func(file, content string) {
		t.Helper()
		got, err := os.ReadFile(file)
		if content == "" && !errors.Is(err, os.ErrNotExist) || content != "" && string(got) != content {
			t.Errorf("%s holds %q, %v, want %q", filepath.Base(file), got, err, content)
		}
	}
	replace := func(content, old string) {
		t.Helper()
		write(t, fresh, []byte(content))
		if got, err := Replace(path, fresh, now); err != nil || got != old {
			t.Errorf("old is %q, %v, want %q", got, err, old)
		}
		want(path, content)
		want(fresh, "")
	}
	replace("one", "")
	replace("two", path+".old-20260304")
	want(path+".old-20260304", "one")
	replace("three", path+".old-20260304-2") // twice on a day
	want(path+".old-20260304", "one")
	want(path+".old-20260304-2", "two")
	replace("three", "") // killed before fresh was removed
	want(path+".old-20260304-3", "")
	write(t, path+".old-20260304-3", []byte("three")) // killed once the old one was kept
	replace("four", path+".old-20260304-3")
	if _, err := Replace(path, fresh, now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a fresh one: %v", err)
	}
	want(path, "four")
}

func TestRecipientOfAFile(t *testing.T) {
	one, two := mustKey(t), mustKey(t)
	path := write(t, filepath.Join(t.TempDir(), "home.age"), one.IdentityFile().Reveal())
	f, err := Open(path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Recipient(); err != nil || got != one.Recipient {
		t.Errorf("%s, %v", got, err)
	}
	both := write(t, filepath.Join(t.TempDir(), "both.age"), append(one.IdentityFile().Reveal(), two.IdentityFile().Reveal()...))
	if f, err = Open(both, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Recipient(); err == nil {
		t.Errorf("of two keys: %s", got)
	}
}
