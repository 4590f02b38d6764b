package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
}

// answers are what a newcomer types when asked.
var answers = []world.Answer{
	{Question: regexp.MustCompile(`Passphrase (for|of) .*:$`), Reply: "correct horse battery staple"},
	{Question: regexp.MustCompile(`The same again:$`), Reply: "correct horse battery staple"},
	{Question: regexp.MustCompile(`\(nothing: later\):$`), Reply: ""},
	{Question: regexp.MustCompile(`\[y/N\]$`), Reply: "y"},
	{Question: regexp.MustCompile(`Type alpha to continue:$`), Reply: "alpha"},
	{Question: regexp.MustCompile(`\(yes/no/\[fingerprint\]\)\?$`), Reply: "yes"},
}

// TestByTheDocs types what docs/getting-started.md and docs/recover.md say, from init
// to the recovery of a lost server, at a terminal: the Git host is not pinned, no
// passphrase is in a file, init's example is still there.
func TestByTheDocs(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}, Blank: true})
	must(t, err)
	n := &newcomer{Scenario: s, w: w, c: &oracle.Collector{}}
	n.alpha = bought(t, w, "alpha")
	n.term, err = w.Terminal(ctx)
	must(t, err)
	n.notes = world.Stack{Name: "notes", Store: "sqlite", Host: "alpha", Port: 8081, Every: "20ms", Size: 100}
	n.said = map[string]string{
		"git@github.com:you/fleet.git": w.Git.URL(),
		"192.0.2.10":                   n.alpha.Address.String(),
		"host: 192.0.2.20":             fmt.Sprintf("host: %s, port: %d", w.Remote.SFTP().Addr(), w.Remote.SFTP().Port()),
		"user: backup":                 "user: " + w.Remote.User,
	}

	page := n.page(t, "docs/getting-started.md")
	for _, line := range page.commands {
		n.before(t, line, page)
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
	commands := n.page(t, "docs/recover.md").commands
	recover := commands[1]
	if !strings.HasPrefix(recover, "salvor recover alpha --to gamma=") {
		t.Fatalf("docs/recover.md begins with %q", commands)
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

func (n *newcomer) page(t *testing.T, file string) page {
	t.Helper()
	root, err := world.Root(t.Context())
	must(t, err)
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	must(t, err)
	var p page
	for _, m := range block.FindAllStringSubmatch(string(content), -1) {
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
	shown, err := n.term.Run(t.Context(), line, answers...)
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
	case strings.HasPrefix(line, "salvor secret import "):
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
