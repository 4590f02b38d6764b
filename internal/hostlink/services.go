package hostlink

import (
	"maps"
	"slices"
	"time"

	"salvor/internal/agentapi"
)

// services keeps the stacks that were asked for.
func (a *answer) services(r *agentapi.ServiceList) {
	r.Stacks = slices.DeleteFunc(r.Stacks, func(s agentapi.StackServices) bool {
		_, asked := a.asked[s.Name]
		if !asked {
			a.refuse("the services of stack %s", s.Name)
		}
		return !asked
	})
	for i := range r.Stacks {
		s := &r.Stacks[i]
		s.Services, s.Failed = a.rows(s.Services), a.failed(s.Failed)
	}
}

// newest keeps what was asked for, as far as it can be.
func (a *answer) newest(r *agentapi.Newest) {
	maps.DeleteFunc(r.Stacks, func(name string, p agentapi.ProvenSnapshot) bool {
		st, asked := a.asked[name]
		odd := !asked || !snapshotID.MatchString(p.ID) || p.Epoch < 0 || p.Epoch > st.Epoch || p.Seq < 0 || a.late(p.At)
		if odd {
			a.refuse("the newest snapshot of stack %s, at epoch %d", name, p.Epoch)
		}
		return odd
	})
}

// times drops what is said of times that can't be.
func (a *answer) times(s *agentapi.StackState) {
	s.Services, s.Failed = a.rows(s.Services), a.failed(s.Failed)
	if sc := s.Schedule; sc != nil && (sc.Every < 0 || !sc.Next.IsZero() && a.late(sc.Next.Add(-sc.Every))) {
		a.refuse("the next snapshot of stack %s", s.Name)
		s.Schedule = nil
	}
}

func (a *answer) failed(f *agentapi.FailedDeploy) *agentapi.FailedDeploy {
	if f == nil || !a.late(f.At) {
		return f
	}
	a.refuse("a deploy that failed at %s", f.At.Format(time.RFC3339))
	return nil
}

// rows are services without times that can't be.
func (a *answer) rows(all []agentapi.ServiceRow) []agentapi.ServiceRow {
	for i, row := range all {
		if a.late(row.Since) {
			a.refuse("service %s is so since %s", row.Name, row.Since.Format(time.RFC3339))
			all[i].Since = time.Time{}
		}
	}
	return all
}
