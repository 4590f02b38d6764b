package oracle

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An Ack says that a writer's store has acknowledged a row.
type Ack struct {
	Writer string    `json:"writer"`
	N      int       `json:"n"`
	Hash   string    `json:"hash"`
	At     time.Time `json:"-"` // by the collector's clock, when it arrived
	From   string    `json:"-"` // address it came from: the host's, as Docker hides the container's
}

// A Collector receives acknowledgements: POST one as JSON to any path. It is
// safe for concurrent use; the zero value is ready.
type Collector struct {
	mu   sync.Mutex
	acks []Ack
}

// maxAck bounds a report's size.
const maxAck = 4 << 10

// ServeHTTP takes one acknowledgement.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ack Ack
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAck)).Decode(&ack); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ack.From, _, _ = net.SplitHostPort(r.RemoteAddr)
	c.Add(ack)
}

// Add records an acknowledgement as arriving now.
func (c *Collector) Add(ack Ack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ack.At = time.Now()
	c.acks = append(c.acks, ack)
}

// Acks returns a writer's acknowledgements in the order they arrived.
func (c *Collector) Acks(writer string) []Ack {
	c.mu.Lock()
	defer c.mu.Unlock()
	var own []Ack
	for _, ack := range c.acks {
		if ack.Writer == writer {
			own = append(own, ack)
		}
	}
	return own
}

// Only returns a collector of the acknowledgements that count.
func (c *Collector) Only(counts func(Ack) bool) *Collector {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Collector{acks: slices.DeleteFunc(slices.Clone(c.acks), func(a Ack) bool { return !counts(a) })}
}

// Lost is how many of a writer's acknowledged rows are not among the rows, or
// not as they were acknowledged.
func (c *Collector) Lost(writer string, rows []Row) int {
	lost := 0
	for _, ack := range c.Acks(writer) {
		if ack.N > len(rows) || rows[ack.N-1].Hash != ack.Hash {
			lost++
		}
	}
	return lost
}

// Together is in how many seconds a writer's rows were acknowledged from more
// than one host. A stack that changes hosts is silent for longer than that.
func (c *Collector) Together(writer string) int {
	hosts := map[int64]map[string]bool{}
	for _, ack := range c.Acks(writer) {
		at := ack.At.Unix()
		if hosts[at] == nil {
			hosts[at] = map[string]bool{}
		}
		hosts[at][ack.From] = true
	}
	seconds := 0
	for _, from := range hosts {
		if len(from) > 1 {
			seconds++
		}
	}
	return seconds
}

// Check says why what came back of a writer is not good, or nil: rows must be an
// unbroken chain from row 1 that holds, unchanged, every row acknowledged before
// the given time (when the snapshot began).
func (c *Collector) Check(writer string, rows []Row, before time.Time) error {
	head, err := Verify(rows)
	if err != nil {
		return fmt.Errorf("%s: %w", writer, err)
	}
	for _, ack := range c.Acks(writer) {
		switch {
		case !ack.At.Before(before):
			return nil
		case ack.N > head.N:
			return fmt.Errorf("%s: row %d was acknowledged at %s and is lost; the last one is %d", writer, ack.N, ack.At.UTC().Format(time.RFC3339Nano), head.N)
		case rows[ack.N-1].Hash != ack.Hash:
			return fmt.Errorf("%s: row %d is not the one that was acknowledged", writer, ack.N)
		}
	}
	return nil
}

// Forks returns the numbers that were acknowledged with different hashes: after
// a recovery from an older snapshot the numbers written twice, and at any other
// time proof of two writers at once.
func (c *Collector) Forks(writer string) []int {
	first := map[int]string{}
	var forks []int
	for _, ack := range c.Acks(writer) {
		if hash, ok := first[ack.N]; ok && hash != ack.Hash {
			forks = append(forks, ack.N)
		}
		first[ack.N] = ack.Hash
	}
	slices.Sort(forks)
	return slices.Compact(forks)
}

// LongestGap is the longest time between two acknowledgements of a writer that
// arrived after the given time: its write downtime.
func (c *Collector) LongestGap(writer string, after time.Time) time.Duration {
	var longest time.Duration
	var last time.Time
	for _, ack := range c.Acks(writer) {
		if ack.At.Before(after) {
			continue
		}
		if !last.IsZero() {
			longest = max(longest, ack.At.Sub(last))
		}
		last = ack.At
	}
	return longest
}
