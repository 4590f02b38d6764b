// Command writer is the application of tests and the demo: it appends numbered,
// hash-chained rows to SQLite, Postgres or a folder of files, and reports each
// acknowledged write to a collector outside its host. It serves /health, /rows
// (count, head and whether the chain is unbroken) and /rows?all (every row).
//
//	writer                 write and serve; settings come from the environment
//	writer health          exit 0 when the writer in this container is healthy
//	writer manifest DIR    print the manifest of a tree as JSON
//
// With FORMAT=2, as the image of its next version says, it migrates its database
// to a form that the first version can't read, writes on, reports under its name
// with "-next" behind, and is never healthy.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"salvor/internal/lab/oracle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return write(ctx)
	case len(args) == 1 && args[0] == "health":
		return healthy(ctx)
	case len(args) == 2 && args[0] == "manifest":
		entries, err := oracle.Manifest(args[1])
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(entries)
	}
	return fmt.Errorf("usage: writer [health | manifest DIR]")
}

// settings come from the environment, as Compose gives it.
type settings struct {
	name      string        // WRITER: what the collector knows it by
	kind      string        // STORE: sqlite, postgres or files
	data      string        // DATA: folder of sqlite and files; default /data
	collector string        // COLLECTOR: URL; empty: no reports
	every     time.Duration // EVERY: pause between writes; default 100ms
	size      int           // SIZE: payload bytes; default 100
	limit     int           // LIMIT: rows in all; default 0, without end
	words     bool          // WORDS=true: payloads that a person can read; SIZE does not matter then
	listen    string        // LISTEN; default :8080
	next      bool          // FORMAT=2: it is its own next version
}

func fromEnv() (settings, error) {
	s := settings{
		name: env("WRITER", "writer"), kind: env("STORE", "sqlite"), data: env("DATA", "/data"),
		collector: os.Getenv("COLLECTOR"), listen: env("LISTEN", ":8080"), words: os.Getenv("WORDS") == "true",
		next: os.Getenv("FORMAT") == "2",
	}
	if s.next {
		s.name += "-next"
	}
	var err error
	if s.every, err = time.ParseDuration(env("EVERY", "100ms")); err != nil {
		return s, fmt.Errorf("EVERY: %w", err)
	}
	if s.size, err = strconv.Atoi(env("SIZE", "100")); err != nil {
		return s, fmt.Errorf("SIZE: %w", err)
	}
	if s.limit, err = strconv.Atoi(env("LIMIT", "0")); err != nil {
		return s, fmt.Errorf("LIMIT: %w", err)
	}
	return s, nil
}

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func write(ctx context.Context) error {
	s, err := fromEnv()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, s)
	if err != nil {
		return fmt.Errorf("open %s store: %w", s.kind, err)
	}
	rows, err := store.Rows(ctx)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	head, err := oracle.Verify(rows)
	if err != nil {
		return fmt.Errorf("what is stored is broken: %w", err)
	}
	log.Printf("%s: %d rows in %s", s.name, head.N, s.kind)
	w := &writer{settings: s, store: store}
	failed := make(chan error, 2)
	go func() { failed <- w.serve(ctx) }()
	go func() { failed <- w.append(ctx, head) }()
	return <-failed
}

func healthy(ctx context.Context) error {
	listen := env("LISTEN", ":8080")
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+listen[strings.LastIndexByte(listen, ':'):]+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", resp.Status)
	}
	return nil
}
