package scenarios

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
)

// shopStack is a stack with each kind of data. What writes to it is part of it: pgbench,
// a counter in Valkey, rows in SQLite, files in the shared folder named by the second.
const shopStack = `x-salvor:
  host: alpha
  pause: {limit: 20s, every: 15m}
  volumes:
    library: {protect: shared}
services:
  db:
    image: POSTGRES
    restart: unless-stopped
    environment: {POSTGRES_DB: bank, POSTGRES_PASSWORD_FILE: /run/secrets/POSTGRES_PASSWORD}
    secrets: [POSTGRES_PASSWORD]
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, -U, postgres, -h, 127.0.0.1], interval: 30s, start_interval: 1s, start_period: 60s, timeout: 5s, retries: 60}
  bank:
    image: POSTGRES
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    environment: {PGHOST: db, PGUSER: postgres, PGDATABASE: bank}
    secrets: [POSTGRES_PASSWORD]
    tmpfs: [/var/lib/postgresql/data]
    entrypoint: [sh, -c]
    command:
      - |
        trap 'kill $$p; exit' INT # the image's stop signal
        export PGPASSWORD=$$(cat /run/secrets/POSTGRES_PASSWORD)
        psql -qc 'SELECT FROM pgbench_history LIMIT 1' || { pgbench -iq && psql -qc 'DELETE FROM pgbench_accounts WHERE aid > 2000'; }
        cat >/tmp/transfer <<'END' # pgbench's own, among fewer accounts: dumps are quicker
        \set aid random(1, 2000)
        \set tid random(1, 10)
        \set delta random(-5000, 5000)
        BEGIN;
        UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
        UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
        UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = 1;
        INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, 1, :aid, :delta, CURRENT_TIMESTAMP);
        END;
        END
        while :; do pgbench -n -c 2 -R 20 -T 3600 -f /tmp/transfer & p=$$!; wait $$p; sleep 1; done
  notes:
    image: WRITER
    restart: unless-stopped
    environment: {STORE: sqlite, WRITER: shop, COLLECTOR: "URL", EVERY: 100ms, SIZE: "100"}
    ports: ["8081:8080"]
    volumes: ["notes:/data"]
    healthcheck: {test: [CMD, /writer, health], interval: 30s, start_interval: 1s, start_period: 60s, timeout: 5s, retries: 60}
  cache:
    image: VALKEY
    restart: unless-stopped
    volumes: ["cache:/data"]
  ticks:
    image: VALKEY
    restart: unless-stopped
    depends_on: [cache]
    tmpfs: [/data]
    entrypoint: [sh, -c]
    command:
      - |
        trap exit TERM
        while :; do
          valkey-cli -h cache EVAL "redis.call('INCR', 'debit') redis.call('INCR', 'credit') redis.call('SET', 'at', ARGV[1])" 0 $$(date +%s.%N) >/dev/null
          sleep 0.2
        done
  album:
    image: NGINX
    restart: unless-stopped
    volumes: ["library:/srv/library"]
    entrypoint: [sh, -c]
    command:
      - |
        trap exit QUIT # the image's stop signal
        while :; do n=$$(date +%s); echo $$n >/srv/library/$$n; sleep 2; done
secrets:
  POSTGRES_PASSWORD: {environment: POSTGRES_PASSWORD}
volumes: {db: {}, notes: {}, cache: {}, library: {}}
`

// shopServices are all that run of the shop.
const shopServices = 6

// stacks writes the shop and five small ones, which are six.
func (d *dataFleet) stacks(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	images, err := d.w.Images(ctx)
	must(t, err)
	valkey, err := d.Image(ctx, lab.Valkey)
	must(t, err)
	valkey, err = d.w.Registry.PushAs(ctx, valkey, "valkey:lab")
	must(t, err)
	filled := strings.NewReplacer("POSTGRES\n", images.Postgres+"\n", "WRITER\n", images.Writer+"\n", "VALKEY\n", valkey+"\n", "NGINX\n", images.Nginx+"\n", "URL", listen(t, d.Lab, d.collector))
	must(t, d.w.Write("stacks/shop/compose.yaml", filled.Replace(shopStack)))
	for i := range 5 {
		site := fmt.Sprintf("x-salvor: {host: alpha}\nservices: {web: {image: %q, restart: unless-stopped}}\n", images.Nginx)
		must(t, d.w.Write(fmt.Sprintf("stacks/site%d/compose.yaml", i+1), site))
	}
}

// A holding is what one copy of the shop's volumes holds.
type holding struct {
	transfers int // of the bank
	bank      time.Time
	ticks     int // of the cache
	cache     time.Time
	rows      []oracle.Row
	shared    time.Time // the newest file of the shared folder
}

// fourSums are equal in every copy of pgbench's database that there ever was.
const fourSums = `SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
	(SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history),
	(SELECT count(*) FROM pgbench_history), (SELECT extract(epoch FROM max(mtime)) FROM pgbench_history)`

// holding asks the running stack. An error says what does not answer, or what of it is not
// a state that there was.
func (d *dataFleet) holding(ctx context.Context, on *lab.Host) (h holding, err error) {
	sums, err := inShop(ctx, on, "db", "psql", "-U", "postgres", "-d", "bank", "-Atc", fourSums)
	if err != nil {
		return h, err
	}
	counts, err := inShop(ctx, on, "cache", "valkey-cli", "MGET", "debit", "credit", "at")
	if err != nil {
		return h, err
	}
	newest, err := inShop(ctx, on, "album", "sh", "-c", `ls /srv/library | grep -x '[0-9]*' | tail -n 1`)
	if err == nil {
		h.shared, err = readTime(strings.TrimSpace(newest))
	}
	if err == nil {
		h.rows, err = rows(ctx, on, 8081)
	}
	if err != nil {
		return h, err
	}
	return h, h.read(sums, counts)
}

// read takes what the databases answer, and checks it.
func (h *holding) read(sums, counts string) (err error) {
	if h.transfers, h.bank, err = readSums(sums); err != nil {
		return err
	}
	if h.ticks, h.cache, err = readCounts(counts); err != nil {
		return err
	}
	_, err = oracle.Verify(h.rows)
	return err
}

func readSums(out string) (transfers int, last time.Time, err error) {
	f := strings.Split(strings.TrimSpace(out), "|")
	if len(f) != 6 {
		return 0, last, fmt.Errorf("the bank answers %q", out)
	}
	if f[0] != f[1] || f[1] != f[2] || f[2] != f[3] {
		return 0, last, fmt.Errorf("the bank's sums are %s of accounts, %s of tellers, %s of branches, %s of transfers", f[0], f[1], f[2], f[3])
	}
	if transfers, err = strconv.Atoi(f[4]); err != nil {
		return 0, last, err
	}
	last, err = readTime(f[5])
	return transfers, last, err
}

func readCounts(out string) (ticks int, last time.Time, err error) {
	f := strings.Fields(out)
	if len(f) != 3 || f[0] != f[1] {
		return 0, last, fmt.Errorf("the cache answers %q", out)
	}
	if ticks, err = strconv.Atoi(f[0]); err != nil {
		return 0, last, err
	}
	last, err = readTime(f[2])
	return ticks, last, err
}

// readTime reads seconds since 1970; "" is the zero time.
func readTime(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseFloat(epoch, 64)
	return time.UnixMicro(int64(seconds * 1e6)), err
}

// since says what of a former holding is missing in this one, nil for nothing.
func (h holding) since(former holding) error {
	if h.transfers < former.transfers || h.ticks < former.ticks || len(h.rows) < len(former.rows) {
		return fmt.Errorf("%d transfers, %d ticks and %d rows, after there had been %d, %d and %d", h.transfers, h.ticks, len(h.rows), former.transfers, former.ticks, len(former.rows))
	}
	return nil
}

// sharedFiles lists the files of the shared folder as a host shows them, those with their content.
func sharedFiles(ctx context.Context, on *lab.Host) ([]string, error) {
	out, err := inShop(ctx, on, "album", "sh", "-c", `cd /srv/library && for f in [0-9]*; do [ "$(cat $f)" = $f ] && echo $f; done`)
	return strings.Fields(out), err
}
