package controlrepo

import (
	"regexp"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

// fromShape is `ssh: {from: […]}`.
func fromShape() yamldoc.Shape[[]fleet.Source] {
	return yamldoc.Object(
		yamldoc.Key("from", "Addresses and networks that may use SSH where Salvor takes care of the firewall, and the word tailnet. "+
			"From the tailnet SSH is always possible; tailnet alone closes it to all others. Default: from everywhere.",
			listOf(yamldoc.Text(nil), fleet.ParseSource), func(all *[]fleet.Source, v []fleet.Source) { *all = v }).Must(),
	)
}

var openPortPattern = regexp.MustCompile(`^[0-9]+(-[0-9]+)?(/(tcp|udp))?$`)

// openShape is `open:` of a host: 80, "443/tcp", "6000-6010/udp".
func openShape() yamldoc.Shape[[]fleet.OpenPort] {
	port := yamldoc.Plain()
	port.Schema.Pattern = openPortPattern.String()
	return listOf(port, fleet.ParseOpenPort)
}

// listOf is a list whose items are read by parse. One item at least is needed.
func listOf[T any](item yamldoc.Shape[string], parse func(string) (T, error)) yamldoc.Shape[[]T] {
	list := yamldoc.List(item)
	return yamldoc.Shape[[]T]{Schema: list.Schema, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) []T {
		if yamldoc.IsNull(n) || yamldoc.IsList(n) && len(yamldoc.Items(n)) == 0 {
			r.Fail(n, "%s has no item: leave the key out", at)
			return nil
		}
		before := r.Count()
		texts := list.Decode(r, n, at)
		if r.Count() > before {
			return nil
		}
		var all []T
		for i, text := range texts {
			one, err := parse(text)
			if err != nil {
				r.Fail(yamldoc.Items(n)[i], "%s: %v", at, err)
				continue
			}
			all = append(all, one)
		}
		return all
	}}
}

// checkOutside reports what a host says for a firewall that is not Salvor's.
func checkOutside(r *yamldoc.Reader, h fleet.Host) {
	if h.Manage.Has(fleet.AreaFirewall) {
		return
	}
	for key, has := range map[string]bool{"ssh": len(h.SSHFrom) > 0, "open": len(h.Open) > 0} {
		if has {
			r.Advise(r.Places.Of("hosts", h.Name, key), "add firewall to manage: of "+h.Name, "%s says what reaches it from outside, but its firewall is not Salvor's", h.Name)
		}
	}
}
