package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fit"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/terminal"
)

// Where says on which other hosts the stacks of a lost one fit, and which of them takes over
// what.
type Where struct {
	Schema int                 `json:"schema"`
	Lost   string              `json:"lost"`
	Stacks []StackFit          `json:"stacks,omitempty"` // none where a recovery that was interrupted is to be finished
	Silent []string            `json:"silent,omitempty"` // hosts that could not be asked, and why
	To     map[string][]string `json:"to,omitempty"`     // by host, the stacks that it takes over, sorted
	Left   []string            `json:"left,omitempty"`   // stacks that fit nowhere next to the others
}

// StackFit is one stack with what keeps it from each host.
type StackFit struct {
	Stack string    `json:"stack"`
	Bytes int64     `json:"bytes,omitempty"` // of its newest snapshot, where that is known
	Hosts []HostFit `json:"hosts"`
}

// HostFit is one host for a stack.
type HostFit struct {
	Host string   `json:"host"`
	Fits bool     `json:"fits"`
	Why  []string `json:"why,omitempty"` // it does not fit, or what else there is to know
}

// Look asks every other host whether the stacks of a lost one that o chooses fit there.
// Nothing is changed.
func Look(ctx context.Context, f Fleet, o Options, sink progress.Sink) (Where, error) {
	w, r := Where{Schema: fleet.Schema, Lost: o.Lost}, &recovery{Options: o, fleet: f}
	if _, err := placement.Host(f.Fleet(), o.Lost); err != nil {
		return w, err
	}
	lock, s, err := f.Lock(), (*deploy.Session)(nil), r.chooses()
	if err == nil {
		s, err = f.Session(ctx, sink)
	}
	if err != nil {
		return w, err
	}
	if len(r.chosen()) == 0 {
		if err := w.unfinished(ctx, s); err != nil || len(w.To) > 0 {
			return w, err
		}
		return w, r.nothing()
	}
	under := map[string]fleet.Lock{}
	for _, h := range s.Fleet.Hosts {
		if h.Name != o.Lost {
			under[h.Name], _ = placement.Recover(lock, placement.Takeover{Lost: o.Lost, To: h.Name, Stacks: r.chosen()})
		}
	}
	if len(under) == 0 {
		return w, fault.WithCode(fault.WithHint(errors.New("recover needs the new host"), "salvor recover "+o.Lost+" --to NAME=ADDRESS"), fault.Usage)
	}
	seen := deploy.ObserveUnder(ctx, s, under)
	if w.silent(seen); len(w.Silent) == len(under) {
		return w, fault.WithHint(fmt.Errorf("no other host answers: %s", strings.Join(w.Silent, "; ")), "salvor recover "+o.Lost+" --to NAME=ADDRESS")
	}
	w.fill(r.chosen(), deploy.Placings(ctx, s, under, seen))
	return w, nil
}

// unfinished finds the hosts of a recovery that was interrupted before they had claimed what
// was placed on them.
func (w *Where) unfinished(ctx context.Context, s *deploy.Session) error {
	open, err := s.Unclaimed(ctx)
	owners := map[string]deploy.Owner{}
	if err == nil && len(open) > 0 {
		owners, err = s.Record.Owners(ctx, open)
	}
	if err != nil {
		return err
	}
	for _, name := range open {
		if owners[name].Host != w.Lost {
			continue
		}
		if w.To == nil {
			w.To = map[string][]string{}
		}
		host := s.Lock.Stacks[name].Host
		w.To[host] = append(w.To[host], name)
	}
	return nil
}

// PrepareSpread is Prepare for all that a look proposes: each stack on the host where it
// fits, in one commit. It refuses stacks that fit nowhere.
func PrepareSpread(ctx context.Context, f Fleet, o Options, w Where) (proposal.Proposal[deploy.Receipt], error) {
	r := &recovery{Options: o, fleet: f}
	if err := w.refusal(o); err != nil {
		return proposal.Proposal[deploy.Receipt]{}, err
	}
	for _, host := range slices.Sorted(maps.Keys(w.To)) {
		r.parts = append(r.parts, part{host: fleet.Host{Name: host}, stacks: w.To[host]})
	}
	return r.prepare(ctx)
}

// refusal is the error of stacks that fit nowhere; nil without any.
func (w *Where) refusal(o Options) error {
	if len(w.Left) == 0 {
		return nil
	}
	err := fmt.Errorf("no host takes %s", strings.Join(w.Left, ", "))
	hint := fmt.Sprintf("salvor recover %s --to NAME=ADDRESS: a new host takes any of them", w.Lost)
	if len(w.To) > 0 {
		err = fmt.Errorf("%w next to the others", err)
		hint = fmt.Sprintf("salvor recover %s --without %s continues with the rest; %s", w.Lost, strings.Join(slices.Concat(o.Without, w.Left), ","), hint)
	}
	return fault.WithHint(err, hint)
}

func (w *Where) silent(seen map[string]deploy.Observation) {
	for _, host := range slices.Sorted(maps.Keys(seen)) {
		if err := seen[host].Err; err != nil {
			w.Silent = append(w.Silent, fmt.Sprintf("%s: %s", host, strings.TrimPrefix(err.Error(), host+": ")))
		}
	}
}

// fill says where each stack fits, and what goes where.
func (w *Where) fill(names []string, placings map[string]fit.Placing) {
	var hosts []fit.Placing
	stacks := map[string]fit.Stack{}
	for _, host := range slices.Sorted(maps.Keys(placings)) {
		p := placings[host]
		var others []fit.Stack // that come there anyway
		for _, st := range p.Comes {
			if !slices.Contains(names, st.Name) {
				others = append(others, st)
				continue
			}
			st.Bytes = max(st.Bytes, stacks[st.Name].Bytes)
			stacks[st.Name] = st
		}
		p.Stays, p.Comes = slices.Concat(p.Stays, others), nil
		hosts = append(hosts, p)
	}
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		w.Stacks = append(w.Stacks, on(hosts, stacks[name]))
	}
	spread := fit.Share(hosts, slices.Collect(maps.Values(stacks)))
	w.To, w.Left = spread.To, spread.Left
}

// on says what keeps one stack from each host, were it to come alone.
func on(hosts []fit.Placing, st fit.Stack) StackFit {
	one := StackFit{Stack: st.Name, Bytes: st.Bytes}
	for _, p := range hosts {
		p.Comes = []fit.Stack{st}
		misfits := p.Misfits()
		h := HostFit{Host: p.Host, Fits: !fit.Refused(misfits)}
		for _, m := range misfits {
			h.Why = append(h.Why, m.Text)
		}
		if p.Report == nil {
			h.Why = []string{"it does not report what it has, so nothing is known against it"}
		}
		one.Hosts = append(one.Hosts, h)
	}
	return one
}

// Render lays it out as a person reads it; tests compare this text.
func (w *Where) Render(page *terminal.Page) {
	hosts := slices.Sorted(maps.Keys(w.To))
	if len(w.Stacks) == 0 {
		page.Printf("The recovery of %s was interrupted: it continues on %s.\n", terminal.Paint(terminal.Strong, w.Lost), strings.Join(hosts, ", "))
		return
	}
	page.Printf("Where the stacks of %s fit\n\n", terminal.Paint(terminal.Strong, w.Lost))
	var rows []terminal.Row
	for _, st := range w.Stacks {
		rows = append(rows, st.rows()...)
	}
	page.Table("  ", rows...)
	for _, silent := range w.Silent {
		page.Printf("\nNot asked: %s\n", terminal.Text(silent))
	}
	if len(hosts) == 0 {
		return
	}
	page.Printf("\nWho takes over what\n\n")
	rows = nil
	for _, host := range hosts {
		rows = append(rows, terminal.Row{terminal.Paint(terminal.Strong, host), strings.Join(w.To[host], ", ")})
	}
	page.Table("  ", rows...)
	page.Printf("\n")
}

// rows are a line for each host, and one for each further reason.
func (s StackFit) rows() []terminal.Row {
	var rows []terminal.Row
	name := terminal.Paint(terminal.Strong, s.Stack)
	for _, h := range s.Hosts {
		verdict := terminal.Paint(terminal.Good, "fits")
		if !h.Fits {
			verdict = terminal.Paint(terminal.Bad, "does not fit")
		}
		row := terminal.Row{name, h.Host, verdict}
		for _, why := range h.Why {
			rows, row = append(rows, append(row, why)), terminal.Row{"", "", ""}
		}
		if len(h.Why) == 0 {
			rows = append(rows, row)
		}
		name = terminal.Painted{}
	}
	return rows
}
