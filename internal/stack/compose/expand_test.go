package compose

import (
	"strings"
	"testing"
)

// TestS30AnAliasFillsNoMemory: a few lines whose aliases expand to millions of values
// are refused, by file; so is an alias that contains itself. What a person writes is
// read.
func TestS30AnAliasFillsNoMemory(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("x-a: &a [x,x,x,x,x,x,x,x,x,x]\n")
	for name := 'b'; name < 'j'; name++ {
		bomb.WriteString("x-" + string(name) + ": &" + string(name) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(name-1)+",", 10), ",") + "]\n")
	}
	const service = "services: {web: {image: nginx:1, environment: *env}}\n"
	for name, c := range map[string]struct{ file, want string }{
		"a bomb":      {bomb.String() + "services: {web: {image: nginx:1}}\n", "expands to more than 200000 values"},
		"itself":      {"x-env: &env {a: [*env]}\n" + service, "contains itself"},
		"by a person": {"x-env: &env {A: b}\n" + service, ""},
	} {
		_, _, err := Load(t.Context(), stackOf(t, map[string]string{"compose.yaml": c.file}))
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "compose.yaml")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
