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
	"salvor/internal/terminal"
)

// Where says on which other hosts the stacks of a lost one fit, and proposes commands that
// recover them.
type Where struct {
	Schema   int        `json:"schema"`
	Lost     string     `json:"lost"`
	Stacks   []StackFit `json:"stacks"`
	Silent   []string   `json:"silent,omitempty"` // hosts that could not be asked, and why
	Commands []string   `json:"commands,omitempty"`
	Left     []string   `json:"left,omitempty"` // stacks that fit nowhere next to the others
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

// Look asks every other host whether the stacks of a lost one fit there. Nothing is changed.
func Look(ctx context.Context, f Fleet, lost string, sink progress.Sink) (Where, error) {
	w := Where{Schema: fleet.Schema, Lost: lost}
	if _, declared := f.Fleet().Host(lost); !declared {
		return w, fault.WithHint(fmt.Errorf("host %s is not declared", lost), "salvor host ls")
	}
	lock := f.Lock()
	names := lock.On(lost)
	if len(names) == 0 {
		return w, fault.WithHint(fmt.Errorf("nothing is placed on %s", lost), "salvor host ls")
	}
	s, err := f.Session(ctx, sink)
	if err != nil {
		return w, err
	}
	under := map[string]fleet.Lock{}
	for _, h := range s.Fleet.Hosts {
		if h.Name != lost {
			under[h.Name], _ = placement.Recover(lock, placement.Takeover{Lost: lost, To: h.Name})
		}
	}
	if len(under) == 0 {
		return w, fault.WithCode(fault.WithHint(errors.New("recover needs the new host"), "salvor recover "+lost+" --to NAME=ADDRESS"), fault.Usage)
	}
	seen := deploy.ObserveUnder(ctx, s, under)
	w.silent(seen)
	w.fill(names, deploy.Placings(ctx, s, under, seen))
	return w, nil
}

func (w *Where) silent(seen map[string]deploy.Observation) {
	for _, host := range slices.Sorted(maps.Keys(seen)) {
		if err := seen[host].Err; err != nil {
			w.Silent = append(w.Silent, fmt.Sprintf("%s: %s", host, strings.TrimPrefix(err.Error(), host+": ")))
		}
	}
}

// fill says where each stack fits, and proposes what goes where.
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
	w.propose(fit.Share(hosts, slices.Collect(maps.Values(stacks))))
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

// propose turns what goes where into commands.
func (w *Where) propose(to fit.Spread) {
	w.Left = to.Left
	for _, host := range slices.Sorted(maps.Keys(to.To)) {
		command := fmt.Sprintf("salvor recover %s --to %s", w.Lost, host)
		switch {
		case len(to.To) > 1:
			command += " --only " + strings.Join(to.To[host], ",")
		case len(w.Left) > 0:
			command += " --without " + strings.Join(w.Left, ",")
		}
		w.Commands = append(w.Commands, command)
	}
}

// Render lays it out as a person reads it; tests compare this text.
func (w *Where) Render(page *terminal.Page) {
	page.Printf("Where the stacks of %s fit\n\n", terminal.Paint(terminal.Strong, w.Lost))
	var rows []terminal.Row
	for _, st := range w.Stacks {
		rows = append(rows, st.rows()...)
	}
	page.Table("  ", rows...)
	for _, silent := range w.Silent {
		page.Printf("\nNot asked: %s\n", terminal.Text(silent))
	}
	if len(w.Left) > 0 {
		page.Printf("\nNo host takes %s next to the others.\n", strings.Join(w.Left, ", "))
	}
	if len(w.Commands) > 0 {
		page.Printf("\nNothing was done. To recover them:\n")
		for _, command := range w.Commands {
			page.Printf("  %s\n", command)
		}
	}
	if len(w.Left)+len(w.Silent) > 0 || len(w.Commands) == 0 {
		page.Printf("\nA new host takes any of them: salvor recover %s --to NAME=ADDRESS\n", w.Lost)
	}
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
