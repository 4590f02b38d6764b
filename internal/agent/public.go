package agent

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// carrierGrade is shared address space (RFC 6598), which Tailscale has its addresses from, too.
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// isPublic reports whether an address can be reached from the internet, unless something between forbids it.
func isPublic(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrierGrade.Contains(a)
}

// ownAddresses are those of this host's interfaces.
func ownAddresses() []netip.Addr {
	all, _ := net.InterfaceAddrs() // without them, no port is public
	var own []netip.Addr
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, ip.Unmap())
			}
		}
	}
	return own
}

// publicFindings are the ports that containers publish on a public address and that the host does not declare as open.
// closes says that the firewall is Salvor's, and in force.
func publicFindings(spec agentapi.Host, engine *agentapi.Engine, own []netip.Addr, closes bool) []finding.Finding {
	if engine == nil {
		return nil
	}
	var all []finding.Finding
	for _, c := range engine.Containers {
		var ports []string
		on := ""
		for _, p := range c.Ports {
			address := publicAddress(p, own)
			if address == "" || isDeclared(spec, p) {
				continue
			}
			on = address
			if port := portText(p); !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
		if len(ports) > 0 {
			all = append(all, publicFinding(spec, c.Name, strings.Join(ports, ", "), on, closes))
		}
	}
	return all
}

func publicFinding(spec agentapi.Host, container, ports, on string, closes bool) finding.Finding {
	f := finding.Finding{
		Code: finding.PortPublic, Severity: finding.Warning, Subject: spec.Name + "/" + container,
		Text: fmt.Sprintf("%s is published on %s, a public address: everyone reaches it who is not kept out elsewhere", ports, on),
		Fix:  fmt.Sprintf("publish it on 127.0.0.1; or salvor host take %s %s, which closes it, and hosts.%s.open in fleet.yaml for what is to be open", spec.Name, fleet.AreaFirewall, spec.Name),
	}
	if closes {
		f.Severity = finding.Info
		f.Text = fmt.Sprintf("%s is published on %s, a public address; Salvor's firewall closes it", ports, on)
		f.Fix = fmt.Sprintf("publish it on 127.0.0.1; or list it under hosts.%s.open in fleet.yaml, then salvor apply", spec.Name)
	}
	return f
}

// publicAddress is the first public address on which a port can be reached, "" for none.
func publicAddress(p project.HostPort, own []netip.Addr) string {
	asked, err := netip.ParseAddr(p.Address)
	asked = asked.Unmap()
	for _, a := range own {
		every := err != nil || asked.IsUnspecified() && asked.Is4() == a.Is4()
		if isPublic(a) && (every || asked == a) {
			return a.String()
		}
	}
	return ""
}

func isDeclared(spec agentapi.Host, p project.HostPort) bool {
	return slices.ContainsFunc(spec.Outside.Open, func(o fleet.OpenPort) bool { return o.Has(p.First, p.Protocol) && o.Has(p.Last, p.Protocol) })
}

func portText(p project.HostPort) string {
	if p.First == p.Last {
		return fmt.Sprintf("%d/%s", p.First, p.Protocol)
	}
	return fmt.Sprintf("%d-%d/%s", p.First, p.Last, p.Protocol)
}
