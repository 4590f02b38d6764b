package compose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/secret"
)

func noLookup(string) (string, bool) { return "", false }

// listing writes entries down: line, name, value, references, lines that do not count.
func listing(entries []EnvEntry) []string {
	var all []string
	for _, e := range entries {
		line := fmt.Sprintf("%d %s=%q %v", e.Line, e.Name, e.Value.Reveal(), e.Refs)
		for _, lost := range e.Lost {
			line += fmt.Sprintf(" not %d", lost)
		}
		all = append(all, line)
	}
	return all
}

func TestParseEnv(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string
	}{
		"plain":           {"A=1\nB = 2 # c\n", []string{`1 A="1" []`, `2 B="2" []`}},
		"comments":        {"# a\n\n  # b\nA=1\n", []string{`4 A="1" []`}},
		"export, crlf":    {"export A=1\r\nB=2\r\n", []string{`1 A="1" []`, `2 B="2" []`}},
		"quotes":          {"A='x $Y' # c\nB=\"a\\nb\\\"\"\n", []string{`1 A="x $Y" []`, `2 B="a\nb\"" []`}},
		"several lines":   {"A=\"one\n# two\nB=3\"\nC=4", []string{`1 A="one\n# two\nB=3" []`, `4 C="4" []`}},
		"references":      {"A=1\nB=${A}-${C:-d}\nC='${A}'\n", []string{`1 A="1" []`, `2 B="1-d" [A C]`, `3 C="${A}" []`}},
		"an escaped $":    {"A=x$$y\n", []string{`1 A="x$y" []`}},
		"one line":        {"A=\"1\" B=\"2\"\n", []string{`1 A="1" []`, `1 B="2" []`}},
		"twice the same":  {"A=1\nA=1\n", []string{`1 A="1" []`}},
		"the last counts": {"A=1\nB=${A}\nA=${B}2\n", []string{`3 A="12" [B] not 1`, `2 B="1" [A]`}},
		"there and back":  {"A=1\nA=2\nA=1\n", []string{`3 A="1" [] not 2`}},
		"set elsewhere":   {"HOME_GIVEN\nA=1\n", []string{`2 A="1" []`}},
		"byte order mark": {"\ufeffA=1\n", []string{`1 A="1" []`}},
		"dots":            {"a.b-c=1\n", []string{`1 a.b-c="1" []`}},
		"nothing":         {"", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := ParseEnv(".env", []byte(test.in), noLookup)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, listing(f.Entries())); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseEnvRefusals(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"no end":             {"A=1\n\n# c\nB=\"canary\nC=2\n", ".env:4:1: a quote that does not end"},
		"no name":            {"A=1\ncanary!=2\n", ".env:2:1: neither NAME=value nor a comment, or it has a $ that Compose does not understand"},
		"a space":            {"A=1\nmy canary=2\n", ".env:2:1: neither NAME=value nor a comment, or it has a $ that Compose does not understand"},
		"a bad reference":    {"A=${canary\n", ".env:1:1: neither NAME=value nor a comment, or it has a $ that Compose does not understand"},
		"bytes":              {"A=canary\xff\n", ".env: not text in UTF-8"},
		"zero":               {"A=canary\x00\n", ".env: not text in UTF-8"},
		"a name and the end": {"A=1\ncanary", ".env:2:1: a name without a value, which Compose reads as a value without a name"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseEnv(".env", []byte(test.in), noLookup)
			if err == nil || err.Error() != test.want {
				t.Errorf("= %v, want %s", err, test.want)
			}
		})
	}
}

func TestEnvFileRewrites(t *testing.T) {
	const in = "# first\nA=1 # one\n\n# second\nB=\"two\nlines\"\nC=3\nB=4"
	f, err := ParseEnv("stack.env", []byte(in), noLookup)
	if err != nil {
		t.Fatal(err)
	}
	isB := func(name string) bool { return name == "B" }
	got, err := f.Without(isB)
	if diff := cmp.Diff("# first\nA=1 # one\n\n# second\nC=3\n", string(got)); err != nil || diff != "" {
		t.Errorf("Without: %v %s", err, diff)
	}
	got, err = f.Masked(isB)
	if diff := cmp.Diff("# first\nA=1 # one\n\n# second\nB=[secret]\nC=3\nB=[secret]\n", string(got)); err != nil || diff != "" {
		t.Errorf("Masked: %v %s", err, diff)
	}
	shared, err := ParseEnv("stack.env", []byte("A='1' B='2'\n"), noLookup)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := shared.Without(isB); !errors.Is(err, errSharedLine) {
		t.Errorf("= %q, %v, want errSharedLine", got, err)
	}
}

func TestEnvLine(t *testing.T) {
	tests := map[string]string{
		"":               "A=\n",
		"x":              "A=x\n",
		"a=b:c/d":        "A=a=b:c/d\n",
		"two words":      "A='two words'\n",
		"#x":             "A='#x'\n",
		"$HOME":          "A='$HOME'\n",
		"it's":           `A="it's"` + "\n",
		`say "hi"`:       `A='say "hi"'` + "\n",
		"two\nlines":     "A='two\nlines'\n",
		`c:\dir\`:        `A="c:\\dir\\"` + "\n",
		`it's $5 \d`:     `A="it's \$5 \\d"` + "\n",
		`'\`:             `A="'\\"` + "\n",
		"trailing tab\t": "A='trailing tab\t'\n",
	}
	for value, want := range tests {
		if got, ok := EnvLine(secret.Variable{Name: "A", Value: secret.NewString(value)}); !ok || got != want {
			t.Errorf("%q = %q, %v, want %q", value, got, ok, want)
		}
	}
}

// FuzzParseEnv proves that reading statement by statement is reading the whole,
// that errors show nothing of the file, and that lines can be read back.
func FuzzParseEnv(f *testing.F) {
	for _, seed := range []string{"A=1\nB=${A}\n", "A=\"x\ny\" B='z'\nC\nexport D: e # f\n", "A='it\\'s'\n\n#c\nB=\"\\$x\\101\"", "A=\"open\nB=2\n", "\ufeffA==\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		const file = "stacks/x/.env"
		parsed, err := ParseEnv(file, []byte(content), noLookup)
		if err != nil {
			if !strings.HasPrefix(err.Error(), file+":") {
				t.Errorf("no place: %v", err)
			}
			return
		}
		got := map[string]string{}
		for _, p := range parsed.parts {
			for _, e := range p.entries {
				got[e.Name] = string(e.Value.Reveal())
			}
		}
		want, err := dotenv.UnmarshalWithLookup(strings.TrimPrefix(content, "\ufeff"), noLookup)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("Compose reads it otherwise: %v (-want +got)\n%s", err, diff)
		}
		if same, err := parsed.Without(func(string) bool { return false }); err != nil || string(same) != string(parsed.Text()) {
			t.Errorf("without nothing it is %q, %v", same, err)
		}
		for _, name := range slices.Sorted(maps.Keys(got)) {
			line, ok := EnvLine(secret.Variable{Name: name, Value: secret.NewString(got[name])})
			if !ok {
				continue
			}
			back, err := ParseEnv(file, []byte(line), noLookup)
			if err != nil || !back.Says(secret.Variable{Name: name, Value: secret.NewString(got[name])}) {
				t.Errorf("%q does not read back: %v", line, err)
			}
		}
	})
}
