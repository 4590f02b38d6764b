package yamldoc

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// aHost is where the tests of Set put a value, and beta is what those of Remove take away.
var (
	aHost = Path{"x-salvor", "host"}
	beta  = Path{"hosts", "beta"}
)

// sets are files before and after a host is set in them.
var sets = map[string]struct{ in, want string }{
	"plain":             {"x-salvor:\n  host: alpha # here\n  rpo: 5m\n", "x-salvor:\n  host: beta # here\n  rpo: 5m\n"},
	"single quotes":     {"x-salvor: {host: 'al''pha', rpo: 5m} # c\n", "x-salvor: {host: beta, rpo: 5m} # c\n"},
	"double quotes":     {"x-salvor:\n    host:   \"al\\\"pha\"   # c\n", "x-salvor:\n    host:   beta   # c\n"},
	"crlf":              {"# top\r\nx-salvor:\r\n  host: alpha\r\n\r\nservices: {}\r\n", "# top\r\nx-salvor:\r\n  host: beta\r\n\r\nservices: {}\r\n"},
	"no last newline":   {"services: {}\nx-salvor:\n  rpo: 5m", "services: {}\nx-salvor:\n  rpo: 5m\n  host: beta"},
	"crlf, inserted":    {"x-salvor:\r\n  rpo: 5m\r\nservices: {}\r\n", "x-salvor:\r\n  rpo: 5m\r\n  host: beta\r\nservices: {}\r\n"},
	"tab in comment":    {"x-salvor:\t# \ttabs\n  host: alpha\t# \tmore\n", "x-salvor:\t# \ttabs\n  host: beta\t# \tmore\n"},
	"comments around":   {"# a\nx-salvor: # b\n  # c\n  rpo: 5m # d\n  # e\n\n# f\nservices: {} # g\n# h\n", "# a\nx-salvor: # b\n  # c\n  rpo: 5m # d\n  host: beta\n  # e\n\n# f\nservices: {} # g\n# h\n"},
	"absent":            {"# top\nservices:\n  a: {image: x}\n# end\n", "# top\nservices:\n  a: {image: x}\nx-salvor:\n  host: beta\n# end\n"},
	"null":              {"x-salvor: # nothing yet\nservices: {}\n", "x-salvor: # nothing yet\n  host: beta\nservices: {}\n"},
	"tilde":             {"x-salvor: ~ # nothing yet\nservices: {}\n", "x-salvor: {host: beta} # nothing yet\nservices: {}\n"},
	"empty flow":        {"x-salvor: {} # c\nservices: {}\n", "x-salvor: # c\n  host: beta\nservices: {}\n"},
	"flow":              {"x-salvor: {rpo: 5m, needs: [a, 'b}'] }\n", "x-salvor: {rpo: 5m, needs: [a, 'b}'], host: beta }\n"},
	"flow over lines":   {"x-salvor: {\n  rpo: 5m, # it's } here\n}\nservices: {}\n", "x-salvor: {host: beta, \n  rpo: 5m, # it's } here\n}\nservices: {}\n"},
	"null host":         {"x-salvor:\n  host: null\n", "x-salvor:\n  host: beta\n"},
	"anchored alone":    {"x-salvor:\n  host: &h alpha\n", "x-salvor:\n  host: &h beta\n"},
	"alias":             {"x-h: &h alpha\nx-salvor:\n  host: *h # same\n", "x-h: &h alpha\nx-salvor:\n  host: beta # same\n"},
	"tagged":            {"x-salvor:\n  host: !!str alpha\n", "x-salvor:\n  host: !!str beta\n"},
	"nested last":       {"x-salvor:\n  volumes:\n    db:\n      protect: none\n    # c\n\nservices:\n", "x-salvor:\n  volumes:\n    db:\n      protect: none\n    # c\n  host: beta\n\nservices:\n"},
	"list at one depth": {"x-salvor:\n  needs:\n  - a\n  - b\nservices: {}\n", "x-salvor:\n  needs:\n  - a\n  - b\n  host: beta\nservices: {}\n"},
	"block text":        {"x-note: |\n  host: alpha\n\n  # no comment\nx-salvor: {host: alpha}\n", "x-note: |\n  host: alpha\n\n  # no comment\nx-salvor: {host: beta}\n"},
	"marks":             {"\ufeff---\nservices: {}\n...\n", "\ufeff---\nservices: {}\nx-salvor:\n  host: beta\n...\n"},
	"other script":      {"x-salvor: {dir: /опт/ü, host: alpha}\n", "x-salvor: {dir: /опт/ü, host: beta}\n"},
	"merged in":         {"x-d: &d {host: alpha}\nx-salvor:\n  <<: *d\n  rpo: 5m\n", "x-d: &d {host: alpha}\nx-salvor:\n  <<: *d\n  rpo: 5m\n  host: beta\n"},
	"already":           {"x-salvor: {host:   beta}", "x-salvor: {host:   beta}"},
	"empty file":        {"", "x-salvor:\n  host: beta\n"},
	"only comments":     {"# nothing\n", "# nothing\nx-salvor:\n  host: beta\n"},
}

func TestSet(t *testing.T) {
	t.Parallel()
	for name, c := range sets {
		got, err := Set([]byte(c.in), aHost, "beta")
		if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// unset are files in which no host can be set without changing more.
var unset = map[string]string{
	"an anchor that others use": "x-salvor: {host: &h alpha}\nx-other: *h\n",
	"a shared mapping":          "x-a: &a {rpo: 5m}\nx-salvor: *a\nx-b: *a\n",
	"a folded host":             "x-salvor:\n  host: >-\n    alpha\n",
	"a list":                    "x-salvor: [host]\n",
}

func TestSetsThatWouldChangeMoreAreRefused(t *testing.T) {
	t.Parallel()
	for name, in := range unset {
		if got, err := Set([]byte(in), aHost, "beta"); !errors.Is(err, ErrByHand) {
			t.Errorf("%s: %q, %v, want ErrByHand", name, got, err)
		}
	}
}

// removals are files before and after the host beta is removed from them.
var removals = map[string]struct{ in, want string }{
	"between others":   {"hosts: # all\n  # first\n  alpha: {address: a}\n  beta: {address: b} # mine\n  # third\n  gamma: {address: c}\nfleet: home\n", "hosts: # all\n  # first\n  alpha: {address: a}\n  # third\n  gamma: {address: c}\nfleet: home\n"},
	"the last of many": {"hosts:\n  alpha: {address: a}\n  beta:\n    address: b\n    # inside\n    port: 2222\n\n# end\nfleet: home\n", "hosts:\n  alpha: {address: a}\n\n# end\nfleet: home\n"},
	"the only one":     {"hosts: # all\n  beta:\n    address: b\nfleet: home\n", "hosts: {} # all\nfleet: home\n"},
	"end of the file":  {"fleet: home\nhosts:\n  beta: {address: b}", "fleet: home\nhosts: {}\n"},
	"crlf":             {"hosts:\r\n  beta: {address: b}\r\n  c: {address: c}\r\n", "hosts:\r\n  c: {address: c}\r\n"},
	"flow, first":      {"hosts: {beta: {address: b}, c: {address: 'x,y'}} # all\n", "hosts: {c: {address: 'x,y'}} # all\n"},
	"flow, last":       {"hosts: {c: {address: 'x,y'}, beta: {address: b} } # all\n", "hosts: {c: {address: 'x,y'} } # all\n"},
	"flow, only":       {"hosts: { beta: {address: b} }\n", "hosts: {}\n"},
	"flow over lines":  {"hosts: {\n  c: {address: c}, # one\n  beta: {address: b}, # two\n  d: {address: d} # three\n}\n", "hosts: {\n  c: {address: c}, # one\n  d: {address: d} # three\n}\n"},
	"flow, last line":  {"hosts: {\n  c: {address: c}, # one\n  beta: {address: b} # two\n}\n", "hosts: {\n  c: {address: c}, # one\n}\n"},
	"quoted":           {"hosts:\n  \"beta\": {address: b}\n  c: {address: c}\n", "hosts:\n  c: {address: c}\n"},
	"not there":        {"hosts:\n  c: {address: c}\n", "hosts:\n  c: {address: c}\n"},
	"no hosts":         {"fleet: home\n", "fleet: home\n"},
	"elsewhere too":    {"remotes:\n  beta: {type: local}\nhosts:\n  beta: {address: b}\n  c: {address: c}\n", "remotes:\n  beta: {type: local}\nhosts:\n  c: {address: c}\n"},
}

func TestRemove(t *testing.T) {
	t.Parallel()
	for name, c := range removals {
		got, err := Remove([]byte(c.in), beta)
		if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// unremoved are files from which beta can't be removed without changing more.
var unremoved = map[string]string{
	"an anchor that others use": "hosts:\n  beta: &b {address: b}\n  c: *b\n",
	"merged in":                 "x: &x\n  beta: {address: b}\nhosts:\n  <<: *x\n",
	"an alias":                  "x: &x\n  beta: {address: b}\nhosts: *x\n",
}

func TestRemovalsThatWouldChangeMoreAreRefused(t *testing.T) {
	t.Parallel()
	for name, in := range unremoved {
		if got, err := Remove([]byte(in), beta); !errors.Is(err, ErrByHand) {
			t.Errorf("%s: %q, %v, want ErrByHand", name, got, err)
		}
	}
}

// TestLists: items are added, changed and taken away where they are written, in either form.
func TestLists(t *testing.T) {
	t.Parallel()
	env := Path{"web", "env"}
	appended := func(b []byte) ([]byte, error) { return Append(b, env, "C=d") }
	set := func(b []byte) ([]byte, error) { return SetItem(b, env.To("1"), "C=d") }
	removed := func(b []byte) ([]byte, error) { return Remove(b, env.To("0")) }
	for name, c := range map[string]struct {
		edit     func([]byte) ([]byte, error)
		in, want string // "" where a person has to do it
	}{
		"appended":                   {appended, "web:\n  env:\n  - A=b # a\n  # last\n  image: x\n", "web:\n  env:\n  - A=b # a\n  - C=d\n  # last\n  image: x\n"},
		"appended in flow":           {appended, "web: {env: [A=b, 'C=]'], image: x}\n", "web: {env: [A=b, 'C=]', C=d], image: x}\n"},
		"appended behind a comma":    {appended, "web: {env: [A=b,]}\n", "web: {env: [A=b, C=d]}\n"},
		"appended to nothing":        {appended, "web:\n  env:\n", ""},
		"appended to none":           {appended, "web: {image: x}\n", "web: {image: x, env: [C=d]}\n"},
		"appended to an empty list":  {appended, "web: {env: []}\n", "web: {env: [C=d]}\n"},
		"appended behind a mapping":  {appended, "web:\n  env:\n    - path: a\n      must: true\nx: 1\n", "web:\n  env:\n    - path: a\n      must: true\n    - C=d\nx: 1\n"},
		"appended to what is shared": {appended, "x: &x [A=b]\nweb: {env: *x}\n", ""},
		"appended to text":           {appended, "web: {env: A=b}\n", ""},
		"appended to a mapping":      {appended, "web: {env: {A: b}}\n", ""},
		"set":                        {set, "web:\n  env:\n  - A=b\n  - B=c # mine\n", "web:\n  env:\n  - A=b\n  - C=d # mine\n"},
		"set in flow":                {set, "web: {env: [A=b, 'B=c']}\n", "web: {env: [A=b, C=d]}\n"},
		"set as it is":               {set, "web: {env: [A=b, \"C=d\"]}\n", "web: {env: [A=b, \"C=d\"]}\n"},
		"set where a mapping is":     {set, "web: {env: [A=b, {c: d}]}\n", ""},
		"removed":                    {removed, "web:\n  env:\n  # first\n  - A=b\n  # second\n  - B=c\n", "web:\n  env:\n  # first\n  # second\n  - B=c\n"},
		"removed over lines":         {removed, "web:\n  env:\n    - path: a\n      # inside\n      must: true\n    - b\n", "web:\n  env:\n    - b\n"},
		"removed in flow":            {removed, "web: {env: [A=b, B=c]}\n", "web: {env: [B=c]}\n"},
		"the only one in flow":       {removed, "web: {env: [ A=b ]}\n", "web: {env: []}\n"},
		"removed where none is":      {removed, "web: {env: []}\n", "web: {env: []}\n"},
		"the only one":               {removed, "web:\n  env:\n  - A=b\n", ""},
	} {
		got, err := c.edit([]byte(c.in))
		if c.want == "" {
			if !errors.Is(err, ErrByHand) {
				t.Errorf("%s: %q, %v, want ErrByHand", name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// TestRename: another key with another value stands where the one before stood.
func TestRename(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"block":         {"env:\n  A: b\n  X: ${Y} # c\n  Z: d\n", "env:\n  A: b\n  X_FILE: /run/y # c\n  Z: d\n"},
		"flow":          {"env: {X: 'a, b', Z: d}\n", "env: {X_FILE: /run/y, Z: d}\n"},
		"quoted":        {"env:\n  \"X\": \"y\"\n", "env:\n  X_FILE: /run/y\n"},
		"a mapping":     {"env: {X: {a: b}, Z: d}\n", "env: {X_FILE: /run/y, Z: d}\n"},
		"folded":        {"env:\n  X: >-\n    y\n", ""},
		"there already": {"env: {X: a, X_FILE: b}\n", ""},
		"merged in":     {"x: &x {X: a}\nenv: {<<: *x, Z: d}\n", ""},
	} {
		got, err := Rename([]byte(c.in), Path{"env", "X"}, "X_FILE", "/run/y")
		if c.want == "" {
			if !errors.Is(err, ErrByHand) {
				t.Errorf("%s: %q, %v, want ErrByHand", name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// TestSetFields: a mapping that is new is on one line; keys of one that is there change
// where they are.
func TestSetFields(t *testing.T) {
	t.Parallel()
	fields := []Assignment{{"address", "192.0.2.1"}, {"port", "2222"}}
	for in, want := range map[string]string{
		"":       "hosts:\n  beta: {address: 192.0.2.1, port: 2222}\n",
		"a: b\n": "a: b\nhosts:\n  beta: {address: 192.0.2.1, port: 2222}\n",
		"hosts:\n  beta: # mine\n    address: b # old\n    user: ops\n": "hosts:\n  beta: # mine\n    address: 192.0.2.1 # old\n    user: ops\n    port: 2222\n",
	} {
		got, err := SetFields([]byte(in), beta, fields)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", in, err, diff)
		}
	}
	for _, in := range []string{"a: {", "a: 1\na: 2\n"} {
		if got, err := SetFields([]byte(in), beta, fields); err == nil || errors.Is(err, ErrByHand) {
			t.Errorf("a file that is not YAML: %q, %v", got, err)
		}
	}
}

// TestScalar: what is written reads back as the same text, also within braces.
func TestScalar(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"beta": "beta", "192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1", "/run/secrets/Y": "/run/secrets/Y", "op://home/nas": "op://home/nas",
		"": `""`, "8080": `"8080"`, "true": `"true"`, "null": `"null"`, "~": `"~"`, "2026-01-02": `"2026-01-02"`,
		"a # b": `"a # b"`, "a: b": `"a: b"`, "a, b": `"a, b"`, "*a": `"*a"`, "&a b": `"&a b"`, "- a": `"- a"`, " a": `" a"`, "a\nb": `"a\nb"`, "ü": "ü", "it's": "it's", "'a'": `"'a'"`,
	} {
		got := Scalar(in)
		if got != want {
			t.Errorf("%q is written as %s, want %s", in, got, want)
		}
		for _, file := range []string{"v: " + got + "\n", "v: {v: " + got + "}\n", "v: [" + got + "]\n"} {
			root, err := Parse("", []byte(file))
			if err != nil {
				t.Errorf("%q: %v", file, err)
				continue
			}
			flat, err := Flatten(root)
			if err != nil || flat[Path{"v"}.ID()] != "!!str "+in && flat[Path{"v", "v"}.ID()] != "!!str "+in && flat[Path{"v", "0"}.ID()] != "!!str "+in {
				t.Errorf("%q says %q, %v", file, flat, err)
			}
		}
	}
}
