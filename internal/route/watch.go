package route

import "time"

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
