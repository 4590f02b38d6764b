package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A newcomer sits at a terminal and does what the docs say, word for word.
type newcomer struct {
	*scenario.Scenario
	w     *world.World
	term  *world.Terminal
	c     *oracle.Collector
	notes world.Stack
	alpha *lab.Host
	said  map[string]string // the docs' example to what this newcomer has instead
	told  bool              // init's questions are answered; else the same is done by hand
}

// answers are what a newcomer types when asked.
func (n *newcomer) answers() []world.Answer {
	const phrase = "correct horse battery staple"
	git, place := "", "" // later
	if n.told {
		git, place = n.w.Git.URL(), fmt.Sprintf("sftp://%s@%s/fleet", n.w.Remote.User, n.w.Remote.SFTP())
	}
	return []world.Answer{
		{Question: regexp.MustCompile(`Passphrase (for|of) .*:$`), Reply: phrase},
		{Question: regexp.MustCompile(`The same again:$`), Reply: phrase},
		{Question: regexp.MustCompile(`^Git remote, .* \(nothing: later\):$`), Reply: git},
		{Question: regexp.MustCompile(`^Place for snapshots, .* \(nothing: later\):$`), Reply: place},
		{Question: regexp.MustCompile(`^Password of the remote .*:$`), Reply: n.w.Remote.Password},
		{Question: regexp.MustCompile(`\[y/N\]$`), Reply: "y"},
		{Question: regexp.MustCompile(`Type alpha to continue:$`), Reply: "alpha"},
		{Question: regexp.MustCompile(`\(yes/no/\[fingerprint\]\)\?$`), Reply: "yes"},
	}
}

// TestByTheDocs types what docs/getting-started.md and docs/recover.md say, from init
// to the recovery of a lost server, at a terminal: the Git host is not pinned, no
// passphrase is in a file, init's example is still there. The seed chooses whether init's
// questions are answered.
func TestByTheDocs(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}, Blank: true})
	must(t, err)
	n := &newcomer{Scenario: s, w: w, c: &oracle.Collector{}, told: s.Rand.IntN(2) == 0}
	n.alpha = bought(t, w, "alpha")
	n.term, err = w.Terminal(ctx)
	must(t, err)
	n.notes = world.Stack{Name: "notes", Store: "sqlite", Host: "alpha", Port: 8081, Every: "20ms", Size: 100}
	n.said = map[string]string{
		"git@github.com:you/fleet.git": w.Git.URL(),
		"192.0.2.10":                   n.alpha.Address.String(),
		"host: 192.0.2.20":             fmt.Sprintf("host: %s, port: %d", w.Remote.SFTP().Addr(), w.Remote.SFTP().Port()),
		"user: backup":                 "user: " + w.Remote.User,
		"$EDITOR":                      "true",
	}

	start, byHand := n.page(t, "docs/getting-started.md")
	commands := start.commands
	if !n.told {
		commands = slices.Insert(commands, 1, byHand.commands...) // after init
	}
	for _, line := range commands {
		n.before(t, line, byHand)
		n.after(t, line, n.run(t, line))
	}
	writesAfter(t, n.c, "notes", time.Time{})
	eventually(t, "alpha reads the repository", func() error {
		logins, err := w.Git.Logins(ctx, n.alpha.Address)
		if err == nil && logins == 0 {
			err = errors.New("it has not logged in")
		}
		return err
	})
	n.lose(t)
}

// bought is a server as it comes: reachable by the newcomer's key, unknown to
// everybody else.
func bought(t *testing.T, w *world.World, name string) *lab.Host {
	t.Helper()
	h, err := w.Host(t.Context(), name, lab.HostOptions{Prepared: true})
	must(t, err)
	return h
}

// lose has the server die and follows docs/recover.md.
func (n *newcomer) lose(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	n.run(t, "salvor snapshot take notes")
	must(t, n.alpha.Kill(ctx))
	gamma := bought(t, n.w, "gamma")
	n.said["192.0.2.30"] = gamma.Address.String()
	page, _ := n.page(t, "docs/recover.md")
	recover := page.commands[1]
	if !strings.HasPrefix(recover, "salvor recover alpha --to gamma=") {
		t.Fatalf("docs/recover.md begins with %q", page.commands)
	}
	shown := n.run(t, recover)
	n.letRead(t, shown)
	writesAfter(t, n.c, "notes", time.Now())
	var all []oracle.Row
	eventually(t, "notes answers on gamma", func() (err error) {
		all, err = rows(ctx, gamma, n.notes.Port)
		return err
	})
	if err := n.c.Check("notes", all, began); err != nil {
		t.Error(err)
	}
	n.Count("rows back", len(all))
	if !strings.Contains(shown, "salvor host remove alpha") {
		t.Error("the receipt does not say how the lost server is forgotten")
	}
	n.run(t, "salvor host remove alpha")
	n.run(t, "salvor status")
	n.run(t, "salvor key lock")
}

// A page is what a page of the docs tells people to type.
type page struct {
	commands []string
	yaml     string // the first block of it
}

var block = regexp.MustCompile("(?ms)^```(sh|yaml)\n(.*?)^```$")

// page reads a page, and apart from it what it has for people who answer no questions.
func (n *newcomer) page(t *testing.T, file string) (main, byHand page) {
	t.Helper()
	root, err := world.Root(t.Context())
	must(t, err)
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	must(t, err)
	first, rest, _ := strings.Cut(string(content), "\n## Without the questions\n")
	return n.read(first), n.read(rest)
}

func (n *newcomer) read(content string) page {
	var p page
	for _, m := range block.FindAllStringSubmatch(content, -1) {
		text := m[2]
		for example, own := range n.said {
			text = strings.ReplaceAll(text, example, own)
		}
		if m[1] == "yaml" {
			if p.yaml == "" {
				p.yaml = text
			}
			continue
		}
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, " # ")
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "make ") {
				p.commands = append(p.commands, line)
			}
		}
	}
	return p
}

func (n *newcomer) run(t *testing.T, line string) string {
	t.Helper()
	shown, err := n.term.Run(t.Context(), line, n.answers()...)
	must(t, err)
	n.Count("commands typed", 1)
	return shown
}

// before does what the page says in words before a command.
func (n *newcomer) before(t *testing.T, line string, p page) {
	t.Helper()
	switch {
	case strings.HasPrefix(line, "salvor remote test "):
		fleet, err := n.w.Read("fleet.yaml")
		must(t, err)
		edited := strings.Replace(fleet, "remotes: {}\n", p.yaml, 1)
		if edited == fleet {
			t.Fatalf("fleet.yaml has no place for remotes:\n%s", fleet)
		}
		must(t, n.w.Write("fleet.yaml", edited))
	case strings.HasSuffix(line, " stacks/notes/compose.yaml"):
		images, err := n.w.Images(t.Context())
		must(t, err)
		must(t, n.w.Write("stacks/notes/.env", "TZ=Etc/UTC\n"))
		must(t, n.w.Write("stacks/notes/compose.yaml", n.notes.Compose(images, listen(t, n.Lab, n.c))))
	}
}

// after does what the page says in words after a command.
func (n *newcomer) after(t *testing.T, line, shown string) {
	t.Helper()
	switch {
	case strings.HasPrefix(line, "salvor init "):
		if strings.Contains(shown, "horse") {
			t.Error("a passphrase was shown while it was typed")
		}
	case strings.HasPrefix(line, "salvor host add "):
		n.letRead(t, shown)
	case strings.HasPrefix(line, "salvor apply"):
		for _, step := range []string{"alpha", "start services"} {
			if !strings.Contains(shown, step) {
				t.Errorf("apply does not show %q", step)
			}
		}
	}
}

var deployKey = regexp.MustCompile(`(?m)ssh-ed25519 AAAA[A-Za-z0-9+/=]+`)

// letRead adds the deploy key that a command printed to the Git host.
func (n *newcomer) letRead(t *testing.T, shown string) {
	t.Helper()
	key := deployKey.FindString(shown)
	if key == "" {
		t.Fatal("no deploy key was printed")
	}
	must(t, n.w.Git.AddReadKey(t.Context(), key))
}
