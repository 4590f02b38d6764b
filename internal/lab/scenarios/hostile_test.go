package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"salvor/internal/fault"
	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A hostile fleet is one of whose two hosts, alpha, others have become root. They
// have what alpha has, and for pushes an account at the Git host. The operator knows
// nothing of it and types everyday commands.
type hostile struct {
	*scenario.Scenario
	t           *testing.T
	w           *world.World
	screen      *screen
	collector   *oracle.Collector
	alpha, beta *lab.Host
	loot        loot
	vault       *vault // a second remote, from which hosts delete nothing
}

// What runs where: notes stays on alpha, diary has moved from alpha to beta, so alpha
// still has the password of its snapshots, and wiki was on beta all the time.
var (
	hostileNotes = world.Stack{Name: "notes", Store: "sqlite", Host: "alpha", Port: 8081, Every: "50ms", Size: 100}
	hostileDiary = world.Stack{Name: "diary", Store: "sqlite", Host: "alpha", Port: 8082, Every: "50ms", Size: 100}
	hostileWiki  = world.Stack{Name: "wiki", Store: "files", Host: "beta", Port: 8083, Every: "50ms", Size: 100}
)

// wikiToken is a secret of beta's. It must show up nowhere.
const wikiToken = "t0ken-of-the-wiki-which-alpha-never-has"

// TestHostile has root on alpha try to rule, to read, to deceive and to destroy what
// is not alpha's, with everything that alpha has. What is beta's runs on, nothing of
// it is read, the newest proven snapshots come back, and each attempt is named.
func TestHostile(t *testing.T) {
	h := &hostile{Scenario: scenario.Begin(t, time.Second), t: t, screen: &screen{t: t}, collector: &oracle.Collector{}}
	h.furnish()
	before := lodging(t, h.beta, "wiki")
	for _, part := range []struct {
		name string
		do   func()
	}{
		{"reads what it can reach", h.reads},
		{"writes on the record", h.writesOnTheRecord},
		{"pushes to Git", h.pushes},
		{"answers what it was not asked", h.answers},
		{"puts snapshots there and takes some away", h.snapshots},
	} {
		t.Logf("alpha %s", part.name)
		part.do()
		if t.Failed() {
			t.Fatalf("alpha %s", part.name)
		}
	}
	undisturbed(t, h.Scenario, h.collector, h.beta, hostileWiki, before)
	h.neverFenced()
	settled(t, h.w)
	h.Count("characters printed, none of them hidden", h.screen.length())
}

// furnish starts the fleet and lets it work for a while.
func (h *hostile) furnish() {
	t, ctx := h.t, h.t.Context()
	var err error
	h.w, err = world.New(ctx, h.Lab, world.Options{Log: h.screen})
	must(t, err)
	images, err := h.w.Images(ctx)
	must(t, err)
	hosts := spares(t, h.w, "alpha", "beta")
	h.alpha, h.beta = hosts[0], hosts[1]
	setSecret(t, h.w, "wiki/TOKEN", wikiToken)
	h.vault = newVault(t, filepath.Join(h.Folder(), "vault"))
	h.vault.declare(t, h.w, listen(t, h.Lab, h.vault))
	url := listen(t, h.Lab, h.collector)
	for _, st := range []world.Stack{hostileNotes, hostileDiary, hostileWiki} {
		compose := st.Compose(images, url)
		if st.Name == "wiki" {
			compose = strings.Replace(compose, "    ports:", "    secrets: [TOKEN]\n    ports:", 1) + "secrets:\n  TOKEN: {environment: TOKEN}\n"
		}
		must(t, h.w.Write("stacks/"+st.Name+"/compose.yaml", compose))
	}
	must(t, h.w.Commit(ctx, "the stacks"))
	h.done("apply")
	h.loot = h.steal()
	h.done("move", "diary", "--to", "beta")
	for _, stack := range []string{"notes", "wiki"} {
		writesAfter(t, h.collector, stack, time.Time{})
		h.done("snapshot", "take", stack)
	}
}

// done runs a salvor command that must end well, and returns all that it printed.
func (h *hostile) done(args ...string) string {
	h.t.Helper()
	return h.ends(fault.OK, args...)
}

// ends runs a salvor command that must end with a code.
func (h *hostile) ends(code int, args ...string) string {
	h.t.Helper()
	said, got := h.salvor(args...)
	if got != code {
		h.t.Errorf("salvor %s ended with %d, want %d", strings.Join(args, " "), got, code)
	}
	return said
}

// salvor runs a command and returns all that it printed, and its exit code, which is
// one of the documented ones.
func (h *hostile) salvor(args ...string) (said string, code int) {
	h.t.Helper()
	from := h.screen.length()
	_, err := h.w.Salvor(h.t.Context(), nil, append([]string{"--allow-remote", "vault"}, args...)...)
	var ended *world.CommandError
	switch {
	case errors.As(err, &ended):
		code = ended.Code()
	case err != nil:
		h.t.Fatal(err)
	}
	documented := []int{fault.OK, fault.General, fault.Usage, fault.Partial, fault.NoRepo, fault.Locked, fault.SecretsShut, fault.Unreachable, fault.Pending}
	if !slices.Contains(documented, code) {
		h.t.Errorf("salvor %s ended with %d", strings.Join(args, " "), code)
	}
	return h.screen.since(from), code
}

// names checks that what was said has a finding which names each of the words.
func (h *hostile) names(what, said string, words ...string) {
	h.t.Helper()
	for _, word := range words {
		if !strings.Contains(said, word) {
			h.t.Errorf("%s: nothing names %q in\n%s", what, word, said)
			continue
		}
		h.Count("findings", 1)
	}
}

// tried counts attempts of a kind.
func (h *hostile) tried(kind string, n int) { h.Count("attempts: "+kind, n) }

// silent checks that something was not said.
func (h *hostile) silent(what, said string, words ...string) {
	h.t.Helper()
	for _, word := range words {
		if strings.Contains(said, word) {
			h.t.Errorf("%s: %q is in\n%s", what, word, said)
		}
	}
}

// neverFenced checks that beta never took its stacks for lost.
func (h *hostile) neverFenced() {
	h.t.Helper()
	for _, stack := range []string{"diary", "wiki"} {
		if err := journalHas(h.t.Context(), h.beta, "fenced", []world.Stack{{Name: stack}}); err == nil {
			h.t.Errorf("beta fenced %s", stack)
		}
		if elsewhere := acksFrom(h.collector, "wiki", h.alpha, time.Time{}); len(elsewhere) > 0 {
			h.t.Errorf("wiki wrote %d rows on alpha", len(elsewhere))
		}
		h.Count("rows acknowledged", len(h.collector.Acks(stack)))
	}
}

// remote returns a path on the remote's own disk, which only its owner reaches so.
func (h *hostile) remote(path ...string) string {
	return filepath.Join(append([]string{h.w.Remote.Dir}, path...)...)
}

// record returns a path of the record on the remote's own disk.
func (h *hostile) record(path string) string {
	return h.remote(filepath.FromSlash(readLock(h.t, h.w).Record.Path), filepath.FromSlash(path))
}

// swept has the remote's owner delete files that have no business on the record.
func (h *hostile) swept(paths ...string) {
	h.t.Helper()
	for _, path := range paths {
		must(h.t, os.Remove(h.record(path)))
	}
}

// A screen is what the operator sees. Nothing on it may be hidden or move the cursor.
type screen struct {
	t    *testing.T
	mu   sync.Mutex
	said strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := p; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if hiddenRune(r) || r == utf8.RuneError && size == 1 {
			s.t.Errorf("%U reached the screen in %q", r, p)
			break
		}
	}
	s.said.Write(p)
	s.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func (s *screen) length() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Len()
}

func (s *screen) since(from int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()[from:]
}

// hiddenRune reports whether a terminal would not show a character as itself.
func hiddenRune(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0x061c:
		return true
	}
	return r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x2069
}

// escapes clear a terminal, fill its clipboard, name its window and turn text around.
const escapes = "\x1b[2J\x1b]52;c;ZXZpbA==\a\x1b]0;owned\x1b\\\r\b\u009b2K\u202egpj.exe\u202c\u200b"

// placeOf is a stack's placement, for people.
func (h *hostile) placeOf(stack string) string {
	p := readLock(h.t, h.w).Stacks[stack]
	return fmt.Sprintf("%s at epoch %d with %v, born %v, wish %v", p.Host, p.Epoch, p.Images, p.Volumes, p.Restore)
}
