package route

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// An Owned route is one with the stack that declares it, or what a host has of its own.
type Owned struct {
	Owner string
	Route Route
}

// A Wanted route is to be published.
type Wanted struct {
	Owned
	Until time.Time // when it goes unless a container runs again; zero while one runs
}

// A Watch remembers since when services are without a running container. The zero value
// knows nothing yet: a service that it never saw counts as gone since the first look, so
// that what was just deployed, or what runs while Salvor starts again, is wanted.
type Watch struct {
	gone    map[service]time.Time
	serving map[Key]service
}

type service struct{ owner, name string }

// Look returns which routes are wanted now: those whose service runs, or ran within their
// grace period, and those of what is not a container. Of several that declare the same
// hostname and path one is wanted: the one that served before if it runs, else the first
// that runs. The order is that in which the keys come. It is called for complete listings of
// containers alone, since whatever is not running counts as gone.
func (w *Watch) Look(now time.Time, routes []Owned, running func(Owned) bool) []Wanted {
	next := Watch{gone: map[service]time.Time{}, serving: map[Key]service{}}
	var wanted []Wanted
	at, best := map[Key]int{}, map[Key]int{}
	for _, o := range routes {
		of, key := service{o.Owner, o.Route.Of}, o.Route.Key()
		one := Wanted{Owned: o}
		rank := 2
		if of.name != "" && !running(o) {
			since, known := w.gone[of]
			if !known {
				since = now
			}
			next.gone[of] = since
			if one.Until = since.Add(o.Route.Grace); !now.Before(one.Until) {
				continue
			}
			rank = 0
		}
		if before, known := w.serving[key]; known && before == of {
			rank++
		}
		if i, taken := at[key]; !taken {
			at[key], wanted = len(wanted), append(wanted, one)
		} else if rank > best[key] {
			wanted[i] = one
		} else {
			continue
		}
		best[key], next.serving[key] = rank, of
	}
	*w = next
	return wanted
}

// watched is what a Watch remembers of one service; the keys are those that it serves.
type watched struct {
	Owner   string    `json:"owner"`
	Service string    `json:"service"`
	Gone    time.Time `json:"gone,omitzero"`
	Serving []Key     `json:"serving,omitempty"`
}

// MarshalJSON returns what the watch remembers, for a program that starts again. The same
// memory has the same text.
func (w *Watch) MarshalJSON() ([]byte, error) {
	all := map[service]*watched{}
	of := func(s service) *watched {
		if all[s] == nil {
			all[s] = &watched{Owner: s.owner, Service: s.name}
		}
		return all[s]
	}
	for s, since := range w.gone {
		of(s).Gone = since
	}
	for key, s := range w.serving {
		of(s).Serving = append(of(s).Serving, key)
	}
	var out []watched
	for _, one := range all {
		slices.SortFunc(one.Serving, func(a, b Key) int {
			return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.Path, b.Path))
		})
		out = append(out, *one)
	}
	slices.SortFunc(out, func(a, b watched) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Service, b.Service))
	})
	return json.Marshal(out)
}

// UnmarshalJSON has the watch remember what MarshalJSON returned.
func (w *Watch) UnmarshalJSON(content []byte) error {
	var all []watched
	if err := json.Unmarshal(content, &all); err != nil {
		return err
	}
	next := Watch{gone: map[service]time.Time{}, serving: map[Key]service{}}
	for _, one := range all {
		s := service{one.Owner, one.Service}
		if !one.Gone.IsZero() {
			next.gone[s] = one.Gone
		}
		for _, key := range one.Serving {
			next.serving[key] = s
		}
	}
	*w = next
	return nil
}
