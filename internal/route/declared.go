package route

import (
	"errors"
	"slices"
	"strings"

	"salvor/internal/finding"
)

// A Declared route is one of x-salvor.routes or of ingress.routes.
type Declared struct {
	Hostname string
	Path     string
	Service  string // an address, as labels have it
	Zone     string
	Access   []string // access groups; none for everyone
	Origin   Origin
	Of       string // the service of the stack whose containers it leads to, "" for what is not a container
	Position string
	Refused  string // why it can't be published, "" for nothing known
}

// Declare returns the routes of declarations. Two with one hostname and path: the first
// counts.
func (s Settings) Declare(all []Declared) (out Reading) {
	taken := map[Key]bool{}
	for _, d := range all {
		one, err := s.declare(d)
		if err == nil && taken[one.Key()] {
			err = errors.New("it is declared twice")
		}
		if err != nil {
			one.Closed = strings.ReplaceAll(err.Error(), "\n", "; ")
			out.Findings = append(out.Findings, closed(d.Position, d.Hostname+d.Path, one.Closed))
			if len(d.Access) == 0 || one.Hostname == "" || taken[one.Key()] {
				continue
			}
		}
		taken[one.Key()] = true
		out.Routes = append(out.Routes, one)
	}
	out.Findings = slices.Concat(out.Findings, loosePaths(out.Routes), looseNames(out.Routes), outside(out.Routes), toItself(out.Routes))
	return out
}

func (s Settings) declare(d Declared) (one Route, err error) {
	one = Route{Origin: d.Origin, Zone: zoneName(d.Zone), Of: d.Of, Position: d.Position}
	if d.Of != "" {
		one.Grace = s.Grace
	}
	var errs [5]error
	one.Hostname, errs[0] = Hostname(d.Hostname)
	one.Path, errs[1] = Path(d.Path)
	if d.Refused != "" {
		errs[2] = errors.New(d.Refused)
	} else {
		one.Service, errs[2] = Service(d.Service)
	}
	if len(d.Access) > 0 {
		if one.Access, errs[3] = s.Groups.access(d.Access); errs[3] == nil {
			errs[4] = protectable(one.Access, one.Path)
		}
	}
	if err = errors.Join(errs[:]...); err != nil {
		one.Access = nil
	}
	return one, err
}

// A Claim is the routes of one owner, for Contested.
type Claim struct {
	Owner  string
	Routes []Route
}

// Contested sets the claimants of each route whose hostname another owner declares, too, and
// returns a finding for each but the first of them. The owners come in the order in which
// they get a hostname that no one has.
func Contested(claims []Claim) (found []finding.Finding) {
	owners, first := map[string][]string{}, map[string]Route{}
	for _, c := range claims {
		for _, r := range c.Routes {
			if known := owners[r.Hostname]; len(known) == 0 {
				first[r.Hostname] = r
			} else if known[len(known)-1] == c.Owner {
				continue
			}
			owners[r.Hostname] = append(owners[r.Hostname], c.Owner)
		}
	}
	for _, c := range claims {
		told := map[string]bool{}
		for i, r := range c.Routes {
			all := owners[r.Hostname]
			if len(all) < 2 {
				continue
			}
			c.Routes[i].Claimants = all
			if all[0] != c.Owner && !told[r.Hostname] {
				told[r.Hostname] = true
				found = append(found, finding.Finding{Code: finding.RouteTaken, Severity: finding.Warning, Subject: r.Position,
					Text: r.Hostname + " is declared by " + all[0] + ", too (" + first[r.Hostname].Position + "): the one that has it keeps it, else " + all[0] + " gets it",
					Fix:  "use another hostname, or remove one of the two"})
			}
		}
	}
	return found
}

// Loses reports whether, as far as declarations say, another owner has the hostname.
func (r Route) Loses(owner string) bool { return len(r.Claimants) > 0 && r.Claimants[0] != owner }

// Twice returns a finding for each route of one owner whose hostname and path another
// service of it declares, too. Containers of one service are replicas and declare it once.
func Twice(routes []Route) (found []finding.Finding) {
	first := map[Key]Route{}
	for _, r := range routes {
		before, taken := first[r.Key()]
		if !taken {
			first[r.Key()] = r
		} else if before.Of != r.Of {
			found = append(found, finding.Finding{Code: finding.RouteTaken, Severity: finding.Warning, Subject: r.Position,
				Text: r.Key().String() + " is declared by " + before.Of + ", too (" + before.Position + "): " + r.Of + " gets requests only while " + before.Of + " has no container",
				Fix:  "use another hostname or path, or remove one of the two"})
		}
	}
	return found
}
