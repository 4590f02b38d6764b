package keyagent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/socketdir"
)

func newKey(t testing.TB) agekey.Key {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// folder is a user's, short enough for sockets.
func folder(t testing.TB) Folder {
	t.Helper()
	dir, err := socketdir.Make("agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return Folder(filepath.Join(dir, "salvor"))
}

// A running agent is one in this process.
type running struct {
	*agent
	end    context.CancelFunc
	ended  chan error
	folder Folder
	file   []byte
}

// received is an agent that has got its key and does not listen yet.
func received(t testing.TB, f Folder, file []byte, lasts time.Duration, keys ...agekey.Key) (start, *agent) {
	t.Helper()
	var text []byte
	for _, k := range keys {
		text = append(text, k.IdentityFile().Reveal()...)
	}
	header, err := json.Marshal(start{Folder: f, Name: nameOf(file), Path: "me.age", Lasts: lasts, Size: len(text)})
	if err != nil {
		t.Fatal(err)
	}
	s, a, err := receive(io.MultiReader(bytes.NewReader(append(header, '\n')), bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return s, a
}

func run(t *testing.T, f Folder, file []byte, lasts time.Duration, keys ...agekey.Key) *running {
	t.Helper()
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	s, a := received(t, f, file, lasts, keys...)
	a.look = 5 * time.Millisecond
	ctx, end := context.WithCancel(t.Context())
	r := &running{agent: a, end: end, ended: make(chan error, 1), folder: f, file: file}
	said, ready := io.Pipe()
	go func() {
		err := a.run(ctx, s, ready)
		_ = ready.CloseWithError(err)
		r.ended <- err
	}()
	if line, err := firstLine(said, 100); err != nil || string(line) != listening {
		t.Fatalf("said %q, %v", line, err)
	}
	return r
}

// none is a keyring that must not be asked.
type none struct{ t *testing.T }

func (n none) Identities() ([]age.Identity, error) {
	n.t.Error("the identity file is opened although an agent holds the key")
	return nil, secret.ErrLocked
}

// TestAKeyIsUsedAndNotGiven: files of any of its keys open, those of others are locked, and
// no answer has a private key in it.
func TestAKeyIsUsedAndNotGiven(t *testing.T) {
	t.Parallel()
	one, two, other := newKey(t), newKey(t), newKey(t)
	r := run(t, folder(t), []byte("encrypted"), time.Hour, one, two)
	client, held, err := r.folder.Find(t.Context(), r.file)
	if err != nil || held.Path != "me.age" || len(held.Recipients) != 2 || held.Recipients[0] != one.Recipient || time.Until(held.Until) > time.Hour || time.Until(held.Until) < time.Minute {
		t.Fatalf("%+v, %v", held, err)
	}
	ring := client.Keyring(held, none{t})
	for _, key := range []agekey.Key{one, two} {
		sealed, err := agekey.Encrypt(secret.NewString("hunter2"), other.Recipient, key.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := agekey.Decrypt("a file", sealed, ring); err != nil || string(v.Reveal()) != "hunter2" {
			t.Errorf("%s: %q, %v", key.Recipient, v.Reveal(), err)
		}
	}
	sealed, err := agekey.Encrypt(secret.NewString("hunter2"), other.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agekey.Decrypt("a file", sealed, ring); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("another's file: %v", err)
	}
	for _, q := range []request{{Verb: verbHeld}, {Verb: verbUnwrap}, {Verb: verbExtend, Lasts: time.Hour}, {Verb: "give"}} {
		line, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if said, _ := r.read(bytes.NewReader(line)); len(said) == 0 || bytes.Contains(bytes.ToUpper(said), []byte("AGE-SECRET-KEY")) {
			t.Errorf("%s: answered %q", line, said)
		}
	}
}

// TestAKeyIsClosed when its time is over, it is locked, its socket is removed or the
// process is asked to end: then its memory is wiped and nothing is left to ask.
func TestAKeyIsClosed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*running) error{
		"locked": func(r *running) error {
			client, _, err := r.folder.Find(context.Background(), r.file)
			return errors.Join(err, client.Lock(context.Background()))
		},
		"time over":      func(r *running) error { r.extend(time.Millisecond); return nil },
		"socket removed": func(r *running) error { return os.Remove(r.folder.socket(nameOf(r.file))) },
		"logout":         func(r *running) error { return os.RemoveAll(string(r.folder)) },
		"told to end":    func(r *running) error { r.end(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, folder(t), []byte("encrypted"), time.Hour, newKey(t))
			if err := end(r); err != nil {
				t.Fatal(err)
			}
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
			if err := r.vault.read(func([]byte) error { return nil }); !errors.Is(err, ErrNone) {
				t.Errorf("the key is still there: %v", err)
			}
			if _, _, err := r.folder.Find(t.Context(), r.file); !errors.Is(err, ErrNone) {
				t.Errorf("asked afterwards: %v", err)
			}
			if _, all, err := r.folder.All(t.Context()); err != nil || len(all) > 0 {
				t.Errorf("all: %+v, %v", all, err)
			}
		})
	}
}

// TestATimeIsExtended, and is over a day after the passphrase was typed at the latest.
func TestATimeIsExtended(t *testing.T) {
	t.Parallel()
	r := run(t, folder(t), []byte("encrypted"), time.Minute, newKey(t))
	client, _, err := r.folder.Find(t.Context(), r.file)
	if err != nil {
		t.Fatal(err)
	}
	if held, err := client.Extend(t.Context(), 3*time.Hour); err != nil || time.Until(held.Until) < 2*time.Hour {
		t.Errorf("%+v, %v", held, err)
	}
	r.opened = time.Now().Add(time.Hour - Longest)
	if held, err := client.Extend(t.Context(), 3*time.Hour); err != nil || time.Until(held.Until) > time.Hour {
		t.Errorf("after 23 hours: %+v, %v", held, err)
	}
}

// TestALeaseEndsByEitherClock: a computer that slept, and one whose clock was set back.
func TestALeaseEndsByEitherClock(t *testing.T) {
	t.Parallel()
	from := time.Now()
	l := lease{from, time.Hour}
	for name, c := range map[string]struct {
		now  time.Time
		over bool
	}{
		"in time":        {from.Add(59 * time.Minute), false},
		"over":           {from.Add(time.Hour), true},
		"slept":          {from.Round(0).Add(2 * time.Hour), true}, // the other clock stood still
		"clock set back": {from.Round(0).Add(-time.Hour), false},
	} {
		if l.over(c.now) != c.over {
			t.Errorf("%s: over %v", name, !c.over)
		}
	}
}

// TestAKilledAgentIsReplaced: it leaves a socket at which no one answers.
func TestAKilledAgentIsReplaced(t *testing.T) {
	t.Parallel()
	f, file := folder(t), []byte("encrypted")
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.socket(nameOf(file)), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Find(t.Context(), file); !errors.Is(err, ErrNone) {
		t.Errorf("before: %v", err)
	}
	r := run(t, f, file, time.Hour, newKey(t))
	if _, _, err := f.Find(t.Context(), file); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	s, second := received(t, f, file, time.Hour, newKey(t))
	if err := second.run(t.Context(), s, io.Discard); err == nil {
		t.Error("a second agent takes the place of one that is there")
	}
	if _, _, err := f.Find(t.Context(), file); err != nil {
		t.Errorf("the first one is gone: %v", err)
	}
	r.end()
}

// TestAnAgentThatEndsMeanwhile costs a passphrase, and no command.
func TestAnAgentThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	r := run(t, folder(t), []byte("encrypted"), time.Hour, key)
	client, held, err := r.folder.Find(t.Context(), r.file)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := agekey.Encrypt(secret.NewString("hunter2"), key.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	r.end()
	<-r.ended
	if v, err := agekey.Decrypt("a file", sealed, client.Keyring(held, key)); err != nil || string(v.Reveal()) != "hunter2" {
		t.Errorf("%q, %v", v.Reveal(), err)
	}
	file, err := agekey.Open(filepath.Join(t.TempDir(), "none"), agekey.FileOptions{})
	if err == nil {
		t.Fatal(file)
	}
	if _, err := agekey.Decrypt("a file", sealed, client.Keyring(held, locked{})); !errors.Is(err, secret.ErrLocked) || strings.Contains(err.Error(), "damaged") {
		t.Errorf("without the passphrase: %v", err)
	}
}

type locked struct{}

func (locked) Identities() ([]age.Identity, error) { return nil, secret.ErrLocked }

// TestAFolderOfOthersIsRefused by those who would put a key there and by those who ask.
func TestAFolderOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string) error{
		"others may look into it": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o750)) },
		"a link":                  func(dir string) error { return errors.Join(os.Mkdir(dir+"-real", 0o700), os.Symlink(dir+"-real", dir)) },
		"a file":                  func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"another user's":          ownedByAnother,
		"too long":                nil,
	} {
		f := folder(t)
		if spoil == nil {
			f = Folder(filepath.Join(string(f), strings.Repeat("x", socketdir.Longest)))
		} else if err := spoil(string(f)); errors.Is(err, os.ErrPermission) {
			continue // only root can give a folder away
		} else if err != nil {
			t.Fatal(err)
		}
		err := f.Start(t.Context(), "/bin/false", []string{"false"}, Key{File: []byte("encrypted")}, time.Hour)
		if err == nil || !strings.HasPrefix(err.Error(), string(f)+": ") {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := f.Find(t.Context(), []byte("encrypted")); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ownedByAnother(dir string) error {
	return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 65534, 65534))
}

// TestTwoOperatorsOnOneComputer have a folder each: with the same identity file, too, one
// does not see what the other has open.
func TestTwoOperatorsOnOneComputer(t *testing.T) {
	t.Parallel()
	ann := run(t, folder(t), []byte("the same file"), time.Hour, newKey(t))
	bob := folder(t)
	if _, _, err := bob.Find(t.Context(), ann.file); !errors.Is(err, ErrNone) {
		t.Errorf("before bob has a folder: %v", err)
	}
	other := run(t, bob, []byte("another file"), time.Hour, newKey(t))
	if _, _, err := bob.Find(t.Context(), ann.file); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	if _, all, err := bob.All(t.Context()); err != nil || len(all) != 1 || all[0].Recipients[0] != other.recipients[0] {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestAnAgentThatDoesNotStart says why.
func TestAnAgentThatDoesNotStart(t *testing.T) {
	t.Parallel()
	k := Key{Path: "me.age", File: []byte("encrypted"), Identities: newKey(t).IdentityFile()}
	for want, argv := range map[string][]string{
		"start the key agent: no room":                 {"sh", "-c", "echo salvor: no room >&2"},
		"start the key agent: sh ended at once":        {"sh", "-c", "cat >/dev/null"},
		"start the key agent: more keys than an agent": nil,
	} {
		err := error(nil)
		if argv != nil {
			err = folder(t).Start(t.Context(), "sh", argv, k, time.Hour)
		} else if _, _, err = receive(strings.NewReader(`{"size": 1000000}` + "\n")); err != nil {
			err = errors.Join(errors.New("start the key agent: " + err.Error()))
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := Serve(t.Context(), strings.NewReader("by hand"), io.Discard); err == nil || !strings.Contains(err.Error(), "started by salvor key unlock") {
		t.Errorf("%v", err)
	}
}

// FuzzRequest: whatever arrives, an agent answers in one line or not at all, and goes on.
func FuzzRequest(f *testing.F) {
	key := newKey(f)
	_, a := received(f, folder(f), []byte("encrypted"), time.Hour, key)
	f.Cleanup(a.vault.wipe)
	f.Add([]byte(`{"verb":"held"}`))
	f.Add([]byte(`{"verb":"extend","lasts":-1}`))
	f.Add([]byte(`{"verb":"unwrap","stanzas":[{"type":"X25519","args":["AAAA"],"body":"AAAA"}]}`))
	f.Add([]byte(`{"verb":"unwrap","stanzas":[{"type":"X25519"},{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("lock")) {
			return
		}
		said, _ := a.read(bytes.NewReader(data))
		if bytes.Count(said, []byte("\n")) != min(len(said), 1) || bytes.Contains(said, key.Secret.Reveal()) {
			t.Errorf("answered %q", said)
		}
		if err := a.vault.read(func([]byte) error { return nil }); err != nil {
			t.Errorf("the key is gone: %v", err)
		}
	})
}

// TestALongHomeHasASocket: a user whose home has a long path has an agent, too.
func TestALongHomeHasASocket(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("XDG_CONFIG_HOME", "/home/"+strings.Repeat("long/", 20))
	f, err := UsualFolder()
	if err != nil || f.tooLong() {
		t.Errorf("%s: %v", f, err)
	}
}
