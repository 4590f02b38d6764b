package hostapp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/debiantest"
	"salvor/internal/version"
)

func TestConvergeOptions(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]agent.ConvergeOptions{
		"":                                     {},
		"--check":                              {Check: true},
		"--only docker --check --only=updates": {Check: true, Only: []fleet.Area{"docker", "updates"}},
	} {
		if got, err := convergeOptions(strings.Fields(line)); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"docker", "--only", "--diff", "--check=no"} {
		if _, err := convergeOptions(strings.Fields(line)); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

// TestConvergeAnswers with one object, whatever it is asked.
func TestConvergeAnswers(t *testing.T) {
	t.Parallel()
	request := func(schema int, salvord string, body any) string {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(agentapi.Request{Schema: schema, Salvord: salvord, Body: encoded})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	fedora := debiantest.New()
	fedora.Put("/etc/os-release", "ID=fedora\nVERSION_ID=43\n", 0o644)
	host := agentapi.Converge{Host: agentapi.Host{Fleet: "home", Name: "alpha"}}
	for name, test := range map[string]struct {
		in       string
		code     int
		want     string
		outdated bool
	}{
		"nothing":                   {"", fault.General, "read request", false},
		"not JSON":                  {"{", fault.General, "read request", false},
		"a later protocol":          {request(agentapi.Schema+1, "9.0.0", host), agentapi.CodeOtherProtocol, version.String(), false},
		"of no host":                {request(agentapi.Schema, version.String(), agentapi.Converge{}), fault.Usage, "does not say which host", false},
		"another body":              {request(agentapi.Schema, version.String(), []int{1}), fault.Usage, "read request", false},
		"a host that can't be":      {request(agentapi.Schema, version.String(), host), fault.General, "host is not supported: fedora 43", false},
		"of a salvor that is newer": {request(agentapi.Schema, "9.0.0+20300101000000.aa", host), fault.General, "host is not supported", true},
	} {
		var out, errs bytes.Buffer
		code := convergeHost(t.Context(), &agent.Host{Machine: fedora}, []string{"--check"}, strings.NewReader(test.in), &out, &errs)
		var answer agentapi.Converged
		if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out.String())
		}
		if code != test.code || answer.Error == nil || !strings.Contains(answer.Error.Text, test.want) || answer.Schema != agentapi.Schema || answer.Salvord != version.String() || answer.Outdated != test.outdated || answer.Resources == nil {
			t.Errorf("%s: code %d, %s", name, code, out.String())
		}
	}
	var out, errs bytes.Buffer
	if code := convergeHost(t.Context(), nil, []string{"--now"}, nil, &out, &errs); code != fault.Usage || out.Len() > 0 || !strings.Contains(errs.String(), convergeUsage) {
		t.Errorf("code %d, %q, %q", code, out.String(), errs.String())
	}
}
