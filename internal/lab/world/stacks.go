package world

import (
	"context"
	"fmt"

	"salvor/internal/lab"
)

// PauseLimit is how long a snapshot may pause the lab's stacks. The default's 5 seconds are too few
// for hosts that share one machine's processors.
const PauseLimit = "60s"

// Images are references in the world's registry.
type Images struct{ Writer, Postgres, Nginx string }

// Images returns the test images as hosts pull them.
func (w *World) Images(ctx context.Context) (i Images, err error) {
	for image, ref := range map[lab.Image]*string{lab.Writer: &i.Writer, lab.Postgres: &i.Postgres, lab.Nginx: &i.Nginx} {
		if *ref, err = w.Registry.Ref(ctx, image); err != nil {
			return i, err
		}
	}
	return i, nil
}

// A Stack is one writing stack: a store and the port on which it shows its content.
type Stack struct {
	Name  string
	Store string // sqlite, files or postgres
	Host  string
	Port  int
	Every string // pause between writes
	Size  int    // bytes of payload a row
	Limit int    // rows in all, 0 without end
	Words bool   // payloads that a person can read

	OldEngine bool // it comes to run on a Docker before 25, which probes at one interval all the time
}

// health renders a service's health check. A probe a second is as much work as
// all the writing, and several hosts share one machine's processors: only what
// starts is probed that often.
func (s Stack) health(test string) string {
	often := "interval: 30s, start_interval: 1s, start_period: 60s"
	if s.OldEngine {
		often = "interval: 1s"
	}
	return fmt.Sprintf("healthcheck: {test: [%s], %s, timeout: 5s, retries: 60}", test, often)
}

// Compose renders the stack's Compose file. collector gets a report of each
// acknowledged write, "" for none.
func (s Stack) Compose(i Images, collector string) string {
	healthy := s.health(`"CMD", "/writer", "health"`)
	writer := fmt.Sprintf(`  app:
    image: %s
    restart: unless-stopped
    environment: {STORE: %s, WRITER: %s, COLLECTOR: %q, EVERY: %s, SIZE: "%d", LIMIT: "%d", WORDS: "%t"}
    ports: ["%d:8080"]
    volumes: ["data:/data"]
    %s
`, i.Writer, s.Store, s.Name, collector, s.Every, s.Size, s.Limit, s.Words, s.Port, healthy)
	if s.Store != "postgres" {
		return fmt.Sprintf("x-salvor:\n  host: %s\n  pause: {limit: %s, every: 15m}\nservices:\n%svolumes:\n  data: {}\n", s.Host, PauseLimit, writer)
	}
	writer = fmt.Sprintf(`  app:
    image: %s
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    environment: {STORE: postgres, WRITER: %s, COLLECTOR: %q, EVERY: %s, SIZE: "%d", LIMIT: "%d", WORDS: "%t", PGHOST: db, PGUSER: postgres, PGDATABASE: app, PGPASSWORD_FILE: /run/secrets/POSTGRES_PASSWORD}
    secrets: [POSTGRES_PASSWORD]
    ports: ["%d:8080"]
    %s
  db:
    image: %s
    restart: unless-stopped
    environment: {POSTGRES_DB: app, POSTGRES_PASSWORD_FILE: /run/secrets/POSTGRES_PASSWORD}
    secrets: [POSTGRES_PASSWORD]
    volumes: ["db:/var/lib/postgresql/data"]
    %s
`, i.Writer, s.Name, collector, s.Every, s.Size, s.Limit, s.Words, s.Port, healthy, i.Postgres, s.health(`"CMD", "pg_isready", "-U", "postgres", "-h", "127.0.0.1"`))
	return fmt.Sprintf("x-salvor:\n  host: %s\nservices:\n%ssecrets:\n  POSTGRES_PASSWORD: {environment: POSTGRES_PASSWORD}\nvolumes:\n  db: {}\n", s.Host, writer)
}

// Site is a stack without data of its own: a page from Git behind nginx.
func Site(host string, port int, i Images) map[string]string {
	compose := fmt.Sprintf(`x-salvor:
  host: %s
services:
  web:
    image: %s
    restart: unless-stopped
    ports: ["%d:80"]
    volumes: ["./html:/usr/share/nginx/html:ro"]
`, host, i.Nginx, port)
	return map[string]string{"stacks/site/compose.yaml": compose, "stacks/site/html/index.html": "<h1>home</h1>\n"}
}
