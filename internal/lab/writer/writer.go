package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"salvor/internal/lab/oracle"
)

// maxFailures is how many writes in a row may fail before the writer gives up
// and lets Docker restart it: a database that restarts takes a few seconds.
const maxFailures = 100

type writer struct {
	settings
	store   store
	failing atomic.Bool
}

// append writes rows until ctx ends. A write whose outcome is unknown is looked
// up before the next, so that no number is used twice.
func (w *writer) append(ctx context.Context, head oracle.Row) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for failures := 0; w.limit == 0 || head.N < w.limit; {
		next := head.Next(w.payload())
		err := w.store.Append(ctx, next)
		if err == nil {
			head, failures = next, 0
			w.report(ctx, head)
		} else if failures++; failures > maxFailures {
			return err
		} else {
			log.Printf("write row %d: %v", next.N, err)
			if head, err = w.resume(ctx, head); err != nil {
				log.Printf("read the head: %v", err)
			}
		}
		w.failing.Store(failures > 0)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	<-ctx.Done()
	return nil
}

// resume returns the stored head, or the known one with an error.
func (w *writer) resume(ctx context.Context, known oracle.Row) (oracle.Row, error) {
	rows, err := w.store.Rows(ctx)
	if err != nil {
		return known, err
	}
	head, err := oracle.Verify(rows)
	if err != nil {
		return known, err
	}
	return head, nil
}

// report sends to the collector, for a second at most. An unreported row stays
// written; it just does not count as acknowledged.
func (w *writer) report(ctx context.Context, row oracle.Row) {
	if w.collector == "" {
		return
	}
	body, err := json.Marshal(oracle.Ack{Writer: w.name, N: row.N, Hash: row.Hash})
	if err != nil {
		log.Printf("report row %d: %v", row.N, err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.collector, bytes.NewReader(body))
	if err != nil {
		log.Printf("report row %d: %v", row.N, err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Printf("report row %d: %v", row.N, err)
		return
	}
	resp.Body.Close()
}

func (w *writer) payload() string {
	if w.words {
		return order()
	}
	return noise(w.size)
}

// order is a line of a shop's day.
func order() string {
	pick := func(from ...string) string { return from[mathrand.IntN(len(from))] }
	who := pick("Ada", "Ben", "Chloé", "Dmitri", "Eva", "Farid", "Grace", "Hiro", "Ines", "Jonas")
	what := pick("green tea", "rye bread", "olives", "honey", "lemons", "goat cheese", "red lentils", "dark chocolate")
	return fmt.Sprintf("%s orders %d × %s", who, 1+mathrand.IntN(9), what)
}

func noise(size int) string {
	raw := make([]byte, size*3/4+1)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)[:size]
}

func (w *writer) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(rw http.ResponseWriter, _ *http.Request) {
		switch {
		case w.failing.Load():
			http.Error(rw, "writes fail", http.StatusServiceUnavailable)
		case w.next:
			http.Error(rw, "the next version is not ready", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /rows", w.rows)
	server := &http.Server{
		Addr: w.listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A Report is what /rows answers. Broken says where the chain breaks.
type Report struct {
	Writer string       `json:"writer"`
	Count  int          `json:"count"`
	Head   string       `json:"head"`
	Broken string       `json:"broken,omitempty"`
	Rows   []oracle.Row `json:"rows,omitempty"` // with ?all
}

func (w *writer) rows(rw http.ResponseWriter, r *http.Request) {
	rows, err := w.store.Rows(r.Context())
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	head, err := oracle.Verify(rows)
	report := Report{Writer: w.name, Count: len(rows), Head: head.Hash}
	if err != nil {
		report.Broken = err.Error()
	}
	if r.URL.Query().Has("all") {
		report.Rows = rows
	}
	rw.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(rw).Encode(report); err != nil {
		log.Printf("answer /rows: %v", err)
	}
}
