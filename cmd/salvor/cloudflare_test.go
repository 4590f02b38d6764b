package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/internal/cloudflare/cloudflaretest"
)

// cloudflareVariable is the address of a script's Cloudflare.
const cloudflareVariable = "SALVOR_TEST_CLOUDFLARE"

type cloudflareKey struct{}

// cloudflareCommands are what a script does with Cloudflare:
//
//	cloudflare start TOKEN             begins one with the zone example.com and a token that may do all
//	cloudflare may TOKEN PERMISSIONS   lets a token do this alone
//	cloudflare tunnel NAME FILE        makes a tunnel; FILE has its ingress, and records and apps that are there
//	cloudflare fails STATUS METHOD PATH fails the next such request
//	cloudflare shows FILE              checks the records with their comments, the apps, and the hostnames of rules
//	cloudflare writes N                checks how many requests were to change something
func cloudflareCommands(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(cloudflareKey{}).(*cloudflaretest.Server)
	var err error
	switch args[0] {
	case "start":
		server := httptest.NewServer(s)
		ts.Defer(server.Close)
		ts.Setenv(cloudflareVariable, server.URL+"/client/v4")
		ts.Setenv("ACCOUNT", cloudflaretest.Account)
		s.AddToken(args[1], cloudflaretest.All)
		s.AddZone("example.com")
	case "may":
		s.AddToken(args[1], args[2])
	case "tunnel":
		err = makeTunnel(ts, s, args[1], []byte(ts.ReadFile(args[2])))
	case "fails":
		status := 0
		_, err = fmt.Sscan(args[1], &status)
		s.Fail(cloudflaretest.Fault{Status: status, Method: args[2], Path: args[3]})
	case "shows":
		if got, want := cloudflareShown(ts, s), ts.ReadFile(args[1]); got != want {
			err = fmt.Errorf("it shows\n%s", got)
		}
	case "writes":
		n := 0
		for _, c := range s.Calls() {
			if c.Writes() {
				n++
			}
		}
		if fmt.Sprint(n) != args[1] {
			err = fmt.Errorf("%d requests", n)
		}
	default:
		ts.Fatalf("no such command: %s", args[0])
	}
	if (err != nil) != neg {
		ts.Fatalf("cloudflare %s: %v", args, err)
	}
}

// makeTunnel makes a tunnel as another program has left it. TUNNEL in the file is its ID.
func makeTunnel(ts *testscript.TestScript, s *cloudflaretest.Server, name string, content []byte) error {
	id := s.AddTunnel(name, 0)
	ts.Setenv("TUNNEL", id)
	var has struct {
		Config  json.RawMessage         `json:"config"`
		Records []cloudflaretest.Record `json:"records"`
		Apps    []json.RawMessage       `json:"apps"`
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(content), "TUNNEL", id)), &has); err != nil {
		return err
	}
	s.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record { return append(all, has.Records...) })
	s.EditApps(func(all []json.RawMessage) []json.RawMessage { return append(all, has.Apps...) })
	return s.EditConfiguration(id, has.Config)
}

// cloudflareShown is what is there, a line each.
func cloudflareShown(ts *testscript.TestScript, s *cloudflaretest.Server) string {
	var out strings.Builder
	records := s.Records("example.com")
	slices.SortFunc(records, func(a, b cloudflaretest.Record) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range records {
		fmt.Fprintln(&out, strings.TrimSpace(fmt.Sprintf("record %s %s", r.Name, r.Comment)))
	}
	for _, raw := range s.Apps() {
		var app struct {
			Domain   string
			Tags     []string
			Policies []struct{ Name string }
		}
		ts.Check(json.Unmarshal(raw, &app))
		fmt.Fprintln(&out, "app", app.Domain, app.Tags, app.Policies)
	}
	for _, raw := range s.Rules(ts.Getenv("TUNNEL")) {
		var rule struct{ Hostname, Path, Service string }
		ts.Check(json.Unmarshal(raw, &rule))
		fmt.Fprintln(&out, "rule", rule.Hostname+rule.Path, rule.Service)
	}
	return out.String()
}
