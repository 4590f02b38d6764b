package dockflare

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// A State is what DockFlare's state.json says of the rules that it has made.
type State struct{ Rules []StateRule }

// A StateRule is one of them, as far as Cloudflare does not have it.
type StateRule struct {
	Hostname, Path string
	Tunnel         string   // its name, "" where the file does not say it
	Manual         bool     // it was made by hand, so no label stands for it
	Overruled      bool     // who may in was set by hand: labels may say something else
	Groups         []string // access groups, by DockFlare's ids
	OfZone         bool     // an application for all of the zone protects it
}

// stateRule is a rule as the file has it.
type stateRule struct {
	Hostname  string          `json:"hostname"`
	Path      string          `json:"path"`
	Status    string          `json:"status"`
	Source    string          `json:"source"`
	Tunnel    string          `json:"tunnel_name"`
	Overruled bool            `json:"access_policy_ui_override"`
	Policy    string          `json:"access_policy_type"`
	Groups    json.RawMessage `json:"access_group_id"` // an id, or a list of them
}

// ReadState reads state.json of any version of DockFlare: the rules are below managed_rules, or
// in its early versions the whole file. What else it has, secrets among it, is not looked at.
func ReadState(content []byte) (State, error) {
	var file struct {
		Rules map[string]stateRule `json:"managed_rules"`
	}
	err := json.Unmarshal(content, &file)
	if err == nil && file.Rules == nil {
		err = json.Unmarshal(content, &file.Rules)
	}
	if err != nil {
		return State{}, errors.New("it is not a state.json of DockFlare's: its rules can't be read")
	}
	var s State
	for key, r := range file.Rules {
		hostname, path, _ := strings.Cut(key, "|")
		if r.Hostname != "" {
			hostname, path = r.Hostname, r.Path
		}
		if r.Status != "active" {
			continue // it is being taken off
		}
		one := StateRule{Hostname: hostname, Path: path, Tunnel: r.Tunnel, Manual: r.Source == "manual", Overruled: r.Overruled, OfZone: r.Policy == "default_tld"}
		one.Groups = groupsOf(r)
		s.Rules = append(s.Rules, one)
	}
	slices.SortFunc(s.Rules, func(a, b StateRule) int { return strings.Compare(a.Hostname+"|"+a.Path, b.Hostname+"|"+b.Path) })
	return s, nil
}

// groupsOf returns the access groups of a rule as fleet.yaml calls them.
func groupsOf(r stateRule) []string {
	var all []string
	var one string
	if json.Unmarshal(r.Groups, &all) != nil && json.Unmarshal(r.Groups, &one) == nil && one != "" {
		all = []string{one}
	}
	if len(all) == 0 {
		switch r.Policy {
		case "bypass":
			all = []string{"bypass"}
		case "authenticate":
			all = []string{"authenticated-default"}
		}
	}
	return all
}

// of returns the rule of a hostname and path.
func (s State) of(hostname, path string) (StateRule, bool) {
	for _, r := range s.Rules {
		if strings.EqualFold(r.Hostname, hostname) && strings.Trim(r.Path, "/") == strings.Trim(path, "/") {
			return r, true
		}
	}
	return StateRule{}, false
}

// tunnel returns the name of the only tunnel that rules name, "" for none or several.
func (s State) tunnel() string {
	name := ""
	for _, r := range s.Rules {
		if r.Tunnel == "" || r.Tunnel == name {
			continue
		}
		if name != "" {
			return ""
		}
		name = r.Tunnel
	}
	return name
}
