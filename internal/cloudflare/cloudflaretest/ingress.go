package cloudflaretest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// A Rule of a tunnel says where its connector leads requests.
type Rule struct {
	Hostname string          `json:"hostname"`
	Path     string          `json:"path"`
	Service  string          `json:"service"`
	Origin   json.RawMessage `json:"originRequest"`
}

// membersOf returns an object's members in their order.
func membersOf(content json.RawMessage) ([]memberOf, error) {
	dec := json.NewDecoder(bytes.NewReader(content))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("the configuration is not an object")
	}
	var all []memberOf
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		all = append(all, memberOf{name.(string), value})
	}
	return all, nil
}

// ParseRules returns the rules of a configuration, as a connector takes it: checked.
func ParseRules(config json.RawMessage) ([]Rule, error) {
	var c struct {
		Rules json.RawMessage `json:"ingress"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	checked, err := checkedRules(c.Rules)
	if err != nil {
		return nil, err
	}
	var rules []Rule
	return rules, json.Unmarshal(checked, &rules)
}

// checkedRules checks rules as cloudflared does (ingress/ingress.go, validate) and gives each
// the originRequest that Cloudflare adds.
func checkedRules(content json.RawMessage) (json.RawMessage, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(content, &raws); err != nil {
		return nil, errors.New("ingress is not a list")
	}
	if len(raws) == 0 {
		return nil, errors.New("the configuration has no ingress rules")
	}
	out := []byte{'['}
	for i, raw := range raws {
		var r Rule
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("rule #%d is not an object", i+1)
		}
		if err := r.check(i == len(raws)-1); err != nil {
			return nil, fmt.Errorf("rule #%d: %w", i+1, err)
		}
		if i > 0 {
			out = append(out, ',')
		}
		if r.Origin == nil {
			raw = append(bytes.TrimSuffix(bytes.TrimSpace(raw), []byte("}")), `,"originRequest":{}}`...)
		}
		out = append(out, raw...)
	}
	return append(out, ']'), nil
}

func (r Rule) check(last bool) error {
	if err := r.checkService(); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(r.Hostname); err == nil {
		return errors.New("hostname cannot contain a port")
	}
	if strings.LastIndex(r.Hostname, "*") > 0 {
		return errors.New("hostname patterns can have at most one wildcard character (\"*\") and it can only be used for subdomains")
	}
	all := (r.Hostname == "" || r.Hostname == "*") && r.Path == ""
	if last && !all {
		return errors.New("the last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)")
	}
	if !last && all {
		return errors.New("it matches every hostname, the rules after it will never be triggered")
	}
	if _, err := regexp.Compile(r.Path); err != nil {
		return fmt.Errorf("invalid regex: %w", err)
	}
	return nil
}

func (r Rule) checkService() error {
	if status, found := strings.CutPrefix(r.Service, "http_status:"); found {
		if n, err := strconv.Atoi(status); err != nil || n < 100 || n > 999 {
			return errors.New("invalid HTTP status")
		}
		return nil
	}
	for _, known := range []string{"unix:", "unix+tls:"} {
		if strings.HasPrefix(r.Service, known) {
			return nil
		}
	}
	switch r.Service {
	case "hello_world", "hello-world", "helloworld", "bastion", "socks-proxy":
		return nil
	}
	u, err := url.Parse(r.Service)
	switch {
	case err != nil:
		return err
	case u.Scheme == "" || u.Hostname() == "":
		return fmt.Errorf("%s is an invalid address, please make sure it has a scheme and a hostname", r.Service)
	case u.Path != "":
		return fmt.Errorf("%s is an invalid address, ingress rules don't support proxying to a different path on the origin service", r.Service)
	}
	return nil
}

// Matches reports whether a request is the rule's, as cloudflared's Rule.Matches.
func (r Rule) Matches(hostname, path string) bool {
	host := r.Hostname == "" || r.Hostname == "*" || r.Hostname == hostname
	if suffix, wild := strings.CutPrefix(r.Hostname, "*."); wild && !host {
		host = strings.HasSuffix(hostname, "."+suffix)
	}
	if !host || r.Path == "" {
		return host
	}
	found, err := regexp.MatchString(r.Path, path)
	return err == nil && found
}
