package publishing

import (
	"cmp"
	"context"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/publish"
	"salvor/internal/record"
	"salvor/internal/route"
)

// A want is what the host wants of Cloudflare now.
type want struct {
	publish.Desired
	declared []declared
	lost     []string  // owners that published from here, and are another host's now
	until    time.Time // when the next route goes unless a container runs; zero for never
}

// A declared route is one that the host's spec has.
type declared struct {
	route.Owned
	why   string    // it is not wanted; "" for one that is
	until time.Time // as route.Wanted has it
}

// A service is one of a Compose project, as its containers are labelled.
type service struct{ project, name string }

// services returns those that have a container.
func services(all []docker.Listed) map[service]bool {
	running := map[service]bool{}
	for _, c := range all {
		if c.Running && !c.OneOff && c.Service != "" {
			running[service{c.Project, c.Service}] = true
		}
	}
	return running
}

// want says what is wanted, by the newest complete listing of containers. fresh has it look
// now whose the stacks are.
func (d *Daemon) want(ctx context.Context, spec agentapi.Host, note *published, fresh bool) want {
	w := want{Desired: publish.Desired{Fleet: spec.Fleet, Owners: map[string]int{}}}
	deploying, verdicts, projects := d.deploying(), d.verdicts(ctx, spec, fresh), map[string]string{}
	for _, st := range spec.Stacks {
		projects[st.Name] = st.Project.Called(st.Name)
		why := d.notOurs(st, verdicts[st.Name], deploying[st.Name])
		if why == "" {
			w.Owners[st.Name] = st.Epoch
		} else if v := verdicts[st.Name]; v.State == record.Lost && !v.Ended {
			w.lost = append(w.lost, st.Name)
		}
		if st.Stopped {
			why = cmp.Or(why, "the stack is stopped")
		}
		if spec.Ingress != nil {
			w.declare(st.Name, st.Project.Routes, why)
		}
	}
	if spec.Own != nil && spec.Ingress != nil {
		why := mayNot(*spec.Own, d.guard.Own(ctx, spec, *spec.Own, fresh))
		if why == "" {
			w.Owners[spec.Own.Name], w.Former = spec.Own.Epoch, spec.Ingress.Former
		}
		w.declare(spec.Own.Name, spec.Ingress.Routes, why)
	}
	d.former(ctx, spec, note, &w)
	w.choose(d.watch, time.Now(), func(o route.Owned) bool {
		return deploying[o.Owner] || d.running[service{projects[o.Owner], o.Route.Of}]
	})
	return w
}

// verdicts says whose the stacks are: by a look that begins now, or by one not older than the
// lease allows.
func (d *Daemon) verdicts(ctx context.Context, spec agentapi.Host, fresh bool) map[string]record.Verdict {
	if fresh {
		return d.guard.Verdicts(ctx, spec)
	}
	all := map[string]record.Verdict{}
	for _, st := range spec.Stacks {
		all[st.Name] = d.guard.Recent(ctx, d.h.At(spec, st))
	}
	return all
}

// notOurs says why the routes of a stack are not this host's to change, "" where they are: it
// may, and the stack was deployed here, or is now. What is only placed here may be published
// by the host that it comes from.
func (d *Daemon) notOurs(st agentapi.Stack, v record.Verdict, deploying bool) string {
	local := d.h.Local(st.Name)
	switch why := mayNot(st, v); {
	case why != "":
		return why
	case deploying || st.Stopped:
		return ""
	case local.ReleasedAt(st.Epoch):
		return "it was handed over for a move"
	case local.Epoch != st.Epoch || local.Lost:
		return "it is not deployed here yet"
	}
	return ""
}

// mayNot says why this host may not change what is outside it for a stack.
func mayNot(st agentapi.Stack, v record.Verdict) string {
	switch {
	case !v.MayChange:
		return cmp.Or(v.Reason, "it is not known whether the stack is this host's")
	case v.Epoch != st.Epoch:
		return "it was placed again after the newest apply"
	}
	return ""
}

// declare adds an owner's routes. why says that none of them is wanted.
func (w *want) declare(owner string, routes []route.Route, why string) {
	for _, r := range routes {
		w.declared = append(w.declared, declared{Owned: route.Owned{Owner: owner, Route: r}, why: why})
	}
}

// choose finds the routes that are wanted at a time.
func (w *want) choose(watch *route.Watch, now time.Time, running func(route.Owned) bool) {
	type identity struct {
		service
		route.Key
	}
	of := func(o route.Owned) identity { return identity{service{o.Owner, o.Route.Of}, o.Route.Key()} }
	var open []route.Owned
	for _, one := range w.declared {
		if one.why == "" {
			open = append(open, one.Owned)
		}
	}
	wanted, taken := map[identity]route.Wanted{}, map[route.Key]bool{}
	for _, one := range watch.Look(now, open, running) {
		wanted[of(one.Owned)], taken[one.Route.Key()] = one, true
		w.Routes = append(w.Routes, one.Owned)
		if !one.Until.IsZero() && (w.until.IsZero() || one.Until.Before(w.until)) {
			w.until = one.Until
		}
	}
	for i, one := range w.declared {
		found, is := wanted[of(one.Owned)]
		switch {
		case one.why != "":
		case is:
			w.declared[i].until = found.Until
		case taken[one.Route.Key()]:
			w.declared[i].why = "another service that declares it has a container"
		default:
			w.declared[i].why = "no container of service " + one.Route.Of + " runs"
		}
	}
}
