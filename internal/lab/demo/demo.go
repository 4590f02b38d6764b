// Package demo shows Salvor in a terminal: a host with five stacks dies and one
// command brings them back, on real hosts of the lab and with the commands a person
// types.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

// stacks are those that write. They stop at a number of rows, so that a count and a
// head can be compared before and after. The page site runs as well.
var stacks = []world.Stack{
	{Name: "shop", Store: "postgres", Host: "alpha", Port: 8081, Every: "3ms", Words: true, Limit: 1234},
	{Name: "notes", Store: "sqlite", Host: "alpha", Port: 8082, Every: "5ms", Words: true, Limit: 600},
	{Name: "photos", Store: "files", Host: "alpha", Port: 8083, Every: "1ms", Size: 4096, Limit: 3000},
	{Name: "wiki", Store: "sqlite", Host: "alpha", Port: 8084, Every: "10ms", Words: true, Limit: 300},
	{Name: "feeds", Store: "sqlite", Host: "beta", Port: 8085, Every: "100ms", Words: true},
}

const sitePort = 8086

type demo struct {
	screen
	lab                *lab.Lab
	world              *world.World
	images             world.Images
	alpha, beta, gamma *lab.Host
	lost               bool // alpha was, and gamma has its stacks
}

// need is what the demo takes of the disk: measured from nothing cached.
func need() lab.Need { return lab.Need{Engine: 6 << 30, Cache: 2 << 30} }

// Run prints the demo to out and takes its hosts down again; with keep a person gets a
// prompt before. It returns nil only if every row is there at the end.
func Run(ctx context.Context, out *os.File, keep bool) error {
	return onStage(ctx, out, "Salvor: your hosts don't matter. One of them is about to die.", func(d *demo) error {
		if err := d.story(ctx); err != nil || !keep {
			return err
		}
		return d.play(ctx)
	})
}

// onStage starts the lab of a story, and takes it down when the story is over.
func onStage(ctx context.Context, out *os.File, title string, story func(*demo) error) (err error) {
	d := &demo{screen: newScreen(out)}
	d.title(title)
	space, err := lab.Space(ctx, need())
	if err != nil {
		return err
	}
	d.aside("%s", space)
	d.say("Starting three clean Debian 13 hosts, a Git host, an image registry and a\nremote for snapshots. The first run also builds their images: a few minutes.")
	if d.lab, err = lab.Start(ctx, lab.Options{Name: "demo", Log: d.aside}); err != nil {
		return err
	}
	defer func() {
		d.say("Taking everything down.")
		err = errors.Join(err, d.lab.Down(context.WithoutCancel(ctx)))
		if err == nil {
			d.aside("done: hosts, network and files of this run are removed; the Docker engine,\nits images and downloaded packages stay for the next run")
		}
	}()
	return story(d)
}

// acts plays several parts of a story, one after the other.
func acts(ctx context.Context, all ...func(context.Context) error) error {
	for _, act := range all {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// story loses a host and compares what its stacks held with what they hold then.
func (d *demo) story(ctx context.Context) error {
	if err := acts(ctx, d.surroundings, d.fleet, d.deploy); err != nil {
		return err
	}
	before, err := d.written(ctx)
	if err != nil {
		return err
	}
	if err := d.snapshots(ctx); err != nil {
		return err
	}
	took, err := d.disaster(ctx)
	if err != nil {
		return err
	}
	d.lost = true
	return d.compare(ctx, before, took)
}

func (d *demo) surroundings(ctx context.Context) error {
	all, within := errgroup.WithContext(ctx)
	for name, h := range map[string]**lab.Host{"alpha": &d.alpha, "beta": &d.beta, "gamma": &d.gamma} {
		all.Go(func() (err error) { *h, err = d.lab.Host(within, name, lab.HostOptions{}); return err })
	}
	all.Go(func() (err error) {
		if d.world, err = world.New(within, d.lab, world.Options{}); err == nil {
			d.images, err = d.world.Images(within)
		}
		return err
	})
	if err := all.Wait(); err != nil {
		return err
	}
	for _, h := range []*lab.Host{d.alpha, d.beta, d.gamma} {
		if err := h.TrustRegistry(ctx, d.world.Registry.Address); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) fleet(ctx context.Context) error {
	d.say("`salvor init` has made a Git repository and a key; the remote is declared.\nTwo of the hosts join. Gamma " +
		"stays an empty server that is not part of the fleet.")
	d.aside("(left out below: --yes, --passphrase-file and --ssh-key, since there is no person at this terminal)")
	for _, h := range []*lab.Host{d.alpha, d.beta} {
		key, err := world.Fingerprint(ctx, h)
		if err != nil {
			return err
		}
		printed, err := d.salvor(ctx, d.world, "host", "add", h.Name, "root@"+h.Address.String(), "--host-key", key)
		if err != nil {
			return err
		}
		if err := d.world.Git.AddReadKey(ctx, strings.TrimSpace(printed)); err != nil {
			return err
		}
	}
	_, err := d.world.Salvor(ctx, strings.NewReader("a-password-of-the-demo"), "secret", "set", "shop/POSTGRES_PASSWORD")
	return err
}

func (d *demo) deploy(ctx context.Context) error {
	d.say("Six stacks, each a plain Compose file with `x-salvor: {host: …}` on top:\nfive on alpha, one on beta. This prepares both hosts and starts everything.")
	for _, st := range stacks {
		if err := d.world.Write("stacks/"+st.Name+"/compose.yaml", st.Compose(d.images, "")); err != nil {
			return err
		}
	}
	for name, content := range world.Site("alpha", sitePort, d.images) {
		if err := d.world.Write(name, content); err != nil {
			return err
		}
	}
	if err := d.world.Commit(ctx, "six stacks"); err != nil {
		return err
	}
	_, err := d.salvor(ctx, d.world, "apply")
	return err
}

// query shows rows of the shop's database to the person who watches.
var query = []string{"exec", "shop", "db", "psql", "-U", "postgres", "-d", "app", "-c", "select n, payload, left(hash, 12) as hash from rows order by n desc limit 4"}

// written waits until the stacks have written their rows and shows them.
func (d *demo) written(ctx context.Context) (map[string]held, error) {
	d.say("Each stack writes numbered rows, each with the hash of the previous one:\nthe last hash, the head, stands for all of them.")
	before := map[string]held{}
	for _, st := range stacks {
		h, err := d.eventually(ctx, d.hostOf(st), st, func(h held) bool { return h.Count >= max(st.Limit, 10) })
		if err != nil {
			return nil, err
		}
		before[st.Name] = h
	}
	d.table(before)
	_, err := d.salvor(ctx, d.world, query...)
	return before, err
}

func (d *demo) hostOf(st world.Stack) *lab.Host {
	if st.Host == "beta" {
		return d.beta
	}
	return d.alpha
}

func (d *demo) snapshots(ctx context.Context) error {
	d.say("The schedule takes snapshots automatically; here they are taken at once. Each is\nread back from the remote before it counts.")
	for _, st := range stacks {
		if st.Host != "alpha" {
			continue
		}
		if _, err := d.salvor(ctx, d.world, "snapshot", "take", st.Name); err != nil {
			return err
		}
	}
	_, err := d.salvor(ctx, d.world, "status")
	return err
}

// disaster kills alpha and recovers its stacks; it returns how long that took.
func (d *demo) disaster(ctx context.Context) (time.Duration, error) {
	if err := d.alpha.Kill(ctx); err != nil {
		return 0, err
	}
	d.alarm("Alpha's power is cut. Its disks never come back.")
	d.say("Gamma has no Docker and has never heard of this fleet. One command:")
	key, err := world.Fingerprint(ctx, d.gamma)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	_, err = d.salvor(ctx, d.world, "recover", "alpha", "--to", "gamma=root@"+d.gamma.Address.String(), "--host-key", key)
	return time.Since(began), err
}

// compare shows the same rows on gamma, or says which are missing.
func (d *demo) compare(ctx context.Context, before map[string]held, took time.Duration) error {
	d.say("The same question as before, now answered by gamma:")
	if _, err := d.salvor(ctx, d.world, query...); err != nil {
		return err
	}
	rows, back := 0, 0
	var missing []error
	for _, st := range stacks {
		host := d.gamma
		if st.Host == "beta" {
			host = d.beta
		}
		now, err := d.eventually(ctx, host, st, func(h held) bool { return h.Count >= before[st.Name].Count })
		if err = errors.Join(err, d.verdict(st, host.Name, before[st.Name], now)); err != nil {
			missing = append(missing, err)
			continue
		}
		if st.Host == "alpha" {
			rows += now.Count
			back++
		}
	}
	if err := d.page(ctx); err != nil {
		missing = append(missing, err)
	}
	if err := errors.Join(missing...); err != nil {
		return fmt.Errorf("not everything came back: %w", err)
	}
	d.closing("Alpha is gone, its stacks are not: %s rows of %d stacks and a page are\nback %s after the command was typed, on a host that was empty.", grouped(rows), back, seconds(took))
	return nil
}
