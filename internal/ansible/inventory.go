// Package ansible has real Ansible work on the fleet's hosts: with the fleet as its inventory,
// the pinned host keys, the operator's keys and the fleet's, and the passwords of the
// fleet's vaults.
package ansible

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/secret"
)

// Group is the group of the inventory with every host of the fleet.
const Group = "salvor"

// A Fleet is what Ansible needs of the opened fleet.
type Fleet struct {
	Declared *fleet.Fleet
	Version  string                                                       // of the salvord that Program opens
	Request  func(fleet.Host) (agentapi.Converge, error)                  // what a host is to be
	Login    func(context.Context, fleet.Host) (ssh.Options, error)       // how a host is reached now
	Secret   func(ctx context.Context, name string) (secret.Value, error) // opens one
	Program  func(arch string) (io.ReadCloser, error)                     // opens salvord
	Confirm  func(ctx context.Context) error                              // has the operator confirm what the commit lets others do
}

// An Inventory is the fleet's hosts as Ansible reaches them. It has no secret, and nothing in
// it that Ansible takes for a template.
type Inventory struct{ hosts map[string]variables }

// variables are those of one host. The names of Ansible's own are those of its ssh plugin:
// https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ssh_connection.html
type variables struct {
	Address    string `json:"ansible_host"`
	Port       int    `json:"ansible_port"`
	User       string `json:"ansible_user"`
	Become     bool   `json:"ansible_become"`
	Connection string `json:"ansible_connection"`
	Args       string `json:"ansible_ssh_args"` // in place of those of an ansible.cfg, which may trust any key
	Jump       string `json:"ansible_ssh_common_args"`
	Checks     bool   `json:"ansible_ssh_host_key_checking"`
	Control    string `json:"ansible_control_path_dir"` // connections that were made without our host keys are not used

	Request  string            `json:"salvor_request"`  // for salvord converge; encoded, so that nothing in it is a template
	Programs map[string]string `json:"salvor_programs"` // salvord on this computer, by processor
}

// Paths are how hosts are reached, and files on the operator's computer that an inventory names.
type Paths struct {
	Logins   []ssh.Options     // of the hosts of the fleet, in their order
	Config   string            // of ssh
	Control  string            // a folder for ssh's sockets
	Programs map[string]string // salvord, by processor
}

// NewInventory returns the inventory of all hosts of the fleet.
func NewInventory(f *Fleet, at Paths) (Inventory, error) {
	all := Inventory{hosts: map[string]variables{}}
	for i, h := range f.Declared.Hosts {
		if h.Name == Group || h.Name == "all" || h.Name == "ungrouped" {
			return Inventory{}, fault.WithHint(fmt.Errorf("host %s: Ansible means a group of hosts by that name", h.Name), "give it another name in fleet.yaml, with formerly: "+h.Name)
		}
		o := at.Logins[i]
		request, err := f.request(h)
		if err != nil {
			return Inventory{}, fmt.Errorf("%s: %w", h.Name, err)
		}
		v := variables{
			Address: o.Address, Port: portOf(o), User: userOf(o), Become: userOf(o) != "root", Connection: "ssh", Checks: true,
			Args: "-F " + quoted(at.Config) + " -C -o ControlMaster=auto -o ControlPersist=60s", Control: at.Control,
			Request: request, Programs: at.Programs,
		}
		if o.Jump != nil {
			v.Jump = fmt.Sprintf("-J %s@%s:%d", userOf(*o.Jump), bracketed(o.Jump.Address), portOf(*o.Jump))
		}
		for _, value := range append([]string{v.Address, v.User, v.Args, v.Jump, v.Control}, valuesOf(at.Programs)...) {
			if isTemplate(value) {
				return Inventory{}, fmt.Errorf("%s: Ansible would take %q for a template", h.Name, value)
			}
		}
		all.hosts[h.Name] = v
	}
	return all, nil
}

func (f *Fleet) request(h fleet.Host) (string, error) {
	converge, err := f.Request(h)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(converge)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(agentapi.Request{Schema: agentapi.Schema, Salvord: f.Version, Body: body})
	return base64.StdEncoding.EncodeToString(text), err
}

// List is what a dynamic inventory answers to --list:
// https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html#inventory-script-conventions
func (i Inventory) List() ([]byte, error) {
	names := []string{}
	for name := range i.hosts {
		names = append(names, name)
	}
	slices.Sort(names)
	return json.MarshalIndent(map[string]any{
		Group:   map[string]any{"hosts": names},
		"_meta": map[string]any{"hostvars": i.hosts},
	}, "", "  ")
}

// Host is what a dynamic inventory answers to --host.
func (i Inventory) Host(name string) ([]byte, error) {
	v, has := i.hosts[name]
	if !has {
		return nil, fault.WithHint(fmt.Errorf("no host is called %s in fleet.yaml", name), "salvor host ls")
	}
	return json.MarshalIndent(v, "", "  ")
}

// File is the inventory as a file, in the format of Ansible's yaml plugin.
func (i Inventory) File() ([]byte, error) {
	return json.Marshal(map[string]any{Group: map[string]any{"hosts": i.hosts}})
}

func portOf(o ssh.Options) int {
	if o.Port == 0 {
		return 22
	}
	return o.Port
}

func userOf(o ssh.Options) string {
	if o.User == "" {
		return "root"
	}
	return o.User
}

func bracketed(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}

// quoted is a word of ssh's arguments, which Ansible takes apart as a shell does.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'" }

// isTemplate reports whether Ansible would evaluate a value.
func isTemplate(value string) bool {
	return strings.Contains(value, "{{") || strings.Contains(value, "{%") || strings.Contains(value, "{#")
}

func valuesOf(m map[string]string) []string {
	var all []string
	for _, v := range m {
		all = append(all, v)
	}
	return all
}
