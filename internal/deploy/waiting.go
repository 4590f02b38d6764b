package deploy

import (
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/progress"
)

// sayAfter is how long hosts may take before it is said which are waited for.
const sayAfter = 2 * time.Second

// askEach asks hosts at once, each by its index. It says which it waits for.
func askEach(sink progress.Sink, hosts []string, ask func(i int)) {
	w := &waiting{left: slices.Clone(hosts)}
	timer := time.AfterFunc(sayAfter, func() { w.say(sink) })
	defer timer.Stop()
	var all sync.WaitGroup
	for i, host := range hosts {
		all.Go(func() {
			ask(i)
			w.answered(host)
		})
	}
	all.Wait()
}

// waiting has the hosts that have not answered yet.
type waiting struct {
	mu   sync.Mutex
	left []string
}

func (w *waiting) answered(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = slices.DeleteFunc(w.left, func(name string) bool { return name == host })
}

func (w *waiting) say(sink progress.Sink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.left) > 0 {
		progress.Scope{Sink: sink}.Note("waiting for " + strings.Join(w.left, ", ") + "…")
	}
}
