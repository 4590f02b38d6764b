package hostlink

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
)

func TestRoutesOfAHostFitOnALine(t *testing.T) {
	list := agentapi.RouteList{Schema: 1, Why: "a\nb", At: time.Now().AddDate(9, 0, 0), Routes: []agentapi.RouteRow{
		{Hostname: "notes.example.com", Owner: "notes", Service: "http://app:80", Why: "c\x1b[2Jd"},
		{Hostname: "nas.example.com", Owner: "host.alpha", Service: "https://nas"},
		{Hostname: "x\ny.example.com", Owner: "notes"},
		{Hostname: "z.example.com", Owner: "../notes"},
	}}
	encoded, err := json.Marshal(agentapi.Message{Result: must(t, list)})
	if err != nil {
		t.Fatal(err)
	}
	var got agentapi.RouteList
	if err := answered(string(encoded)+"\n", agentapi.AskRoutes{}, &got, agentapi.VerbRoutes); err != nil {
		t.Fatal(err)
	}
	var hostnames []string
	for _, r := range got.Routes {
		hostnames = append(hostnames, r.Hostname)
	}
	if diff := cmp.Diff([]string{"notes.example.com", "nas.example.com"}, hostnames); diff != "" {
		t.Error(diff)
	}
	if got.Why != `a\nb` || got.Routes[0].Why != `c\x1b[2Jd` || !got.At.IsZero() {
		t.Errorf("%+v", got)
	}
	if !slices.ContainsFunc(got.Findings, func(f finding.Finding) bool { return f.Code == finding.AnswerRefused }) {
		t.Errorf("%+v", got.Findings)
	}
}

func TestAReceiptHasHostnamesOnly(t *testing.T) {
	r := agentapi.HostReceipt{Schema: 1, Host: "alpha", Commit: "c0ffee", Routes: &agentapi.RoutesReceipt{
		Live: []string{"a.example.com", "\x1b[2J"}, Pending: []string{"b.example.com", "B.example.com"}, Why: "a\nb",
	}}
	encoded, err := json.Marshal(agentapi.Message{Result: must(t, r)})
	if err != nil {
		t.Fatal(err)
	}
	var got agentapi.HostReceipt
	if err := answered(string(encoded)+"\n", question(), &got, agentapi.VerbApply); err != nil {
		t.Fatal(err)
	}
	want := &agentapi.RoutesReceipt{Live: []string{"a.example.com"}, Pending: []string{"b.example.com"}, Why: `a\nb`}
	if diff := cmp.Diff(want, got.Routes); diff != "" {
		t.Error(diff)
	}
}
