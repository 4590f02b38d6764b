package edge

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// A Probe asks for a URL all the time.
type Probe struct {
	Client *http.Client
	URL    string
	Header http.Header   // the visitor's identity; nil for none
	Every  time.Duration // pause between requests; 0: 50 ms
}

const usualPause = 50 * time.Millisecond

// A Result is what a probe has seen. A success is a status from 200 to 299.
type Result struct {
	Asked, Succeeded, Failed int
	First                    time.Duration // from the start to the first success
	Longest                  time.Duration // time without a success, after the first
	Statuses                 map[int]int   // how often each came, 0 for no answer
	LastFailure              string
}

// String says it in a line.
func (r Result) String() string {
	return fmt.Sprintf("%d asked, %d succeeded, first after %s, longest gap %s, statuses %v", r.Asked, r.Succeeded,
		r.First.Round(time.Millisecond), r.Longest.Round(time.Millisecond), r.Statuses)
}

// A Watch is a probe that was started.
type Watch struct {
	probe  Probe
	cancel context.CancelFunc
	done   chan struct{}
	first  chan struct{} // closed with the first success

	mu     sync.Mutex // guards what follows
	began  time.Time
	last   time.Time // success
	result Result
}

// Start begins to ask, until Stop or the end of ctx.
func (p Probe) Start(ctx context.Context) *Watch {
	if p.Every == 0 {
		p.Every = usualPause
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{probe: p, cancel: cancel, done: make(chan struct{}), first: make(chan struct{}), began: time.Now(), result: Result{Statuses: map[int]int{}}}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			asked := time.Now()
			status, why := w.ask(ctx)
			if ctx.Err() != nil {
				return
			}
			w.note(status, why)
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(asked.Add(p.Every))):
			}
		}
	}()
	return w
}

func (w *Watch) ask(ctx context.Context) (status int, why string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.probe.URL, nil)
	if err != nil {
		return 0, err.Error()
	}
	for name, values := range w.probe.Header {
		r.Header[name] = values
	}
	resp, err := w.probe.Client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 200))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, fmt.Sprintf("%s: %s", resp.Status, said)
}

func (w *Watch) note(status int, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &w.result
	r.Asked++
	r.Statuses[status]++
	now := time.Now()
	if status < 200 || status > 299 {
		r.Failed++
		r.LastFailure = why
		return
	}
	if r.Succeeded++; r.Succeeded == 1 {
		r.First = now.Sub(w.began)
		close(w.first)
	} else {
		r.Longest = max(r.Longest, now.Sub(w.last))
	}
	w.last = now
}

// Succeeded is closed with the first success.
func (w *Watch) Succeeded() <-chan struct{} { return w.first }

// SoFar returns what was seen up to now.
func (w *Watch) SoFar() Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.result
	r.Statuses = maps.Clone(r.Statuses)
	if r.Succeeded > 0 {
		r.Longest = max(r.Longest, time.Since(w.last))
	}
	return r
}

// Stop ends it and returns what was seen. A gap that lasts at the end counts.
func (w *Watch) Stop() Result {
	w.cancel()
	<-w.done
	return w.SoFar()
}
