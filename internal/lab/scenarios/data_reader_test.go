package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/storage/drivetest"
)

// A readable is a repository as someone reads it without Salvor, with Debian's programs
// and what the card holds.
type readable struct {
	*lab.Reader
	target, location, password string
}

// readable opens what the card opens, and has rclone configured as fleet.yaml says.
func (d *dataFleet) readable(t *testing.T) (all []readable) {
	t.Helper()
	ctx := t.Context()
	must(t, d.w.Pull(ctx))
	sealed, err := os.ReadFile(filepath.Join(d.w.Dir, "sealed", "recovery", "shop.age"))
	must(t, err)
	must(t, d.reader.WriteFile(ctx, "/root/fleet/sealed/recovery/shop.age", string(sealed)))
	must(t, d.reader.WriteFile(ctx, "/root/card.txt", d.salvor(t, "key", "card")))
	obscured := d.shell(t, "rclone obscure '"+d.w.Remote.Password+"'")
	at := d.w.Remote.SFTP()
	config := fmt.Sprintf("[box]\ntype = sftp\nhost = %s\nport = %d\nuser = %s\npass = %s\n", at.Addr(), at.Port(), d.w.Remote.User, obscured)
	config += fmt.Sprintf("[drive]\ntype = drive\nscope = drive\nclient_id = %s\nclient_secret = %s\ntoken = %s\n", driveClient, driveSecret, d.drive.Grant("olga@example.com", driveClient, drivetest.ScopeDrive))
	must(t, d.reader.WriteFile(ctx, "/root/.config/rclone/rclone.conf", config))
	r := readable{Reader: d.reader}
	for line := range strings.Lines(d.shell(t, "cd /root/fleet && age -d -i /root/card.txt sealed/recovery/shop.age")) {
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

// shell runs a script on the reader.
func (d *dataFleet) shell(t *testing.T, script string) string {
	t.Helper()
	out, err := d.reader.Exec(t.Context(), "sh", "-ec", script)
	must(t, err)
	return strings.TrimSpace(out)
}

// read restores the newest snapshot that was taken before a time, and reads every volume
// with its own programs.
func (r readable) read(t *testing.T, before time.Time) (h holding) {
	t.Helper()
	ctx := t.Context()
	must(t, r.WriteFile(ctx, "/root/password", r.password+"\n"))
	restic := "restic -q -p /root/password -r rclone:" + r.location
	out, err := r.Exec(ctx, "sh", "-ec", restic+" snapshots --json")
	must(t, err)
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
	_, err = r.Exec(ctx, "sh", "-ec", "rm -rf /tmp/shop && "+restic+" restore "+id+" --target /tmp/shop")
	must(t, err)
	sums, err := r.Exec(ctx, "sh", "-ec", readBank)
	must(t, err)
	counts, err := r.Exec(ctx, "sh", "-ec", readCache)
	must(t, err)
	kept, err := r.Exec(ctx, "sqlite3", "-json", "/tmp/shop/salvor/shop/notes/rows.db", "SELECT n, payload, hash FROM rows ORDER BY n")
	must(t, err)
	must(t, json.Unmarshal([]byte(kept), &h.rows))
	must(t, h.read(sums, counts))
	return h
}

// readBank loads the dump of the bank into a server of its own and prints the sums.
const readBank = `rm -rf /tmp/pg && install -d -o postgres /tmp/pg && chmod -R a+rX /tmp/shop
dump=/tmp/shop/salvor/shop/db
as() { runuser -u postgres -- "$@"; }
as initdb -D /tmp/pg/data -U postgres -A trust >/dev/null
as pg_ctl -D /tmp/pg/data -l /tmp/pg/log -o "-k /tmp/pg -c listen_addresses=''" -w start >/dev/null
as psql -h /tmp/pg -q -f $dump/globals.sql >/dev/null 2>&1 || true # it makes the role postgres again
as pg_restore -h /tmp/pg -d postgres -C $dump/bank.dump
as psql -h /tmp/pg -d bank -Atc "` + fourSums + `"
as pg_ctl -D /tmp/pg/data -m immediate stop >/dev/null`

// readCache starts a Valkey on a copy and prints what it counted.
const readCache = `cd /tmp/shop/salvor/shop/cache
valkey-server --dir . --appendonly yes --save '' --port 6390 --daemonize yes >/dev/null
until valkey-cli -p 6390 PING 2>/dev/null | grep -qx PONG; do sleep 0.1; done
valkey-cli -p 6390 MGET debit credit at
valkey-cli -p 6390 SHUTDOWN NOSAVE`
