package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/secret"
)

// An Event is one time that secrets were decrypted somewhere.
type Event struct {
	At      time.Time `json:"at"`
	Who     string    `json:"who"`  // "ann (ann@laptop)", or the host
	What    string    `json:"what"` // the command, or "delivered to blog: web, db"
	Secrets []string  `json:"secrets"`
}

// A Report is what the journals say.
type Report struct {
	Events []Event  `json:"events"`           // oldest first
	Silent []string `json:"silent,omitempty"` // hosts that could not be asked, each with its reason
	Shut   int      `json:"shut,omitempty"`   // entries of the operators' journal that the present identity does not open

	Findings []finding.Finding `json:"findings,omitempty"` // files among the journal that do not count
}

// Report returns who decrypted what with a salvor command, by the operators'
// journal, and what was delivered to hosts, by each host's own. name is a secret
// as in SetSecret, "" for all. What sops or age opened by themselves is in no
// journal. The operators' journal is encrypted to them, so an identity is needed.
func (j *Journals) Report(ctx context.Context, name string, since time.Time) (Report, error) {
	audit := Report{Events: []Event{}}
	if j.checkout.Fleet.Record.Remote != "" {
		if err := j.operatorsJournal(ctx, since, &audit); err != nil {
			return audit, err
		}
	}
	j.deliveries(ctx, since, &audit)
	audit.Events = slices.DeleteFunc(audit.Events, func(e Event) bool { return name != "" && !concerns(e.Secrets, name) })
	slices.SortStableFunc(audit.Events, func(a, b Event) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Who, b.Who)) })
	slices.Sort(audit.Silent)
	return audit, nil
}

func (j *Journals) operatorsJournal(ctx context.Context, since time.Time, audit *Report) error {
	trusted, err := j.confirmed.Trusted()
	if err != nil {
		return err
	}
	return j.record.With(ctx, func(rec *record.Record) error {
		entries, unread, err := rec.Entries(ctx, since, trusted, j.identity.Ring)
		for _, e := range entries {
			audit.Events = append(audit.Events, Event{At: e.At, Who: e.Operator, What: e.Command, Secrets: e.Opened})
		}
		for _, u := range unread {
			if errors.Is(u.Err, secret.ErrLocked) {
				audit.Shut++
				continue
			}
			audit.Findings = append(audit.Findings, u.Finding(finding.JournalUntrusted))
		}
		return err
	})
}

// concerns reports whether a secret is among those named. A stack's variables are
// decrypted together, as the file they are in.
func concerns(names []string, name string) bool {
	stack, _, isEnv := strings.Cut(name, "/")
	return slices.Contains(names, name) || isEnv && slices.Contains(names, stack+".env")
}

func (j *Journals) deliveries(ctx context.Context, since time.Time, audit *Report) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, h := range j.checkout.Fleet.Hosts {
		all.Go(func() {
			list, err := j.deliveriesOf(ctx, h, since)
			mu.Lock()
			defer mu.Unlock()
			for _, f := range list.Findings {
				audit.Silent = append(audit.Silent, f.String())
			}
			if err != nil {
				audit.Silent = append(audit.Silent, err.Error())
			}
			for _, d := range list.Deliveries {
				what := "delivered to " + d.Stack
				if len(d.Services) > 0 {
					what += ": " + strings.Join(d.Services, ", ")
				}
				audit.Events = append(audit.Events, Event{At: d.At, Who: h.Name, What: what, Secrets: d.Secrets})
			}
		})
	}
	all.Wait()
}

func (j *Journals) deliveriesOf(ctx context.Context, h fleet.Host, since time.Time) (list agentapi.DeliveryList, err error) {
	link, err := j.reach.Dial(ctx, h)
	if err != nil {
		return list, err // names the host
	}
	if err := link.Call(ctx, agentapi.VerbDeliveries, agentapi.Deliveries{Since: since}, &list); err != nil {
		return list, fmt.Errorf("%s: %w", h.Name, err)
	}
	return list, nil
}
