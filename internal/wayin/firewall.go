package wayin

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"salvor/internal/converge"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
	"salvor/internal/resource"
)

const firewallService = "salvor-firewall.service"

// Firewall is the id of the change that loads the firewall.
const Firewall = "firewall rules"

//go:embed salvor-firewall.service
var firewallServiceFile []byte

//go:embed rules.nft
var rulesText []byte

var rulesTemplate = template.Must(template.New("rules").Parse(string(rulesText)))

// rulesFile is what the unit loads at boot.
func rulesFile() string { return in("firewall.nft") }

// firewallNeeds are nft and the unit, which loads nothing until the rules are there.
func firewallNeeds() []converge.Resource {
	install := resource.Packages{Name: "firewall", List: []resource.Package{{Name: "nftables"}}}
	return []converge.Resource{
		install,
		resource.File{Path: unitDir + firewallService, Content: firewallServiceFile, Mode: 0o644},
		resource.Unit{Name: firewallService, Boot: resource.Enabled, Needs: []string{install.ID()}},
	}
}

// firewall is the table, in the file and in the kernel.
type firewall struct {
	from []fleet.Source
	open []fleet.OpenPort
}

var _ converge.Resource = firewall{}

// ID implements converge.Resource.
func (f firewall) ID() string { return Firewall }

// Links implements converge.Resource.
func (f firewall) Links() converge.Links {
	return converge.Links{After: []string{"packages firewall"}, Looks: observe.Query{Paths: []string{rulesFile()}}}
}

// Diff implements converge.Resource. It compares what the kernel has with what nft makes of the rules in a network of
// its own, so that both are as this host's nft writes them.
func (f firewall) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	content, err := f.content(ctx, h.Machine)
	if errors.Is(err, errUnreadable) {
		return nil, nil // it is not known where sshd listens
	}
	if err != nil {
		return nil, err
	}
	file := resource.File{Path: rulesFile(), Content: content, Mode: 0o600}
	written, err := file.Diff(ctx, h)
	if err != nil {
		return nil, err
	}
	cause, err := drift(ctx, h.Machine, content)
	if err != nil || written == nil && cause == "" {
		return nil, err
	}
	action, causes := converge.Changes, []string{}
	if written != nil {
		action, causes = written.Action, append(causes, rulesFile()+": "+written.Cause)
	}
	if cause != "" {
		causes = append(causes, cause)
	}
	change := &converge.Change{Action: action, Cause: strings.Join(causes, "; "), Apply: func(ctx context.Context, say func(string)) error {
		if written != nil {
			if err := written.Apply(ctx, say); err != nil {
				return err
			}
		}
		_, err := h.Run(ctx, machine.Cmd{Argv: []string{"nft", "-f", rulesFile()}, Timeout: quick})
		return err
	}}
	if written != nil {
		change.Seen = written.Seen
	}
	return change, nil
}

// content are the rules. SSH is where sshd listens.
func (f firewall) content(ctx context.Context, m machine.Machine) ([]byte, error) {
	now, err := ask(ctx, m)
	if err != nil {
		return nil, err
	}
	ports, err := sshPorts(ctx, m, now)
	if err != nil {
		return nil, err
	}
	if len(ports) == 0 {
		ports = []string{"22"}
	}
	rules := struct {
		SSH, From4, From6, TCP, UDP string
		Anywhere                    bool
	}{SSH: strings.Join(ports, ", "), Anywhere: len(f.from) == 0}
	var from4, from6 []string
	for _, s := range f.from {
		switch {
		case s.Is4():
			from4 = append(from4, string(s))
		case s != fleet.Tailnet:
			from6 = append(from6, string(s))
		}
	}
	rules.From4, rules.From6 = strings.Join(from4, ", "), strings.Join(from6, ", ")
	rules.TCP, rules.UDP = f.ports("tcp"), f.ports("udp")
	var out bytes.Buffer
	err = rulesTemplate.Execute(&out, rules)
	return out.Bytes(), err
}

func (f firewall) ports(protocol string) string {
	var all []string
	for _, p := range f.open {
		if ports, its := p.Of(); its == protocol {
			all = append(all, ports)
		}
	}
	return strings.Join(all, ", ")
}

// drift says how the table in the kernel differs from the rules, "" for not at all.
func drift(ctx context.Context, m machine.Machine, rules []byte) (string, error) {
	live, err := listed(ctx, m)
	if err != nil {
		return "", err
	}
	if live == nil {
		return "is not loaded", nil
	}
	out, err := m.Run(ctx, machine.Cmd{Argv: []string{"unshare", "--net", "--", "sh", "-c", "nft -f - && nft -j list table inet salvor"}, Stdin: bytes.NewReader(rules), Timeout: quick})
	if err != nil {
		return "", fmt.Errorf("nft refuses the rules: %w", err)
	}
	is, err := ParseRuleset(live)
	if err != nil {
		return "", err
	}
	want, err := ParseRuleset(out.Stdout)
	if err != nil {
		return "", err
	}
	return want.Differs(is), nil
}

// listed returns the table as nft -j prints it. It is nil where the kernel does not have the table, or the host does not have nft.
func listed(ctx context.Context, m machine.Machine) ([]byte, error) {
	out, err := m.Run(ctx, machine.Cmd{Argv: []string{"nft", "-j", "list", "table", "inet", "salvor"}, Timeout: quick})
	if exit, ended := errors.AsType[*machine.ExitError](err); ended && (exit.Code == 127 || strings.Contains(string(exit.Stderr), "No such file or directory")) {
		return nil, nil
	}
	return out.Stdout, err
}

// restore puts a table back as it was; nil is none.
func restore(ctx context.Context, m machine.Machine, ruleset []byte) error {
	content, err := replacing(ruleset)
	if err != nil {
		return err
	}
	_, err = m.Run(ctx, machine.Cmd{Argv: []string{"nft", "-j", "-f", "-"}, Stdin: bytes.NewReader(content), Timeout: quick})
	return err
}
