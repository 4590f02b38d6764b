// Package routecase plays one case of the compatibility vectors of DockFlare: containers
// with labels that start and stop, and what is at Cloudflare before. It says what Salvor
// makes of it, in the form in which a case says what it expects. Nothing is looked up.
package routecase

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"salvor/internal/route"
	"salvor/internal/suggest"
)

// A Case is a world of containers, read by Read.
type Case struct {
	ID          string
	containers  []container
	events      []event
	checkpoints []checkpoint
	world       world
}

type container struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

type event struct {
	At        float64           `json:"at_s"`
	Event     string            `json:"event"`
	Container *string           `json:"container"`
	Labels    map[string]string `json:"labels"` // that the container has from now on
}

type checkpoint struct {
	After string   `json:"after"`
	At    *float64 `json:"at_s"`
}

// A file is the vectors: lists of cases under any names, and what all cases share.
type file struct {
	Environment json.RawMessage `json:"environment"`
}

type written struct {
	ID          string          `json:"id"`
	Containers  []container     `json:"containers"`
	Events      []event         `json:"events"`
	Checkpoints []checkpoint    `json:"checkpoints"`
	Setup       json.RawMessage `json:"setup"`
	Environment json.RawMessage `json:"environment"`
}

// most bounds what one case may have.
const most = 10_000

// Read returns a case of a file by its id; of a file that is one case, id may be "".
func Read(content []byte, id string) (Case, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(content, &top); err != nil {
		return Case{}, fmt.Errorf("it is not JSON: %w", place(content, err))
	}
	var shared file
	if err := json.Unmarshal(content, &shared); err != nil {
		return Case{}, err
	}
	if top["containers"] != nil {
		return one(content, nil)
	}
	found, ids := json.RawMessage(nil), []string(nil)
	for _, value := range top {
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil {
			continue
		}
		for _, item := range list {
			var named struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(item, &named) == nil && named.ID != "" {
				ids = append(ids, named.ID)
				if named.ID == id {
					found = item
				}
			}
		}
	}
	if found == nil {
		slices.Sort(ids)
		return Case{}, fmt.Errorf("%q is not a case in it%s", id, suggest.DidYouMean(id, ids))
	}
	return one(found, shared.Environment)
}

// one reads a case. What it says of its environment wins over what all share.
func one(content, shared json.RawMessage) (Case, error) {
	var w written
	if err := json.Unmarshal(content, &w); err != nil {
		return Case{}, fmt.Errorf("the case can't be read: %w", err)
	}
	if len(w.Containers) > most || len(w.Events) > most || len(w.Checkpoints) > most {
		return Case{}, fmt.Errorf("the case %s has more than %d containers, events or checkpoints", w.ID, most)
	}
	c := Case{ID: w.ID, containers: w.Containers, events: w.Events, checkpoints: w.Checkpoints, world: newWorld()}
	for _, environment := range []json.RawMessage{shared, w.Environment} {
		if err := c.world.environment(environment); err != nil {
			return Case{}, fmt.Errorf("environment: %w", err)
		}
	}
	c.world.setup(nil, w.Setup)
	if len(c.events) == 0 {
		for _, each := range c.containers {
			c.events = append(c.events, event{Event: "start", Container: &each.Name})
		}
	}
	for _, e := range c.events {
		if e.Container != nil && !slices.ContainsFunc(c.containers, func(each container) bool { return each.Name == *e.Container }) && e.Labels == nil {
			return Case{}, fmt.Errorf("an event is about the container %q, which the case does not have", *e.Container)
		}
	}
	return c, nil
}

// place adds the line to an error of the JSON decoder.
func place(content []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(content[:min(int(syntax.Offset), len(content))], []byte("\n")), err)
	}
	return err
}

// A world is what a case has besides containers.
type world struct {
	zones    []string
	settings route.Settings
	noAccess bool // Access can't be changed or read there
	rules    []route.Rule
	manual   []manual
	records  []json.RawMessage
	apps     []json.RawMessage
	unknown  []string // keys of setup that mean nothing here
}

type manual struct {
	Hostname string  `json:"hostname"`
	Path     *string `json:"path"`
	Service  string  `json:"service"`
	Source   string  `json:"source"`
}

func newWorld() world {
	return world{settings: route.Settings{Groups: route.Groups{}, Grace: 10 * time.Minute}}
}

// environment reads what is true of the account.
func (w *world) environment(content json.RawMessage) error {
	if len(content) == 0 {
		return nil
	}
	var e struct {
		Zones   []string         `json:"account_zones"`
		Default *string          `json:"default_zone"`
		Grace   *float64         `json:"grace_period_s"`
		Prefix  string           `json:"label_prefix"`
		Owner   json.RawMessage  `json:"account_owner_email"`
		Groups  map[string]group `json:"access_groups"`
	}
	if err := json.Unmarshal(content, &e); err != nil {
		return err
	}
	if e.Zones != nil {
		w.zones = e.Zones
	}
	if e.Default != nil && *e.Default != "" && !slices.Contains(w.zones, *e.Default) {
		w.zones = append(w.zones, *e.Default)
	}
	if e.Grace != nil {
		w.settings.Grace = seconds(*e.Grace)
	}
	if e.Prefix != "" {
		w.settings.Prefix = e.Prefix
	}
	for id, g := range e.Groups {
		w.settings.Groups[id] = g.group(id)
	}
	if e.Owner != nil && blank(e.Owner) {
		delete(w.settings.Groups, route.LoginGroup)
	}
	return nil
}

func blank(value json.RawMessage) bool {
	text := strings.TrimSpace(string(value))
	return text == "null" || text == `""` || text == "false"
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// A group is an access group as DockFlare keeps it.
type group struct {
	policy
	Policies  []policy `json:"policies"`
	Session   string   `json:"session_duration"`
	Launcher  bool     `json:"app_launcher_visible"`
	Redirect  bool     `json:"auto_redirect_to_identity"`
	Providers []string `json:"allowed_idps"`
}

type policy struct {
	Name     string                       `json:"policy_name"`
	Decision route.Decision               `json:"decision"`
	Include  []map[string]json.RawMessage `json:"include"`
}

func (g group) group(id string) route.Group {
	made := route.Group{Session: g.Session, Launcher: g.Launcher, Redirect: g.Redirect, Providers: g.Providers}
	for _, p := range append([]policy{g.policy}, g.Policies...) {
		if p.Name == "" && p.Decision == "" {
			continue
		}
		if p.Name == "" {
			p.Name = "DockFlare-AccessGroup-" + id
		}
		one := route.Policy{Name: p.Name, Decision: p.Decision}
		for _, include := range p.Include {
			_, everyone := include["everyone"]
			one.Include = append(one.Include, route.Match{Everyone: everyone})
		}
		made.Policies = append(made.Policies, one)
	}
	return made
}

var (
	failing = regexp.MustCompile(`fail|error|denied|deny|forbidden|unavailable|timeout|missing|unreadable|\bdown\b|\b40[13]\b|\b429\b|\b5\d\d\b|=false$|=null$`)
	ofUsers = regexp.MustCompile(`member|owner`)
	ofApps  = regexp.MustCompile(`access|apps|polic`)
)

// setup reads what is there before the case begins. The form of it is not fixed: a key is
// understood by the word in it, at any depth, and one that is not is reported.
func (w *world) setup(at []string, value json.RawMessage) {
	if len(value) == 0 {
		return
	}
	key, last := strings.ToLower(strings.Join(at, ".")), ""
	if len(at) > 0 {
		last = strings.ToLower(at[len(at)-1])
	}
	var inner map[string]json.RawMessage
	isObject := json.Unmarshal(value, &inner) == nil && inner != nil
	switch leaf := key + "=" + strings.ToLower(strings.Trim(string(value), `"`)); {
	case isObject && last == "environment":
		w.note(at, w.environment(value))
	case last == "originrequest", last == "warp-routing":
		// of the tunnel's configuration: kept, and no part of what a case expects
	case isObject && last == "access_groups":
		w.note(at, w.environment(keyed(last, value)))
	case isObject && strings.Contains(last, "rules"):
		for _, name := range slices.Sorted(maps.Keys(inner)) {
			w.note(at, add(&w.manual, slices.Concat(json.RawMessage("["), inner[name], json.RawMessage("]"))))
		}
	case isObject:
		for _, name := range slices.Sorted(maps.Keys(inner)) {
			w.setup(append(slices.Clone(at), name), inner[name])
		}
	case w.list(at, key, value):
	case strings.Contains(last, "prefix"):
		w.note(at, w.environment(keyed("label_prefix", value)))
	case strings.Contains(last, "grace"):
		w.note(at, w.environment(keyed("grace_period_s", value)))
	case strings.Contains(last, "default_zone") || last == "cf_zone_id":
		w.note(at, w.environment(keyed("default_zone", value)))
	case strings.HasSuffix(last, "zones"):
		w.note(at, w.environment(keyed("account_zones", value)))
	case ofUsers.MatchString(key) && failing.MatchString(leaf):
		delete(w.settings.Groups, route.LoginGroup)
	case ofApps.MatchString(leaf) && failing.MatchString(leaf):
		w.noAccess = true
	default:
		w.note(at, errUnknown)
	}
}

var errUnknown = errors.New("not known")

// note remembers a key that could not be understood.
func (w *world) note(at []string, err error) {
	if err != nil {
		w.unknown = append(w.unknown, strings.Join(at, "."))
	}
}

// list reads a list of things at Cloudflare, or of rules by hand, by the word in its key.
func (w *world) list(at []string, key string, value json.RawMessage) bool {
	if !strings.HasPrefix(strings.TrimSpace(string(value)), "[") {
		return false
	}
	var err error
	switch {
	case strings.Contains(key, "ingress"):
		err = add(&w.rules, value)
	case strings.Contains(key, "dns"), strings.Contains(key, "record"):
		err = add(&w.records, value)
	case strings.Contains(key, "app"):
		err = add(&w.apps, value)
	case strings.Contains(key, "manual"), strings.Contains(key, "rules"):
		err = add(&w.manual, value)
	default:
		return false
	}
	w.note(at, err)
	return true
}

// keyed is an object with one key.
func keyed(key string, value json.RawMessage) json.RawMessage {
	return json.RawMessage(fmt.Sprintf("{%q: %s}", key, value))
}

func add[T any](into *[]T, value json.RawMessage) error {
	var list []T
	err := json.Unmarshal(value, &list)
	*into = append(*into, list...)
	return err
}
