package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/world"
)

// shopStack is a stack with each kind of data. What writes to it is part of it: pgbench, the
// same in MariaDB, a counter in Valkey, rows in SQLite, files in the shared folder named by
// the second.
const shopStack = `x-salvor:
  host: alpha
  pause: {limit: ` + world.PauseLimit + `, every: 15m}
  volumes:
    library: {protect: shared}
    books: {consistent: mariadb}
    notes: {consistent: sqlite}
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
  books:
    image: MARIADB
    restart: unless-stopped
    environment: {MARIADB_DATABASE: books, MARIADB_ROOT_PASSWORD_FILE: /run/secrets/MARIADB_PASSWORD}
    secrets: [MARIADB_PASSWORD]
    volumes: ["books:/var/lib/mysql"]
    healthcheck: {test: [CMD, mariadb-admin, ping, --silent, -h, 127.0.0.1], interval: 30s, start_interval: 1s, start_period: 60s, timeout: 5s, retries: 60}
  clerk:
    image: MARIADB
    restart: unless-stopped
    depends_on: {books: {condition: service_healthy}}
    secrets: [MARIADB_PASSWORD]
    tmpfs: [/var/lib/mysql]
    entrypoint: [bash, -c]
    command:
      - |
        trap 'kill $$p; exit' TERM
        export MYSQL_PWD=$$(cat /run/secrets/MARIADB_PASSWORD)
        cat >/tmp/work <<'END'
        CREATE TABLE IF NOT EXISTS accounts (id INT PRIMARY KEY, balance INT NOT NULL);
        CREATE TABLE IF NOT EXISTS tellers LIKE accounts;
        CREATE TABLE IF NOT EXISTS branches LIKE accounts;
        CREATE TABLE IF NOT EXISTS history (id INT PRIMARY KEY AUTO_INCREMENT, delta INT NOT NULL, mtime TIMESTAMP(6) NOT NULL);
        INSERT IGNORE INTO accounts SELECT seq, 0 FROM seq_1_to_2000;
        INSERT IGNORE INTO tellers SELECT seq, 0 FROM seq_1_to_10;
        INSERT IGNORE INTO branches VALUES (1, 0);
        DELIMITER //
        CREATE PROCEDURE IF NOT EXISTS work() LOOP
          SET @delta = FLOOR(RAND() * 10001) - 5000, @aid = FLOOR(RAND() * 2000) + 1, @tid = FLOOR(RAND() * 10) + 1;
          START TRANSACTION;
          UPDATE accounts SET balance = balance + @delta WHERE id = @aid;
          UPDATE tellers SET balance = balance + @delta WHERE id = @tid;
          UPDATE branches SET balance = balance + @delta WHERE id = 1;
          INSERT INTO history (delta, mtime) VALUES (@delta, SYSDATE(6));
          COMMIT;
          DO SLEEP(0.1);
        END LOOP //
        CALL work() //
        END
        while :; do mariadb -h books -u root books </tmp/work & p=$$!; wait $$p; sleep 1; done
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
  MARIADB_PASSWORD: {environment: MARIADB_PASSWORD}
volumes: {db: {}, books: {}, notes: {}, cache: {}, library: {}}
`

// shopServices are all that run of the shop.
const shopServices = 8

// stacks writes the shop and five small ones, which are six.
func (d *dataFleet) stacks(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	images, err := d.w.Images(ctx)
	must(t, err)
	mariadb, err := d.w.Registry.Ref(ctx, lab.MariaDB)
	must(t, err)
	valkey, err := d.w.Registry.Ref(ctx, lab.Valkey)
	must(t, err)
	filled := strings.NewReplacer("POSTGRES\n", images.Postgres+"\n", "MARIADB\n", mariadb+"\n", "WRITER\n", images.Writer+"\n",
		"VALKEY\n", valkey+"\n", "NGINX\n", images.Nginx+"\n", "URL", listen(t, d.Lab, d.collector))
	must(t, d.w.Write("stacks/shop/compose.yaml", filled.Replace(shopStack)))
	for i := range 5 {
		site := fmt.Sprintf("x-salvor: {host: alpha}\nservices: {web: {image: %q, restart: unless-stopped}}\n", images.Nginx)
		must(t, d.w.Write(fmt.Sprintf("stacks/site%d/compose.yaml", i+1), site))
	}
}

// A holding is what one copy of the shop's volumes holds.
type holding struct {
	bank, books ledger // of Postgres, of MariaDB
	ticks       int    // of the cache
	cache       time.Time
	rows        []oracle.Row
	shared      time.Time // the newest file of the shared folder
}

// A ledger is what a database of transfers holds.
type ledger struct {
	transfers int
	last      time.Time
}

// What the databases of transfers are asked for: four sums that are equal in every copy
// that there ever was, the number of transfers, and the time of the last one.
const (
	bankSums = `SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
	(SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history),
	(SELECT count(*) FROM pgbench_history), (SELECT extract(epoch FROM max(mtime)) FROM pgbench_history)`
	booksSums = `SELECT CONCAT_WS('|', (SELECT SUM(balance) FROM accounts), (SELECT SUM(balance) FROM tellers),
	(SELECT SUM(balance) FROM branches), (SELECT COALESCE(SUM(delta), 0) FROM history),
	(SELECT COUNT(*) FROM history), (SELECT COALESCE(UNIX_TIMESTAMP(MAX(mtime)), '') FROM history))`
)

// holding asks the running stack. An error says what does not answer, or what of it is not
// a state that there was.
func (d *dataFleet) holding(ctx context.Context, on *lab.Host) (h holding, err error) {
	var said answers
	all, within := errgroup.WithContext(ctx)
	ask := func(answer *string, service string, argv ...string) {
		all.Go(func() (err error) {
			*answer, err = inShop(within, on, service, argv...)
			return err
		})
	}
	var newest string
	ask(&said.bank, "db", "psql", "-U", "postgres", "-d", "bank", "-Atc", bankSums)
	ask(&said.books, "books", "sh", "-c", `MYSQL_PWD=$(cat /run/secrets/MARIADB_PASSWORD) exec mariadb -u root -NB -e "$0" books`, booksSums)
	ask(&said.cache, "cache", "valkey-cli", "MGET", "debit", "credit", "at")
	ask(&newest, "album", "sh", "-c", `ls /srv/library | grep -x '[0-9]*' | tail -n 1`)
	all.Go(func() (err error) {
		h.rows, err = rows(within, on, 8081)
		return err
	})
	if err = all.Wait(); err != nil {
		return h, err
	}
	if h.shared, err = readTime(strings.TrimSpace(newest)); err != nil {
		return h, err
	}
	return h, h.read(said)
}

// answers are what the databases say.
type answers struct{ bank, books, cache string }

// read takes what the databases answer, and checks it.
func (h *holding) read(said answers) (err error) {
	if h.bank, err = readSums(said.bank); err != nil {
		return fmt.Errorf("the bank: %w", err)
	}
	if h.books, err = readSums(said.books); err != nil {
		return fmt.Errorf("the books: %w", err)
	}
	if h.ticks, h.cache, err = readCounts(said.cache); err != nil {
		return err
	}
	_, err = oracle.Verify(h.rows)
	return err
}

func readSums(out string) (l ledger, err error) {
	f := strings.Split(strings.TrimSpace(out), "|")
	if len(f) != 6 {
		return l, fmt.Errorf("the answer is %q", out)
	}
	if f[0] != f[1] || f[1] != f[2] || f[2] != f[3] {
		return l, fmt.Errorf("the sums are %s of accounts, %s of tellers, %s of branches, %s of transfers", f[0], f[1], f[2], f[3])
	}
	if l.transfers, err = strconv.Atoi(f[4]); err != nil {
		return l, err
	}
	l.last, err = readTime(f[5])
	return l, err
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

// String counts what there is.
func (h holding) String() string {
	return fmt.Sprintf("%d transfers in Postgres and %d in MariaDB, %d ticks, %d rows", h.bank.transfers, h.books.transfers, h.ticks, len(h.rows))
}

// since says what of a former holding is missing in this one, nil for nothing.
func (h holding) since(former holding) error {
	if h.bank.transfers < former.bank.transfers || h.books.transfers < former.books.transfers || h.ticks < former.ticks || len(h.rows) < len(former.rows) {
		return fmt.Errorf("%s, after there had been %s", h, former)
	}
	if !slices.Equal(h.rows[:len(former.rows)], former.rows) {
		return errors.New("the rows are not those that there had been")
	}
	return nil
}

// sharedFiles lists the files of the shared folder as a host shows them, those with their content.
func sharedFiles(ctx context.Context, on *lab.Host) ([]string, error) {
	out, err := inShop(ctx, on, "album", "sh", "-c", goodFiles("/srv/library"))
	return strings.Fields(out), err
}

// goodFiles is a script that lists the files of a folder that have their content.
func goodFiles(folder string) string {
	return "cd " + folder + ` && for f in [0-9]*; do [ "$(cat $f)" = $f ] && echo $f; done; true`
}
