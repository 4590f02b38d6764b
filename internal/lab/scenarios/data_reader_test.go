package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

// A readable is a repository as someone reads it without Salvor, with Debian's programs
// and what the card holds.
type readable struct {
	*lab.Reader
	target, location, password string
}

// cardFolder is where the reader has the card, in memory.
const cardFolder = "/dev/shm/card"

// withoutSalvor are the commands of docs/recover.md that need no Salvor: those that open
// the card, those that lead to the passwords, and those that read data, a line each.
func withoutSalvor(t *testing.T) (opening, leading string, reading []string) {
	t.Helper()
	root, err := world.Root(t.Context())
	must(t, err)
	content, err := os.ReadFile(filepath.Join(root, "docs", "recover.md"))
	must(t, err)
	_, section, _ := strings.Cut(string(content), "\n## Without Salvor\n")
	blocks := block.FindAllStringSubmatch(strings.ReplaceAll(section, "notes", "shop"), -1)
	if len(blocks) != 3 {
		t.Fatalf("docs/recover.md has %d blocks of commands without Salvor, want 3", len(blocks))
	}
	return blocks[0][2], blocks[1][2], strings.Split(strings.TrimSpace(blocks[2][2]), "\n")
}

// readable opens what the card opens.
func (d *dataFleet) readable(t *testing.T) (all []readable) {
	t.Helper()
	opening, leading, _ := withoutSalvor(t)
	_, err := d.reader.Exec(t.Context(), "rm", "-rf", cardFolder)
	must(t, err)
	must(t, d.reader.WriteFile(t.Context(), cardFolder+"/card.txt", d.salvor(t, "key", "card")))
	d.shell(t, opening)
	r := readable{Reader: d.reader}
	for line := range strings.Lines(d.shell(t, leading)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "target":
			r.target = value
		case "location":
			r.location = value
		case "password":
			r.password = value
			all = append(all, r)
		}
	}
	if len(all) != len(dataTargets) {
		t.Fatalf("the card opens %d repositories of the shop, want %d", len(all), len(dataTargets))
	}
	return all
}

// shell runs a script on the reader, next to the card, as the shell that opened it.
func (d *dataFleet) shell(t *testing.T, script string) string {
	t.Helper()
	out, err := d.reader.Exec(t.Context(), "sh", "-ec", "cd "+cardFolder+"\nexport RCLONE_CONFIG=$PWD/rclone.conf\n"+script)
	must(t, err)
	return strings.TrimSpace(out)
}

// reads reads the newest snapshot of each target, and the shared folder, by the page's
// commands.
func (d *dataFleet) reads(t *testing.T) {
	ctx := t.Context()
	d.writes(t, time.Now())
	before, err := d.holding(ctx, d.on)
	must(t, err)
	files, err := sharedFiles(ctx, d.on)
	must(t, err)
	d.salvor(t, "snapshot", "take", "shop")
	eventually(t, "what is shared is on Drive", func() error { return d.allOnDrive(files) })
	began := time.Now()
	_, _, reading := withoutSalvor(t)
	for _, r := range d.readable(t) {
		must(t, d.reader.WriteFile(ctx, cardFolder+"/password", r.password+"\n"))
		for _, line := range reading {
			line, _, _ = strings.Cut(line, " # ")
			line = strings.Replace(line, "restic ", restic+" ", 1)
			d.shell(t, strings.ReplaceAll(line, "nas:salvor/snapshots/shop/3f2a91c0", r.location)+" <password") // which restic asks for
		}
		if err := r.volumes(t).since(before); err != nil {
			t.Errorf("%s without Salvor: %v", r.target, err)
		}
		d.Count("targets read without Salvor", 1)
	}
	there := strings.Fields(d.shell(t, goodFiles("/tmp/library")))
	for _, name := range files {
		if !slices.Contains(there, name) {
			t.Errorf("the shared file %s is not what rclone copies from Drive", name)
		}
	}
	d.Count("shared files read without Salvor", len(files))
	t.Logf("without Salvor, from %d targets: %s, and %d shared files, in %s", len(dataTargets), before, len(files), time.Since(began).Round(time.Second/10))
}

// allOnDrive returns an error unless Drive has all of these shared files.
func (d *dataFleet) allOnDrive(names []string) error {
	there := d.sharedOnDrive()
	for _, name := range names {
		if !slices.Contains(there, name) {
			return fmt.Errorf("%s is not there", name)
		}
	}
	return nil
}

// restic waits for a host that just tidies the repository up, as docs/recover.md says.
const restic = "restic --retry-lock 10m"

// read restores the newest snapshot that was taken before a time, and reads every volume
// with its own programs.
func (d *dataFleet) read(t *testing.T, r readable, before time.Time) holding {
	t.Helper()
	must(t, d.reader.WriteFile(t.Context(), cardFolder+"/password", r.password+"\n"))
	of := restic + " -q -p password -r rclone:" + r.location
	out := d.shell(t, of+" snapshots --json")
	var listed []struct {
		ID   string    `json:"id"`
		Time time.Time `json:"time"`
	}
	must(t, json.Unmarshal([]byte(out), &listed))
	id := ""
	for _, s := range listed {
		if s.Time.Before(before) {
			id = s.ID
		}
	}
	if id == "" {
		t.Fatalf("%s has no snapshot from before %s: %s", r.target, before, out)
	}
	d.shell(t, "rm -rf /tmp/shop && "+of+" restore "+id+" --target /tmp/shop")
	return r.volumes(t)
}

// volumes reads every volume of what was restored, which is gone then.
func (r readable) volumes(t *testing.T) (h holding) {
	t.Helper()
	ctx := t.Context()
	var said answers
	var kept string
	all, within := errgroup.WithContext(ctx)
	for answer, script := range map[*string]string{&said.bank: readBank, &said.books: readBooks, &said.cache: readCache, &kept: readNotes} {
		all.Go(func() (err error) {
			*answer, err = r.Exec(within, "sh", "-ec", script)
			return err
		})
	}
	must(t, all.Wait())
	_, err := r.Exec(ctx, "rm", "-rf", "/tmp/shop")
	must(t, err)
	must(t, json.Unmarshal([]byte(kept), &h.rows))
	must(t, h.read(said))
	return h
}

// readNotes prints the rows of the notes.
const readNotes = `sqlite3 -json /tmp/shop/salvor/shop/notes/rows.db "SELECT n, payload, hash FROM rows ORDER BY n"`

// readBank loads the dump of the bank into a server of its own and prints the sums.
const readBank = `rm -rf /tmp/pg && mkdir /tmp/pg && cp -a /srv/postgres /tmp/pg/data && chown postgres /tmp/pg && chmod -R a+rX /tmp/shop/salvor/shop/db && chmod a+rx /tmp/shop /tmp/shop/salvor /tmp/shop/salvor/shop
dump=/tmp/shop/salvor/shop/db
as() { runuser -u postgres -- "$@"; }
as pg_ctl -D /tmp/pg/data -l /tmp/pg/log -o "-k /tmp/pg -c listen_addresses='' -c fsync=off" -w start >/dev/null
as psql -h /tmp/pg -q -f $dump/globals.sql >/dev/null 2>&1 || true # it makes the role postgres again
as pg_restore -h /tmp/pg -d postgres -C $dump/bank.dump
as psql -h /tmp/pg -d bank -Atc "` + bankSums + `"
as pg_ctl -D /tmp/pg/data -m immediate stop >/dev/null`

// readBooks does that with the dump of the books.
const readBooks = `rm -rf /tmp/my && cp -a /srv/mariadb /tmp/my
mariadbd --no-defaults --user=root --datadir=/tmp/my --socket=/tmp/my/s --pid-file=/tmp/my/pid --skip-networking --innodb-log-file-size=4M --innodb-flush-method=nosync >/tmp/my.log 2>&1 &
at() { program=$1 && shift && "$program" --no-defaults --socket=/tmp/my/s --user=root "$@"; }
until at mariadb-admin ping >/dev/null 2>&1; do sleep 0.1; done
at mariadb </tmp/shop/salvor/shop/books/all.sql
at mariadb -NB -e "` + booksSums + `" books
at mariadb-admin shutdown`

// readCache starts a Valkey on a copy and prints what it counted.
const readCache = `cd /tmp/shop/salvor/shop/cache
valkey-server --dir . --appendonly yes --save '' --port 6390 --daemonize yes >/dev/null
until valkey-cli -p 6390 PING 2>/dev/null | grep -qx PONG; do sleep 0.1; done
valkey-cli -p 6390 MGET debit credit at
valkey-cli -p 6390 SHUTDOWN NOSAVE`
