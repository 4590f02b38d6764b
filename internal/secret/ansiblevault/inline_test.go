package ansiblevault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"salvor/internal/secret"
)

const inlinePassword = "3f0c7d5e9a1b48c2d6e7f8091a2b3c4d"

// sealed is a vault of a value, as a file's text.
func sealed(t testing.TB, plain, id string) []byte {
	t.Helper()
	vault, err := Seal(secret.NewString(plain), secret.NewString(inlinePassword), id)
	if err != nil {
		t.Fatal(err)
	}
	return vault
}

// inlined writes a vault below a key, at a depth.
func inlined(t testing.TB, plain, id string, depth int) string {
	t.Helper()
	space := strings.Repeat(" ", depth)
	return "!vault |\n" + space + strings.ReplaceAll(strings.TrimSpace(string(sealed(t, plain, id))), "\n", "\n"+space) + "\n"
}

func mustInline(t testing.TB, content string) *Inline {
	t.Helper()
	f, ok, err := ParseInline("secrets/group.yml", []byte(content))
	if err != nil || !ok {
		t.Fatalf("no file with vaults in it: %v\n%s", err, content)
	}
	return f
}

// opened returns what the file's vaults hold, by name.
func opened(t testing.TB, f *Inline) map[string]string {
	t.Helper()
	values, err := f.Values()
	if err != nil {
		t.Fatal(err)
	}
	plain := map[string]string{}
	for _, v := range values {
		p, err := v.Envelope.Open(secret.NewString(inlinePassword))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		plain[v.Name] = string(p.Reveal())
	}
	return plain
}

func TestInlineValuesAreNamed(t *testing.T) {
	f := mustInline(t, "---\n# of the group\nport: 80\ndb:\n  user: notes\n  password: "+inlined(t, "one", "", 10)+
		"tokens:\n  - "+inlined(t, "two", "prod", 10)+"  - name: x\n    value: "+inlined(t, "three", "", 6)+"a.b: "+inlined(t, "four\n", "", 2)+"same: &s "+inlined(t, "five", "", 4)+"other: *s\n")
	want := map[string]string{"db.password": "one", "tokens.0": "two", "tokens.1.value": "three", "a.b": "four\n", "same": "five"}
	if diff := cmp.Diff(want, opened(t, f)); diff != "" {
		t.Error(diff)
	}
	if v, err := f.Value("tokens.0"); err != nil || v.Envelope.ID != "prod" {
		t.Errorf("vault id %q, %v", v.Envelope.ID, err)
	}
	if _, err := f.Value("db.user"); err == nil || err.Error() != "secrets/group.yml:5:9: db.user is not encrypted" {
		t.Errorf("a plain value: %v", err)
	}
	if _, err := f.Value("db.pass"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("no value: %v", err)
	}
}

func TestWhatIsNoInlineFile(t *testing.T) {
	for name, content := range map[string]string{"plain": "a: b\n", "talk": "a: 'use !vault |'\n", "empty": "", "other tag": "a: !vaults b\n"} {
		if _, ok, err := ParseInline("f.yml", []byte(content)); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	for name, content := range map[string]string{
		"no YAML":       "a: !vault |\n  x\n b: [hunter2\n",
		"two documents": "a: !vault |\n  x\n---\nb: hunter2\n",
	} {
		if _, ok, err := ParseInline("f.yml", []byte(content)); !ok || !errors.Is(err, ErrFormat) || strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(err.Error(), "f.yml: ") {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	f := mustInline(t, "a: !vault |\n  hunter2\nb: "+inlined(t, "x", "", 4))
	values, err := f.Values()
	if len(values) != 1 || !errors.Is(err, ErrFormat) || strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(err.Error(), "secrets/group.yml:1:4: a: ") {
		t.Errorf("%d values, %v", len(values), err)
	}
}

func TestInlineSetLeavesTheRest(t *testing.T) {
	old := inlined(t, "old", "", 10)
	short := inlined(t, "old", "", 4)
	crlf := strings.ReplaceAll(old, "\n", "\r\n")
	tests := map[string]struct{ name, in, before, after string }{
		"in place":        {"db.password", "# c\ndb:\n  user: a # b\n  password: " + old + "\n  # c\n  port: 1\n", "# c\ndb:\n  user: a # b\n  password: !vault |\n          $ANSIBLE", "\n\n  # c\n  port: 1\n"},
		"its own depth":   {"a", "a: " + short + "b: 1\n", "a: !vault |\n    $ANSIBLE", "\nb: 1\n"},
		"in a list":       {"l.1", "l:\n- x\n- " + old + "- y # z\n", "l:\n- x\n- !vault |\n          $ANSIBLE", "\n- y # z\n"},
		"comment at head": {"a", "a: !vault | # mine\n" + strings.TrimPrefix(old, "!vault |\n") + "b: 1\n", "a: !vault | # mine\n          $ANSIBLE", "\nb: 1\n"},
		"no last newline": {"a", strings.TrimSuffix("a: "+old, "\n"), "a: !vault |\n          $ANSIBLE", ""},
		"crlf":            {"a", "# c\r\na: " + crlf + "b: 1\r\n", "# c\r\na: !vault |\r\n          $ANSIBLE", "\r\nb: 1\r\n"},
		"plain":           {"a", "a: hunter2 # mine\nb: " + old, "a: !vault | # mine\n          $ANSIBLE", "\nb: " + old},
		"quoted":          {"a", "a: \"hunter2 # not mine\"   # mine\nb: " + old, "a: !vault |   # mine\n          $ANSIBLE", "\nb: " + old},
		"nothing yet":     {"a", "a:\nb: " + old, "a: !vault |\n          $ANSIBLE", "\nb: " + old},
		"null":            {"a", "a: ~\nb: " + old, "a: !vault |\n          $ANSIBLE", "\nb: " + old},
		"added":           {"c", "a: 1\nb: " + old + "\n# end\n", "a: 1\nb: " + old + "c: !vault |\n          $ANSIBLE", "\n\n# end\n"},
		"added deeper":    {"db.x", "db:\n    a: 1\n    # c\nb: " + old, "db:\n    a: 1\n    x: !vault |\n              $ANSIBLE", "\n    # c\nb: " + old},
		"added new map":   {"x.w.z", "b: " + old, "b: " + old + "x:\n  w:\n    z: !vault |\n              $ANSIBLE", "\n"},
		"added odd key":   {"no", "b: " + old, "b: " + old + "\"no\": !vault |\n          $ANSIBLE", "\n"},
		"added in a list": {"l.0.b", "l:\n  - a: " + old + "  - c: 1\n", "l:\n  - a: " + old + "    b: !vault |\n              $ANSIBLE", "\n  - c: 1\n"},
		"added, no break": {"c", "b: " + old + "a: 1", "b: " + old + "a: 1\nc: !vault |\n          $ANSIBLE", ""},
		"dotted key":      {"a.b", "a.b: " + old + "a: {x: 1}\n", "a.b: !vault |\n          $ANSIBLE", "\na: {x: 1}\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := mustInline(t, test.in)
			want := opened(t, f)
			want[test.name] = "new"
			got, err := f.Set(test.name, sealed(t, "new", ""))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(got), test.before) || !strings.HasSuffix(string(got), test.after) {
				t.Errorf("more than the value changed:\n%s", got)
			}
			if diff := cmp.Diff(want, opened(t, mustInline(t, string(got)))); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(string(got), "hunter2") {
				t.Error("part of the old value is left")
			}
		})
	}
}

func TestInlineSetRefuses(t *testing.T) {
	old := inlined(t, "old", "", 10)
	for name, in := range map[string][2]string{
		"a shared value": {"a", "a: &a " + old + "b: *a\n"},
		"an alias":       {"b", "a: &a " + old + "b: *a\n"},
		"a mapping":      {"a", "a: {b: 1}\nc: " + old},
		"in braces":      {"a.b", "a: {b: 1}\nc: " + old},
		"into braces":    {"a.d", "a: {b: 1}\nc: " + old},
		"below a text":   {"a.d", "a: b\nc: " + old},
		"folded":         {"a", "a: >-\n  hunter2\nc: " + old},
	} {
		if got, err := mustInline(t, in[1]).Set(in[0], sealed(t, "new", "")); !errors.Is(err, ErrByHand) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	twice := mustInline(t, "a: "+old+"a: "+old)
	if _, err := twice.Set("a", sealed(t, "new", "")); err == nil || !strings.Contains(err.Error(), "a second value is named a") {
		t.Errorf("two of one name: %v", err)
	}
	for _, name := range []string{"", ".a", "a.", "a..b"} {
		if _, err := twice.Set(name, sealed(t, "new", "")); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}

func TestNewInline(t *testing.T) {
	content, err := NewInline("secrets/group.yml", "db.password", sealed(t, "x", "prod"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"db.password": "x"}, opened(t, mustInline(t, string(content)))); diff != "" {
		t.Error(diff)
	}
}

// awkward are values that YAML would read as something else, or not at all, if they
// were not quoted.
func awkward() []string {
	return []string{"", "true", "123", "~", " a ", "a: b", "- x", "# c", "\ttab", "line\nline\n", "trailing\n\n", "\r\n", "\x00\x01\x7f", "ü😀\u2028", "%d {{ x }}", "!vault |", "*a", "&b", strings.Repeat("long ", 100)}
}

func TestClearIsTheSameYAML(t *testing.T) {
	for _, plain := range awkward() {
		f := mustInline(t, "# c\nport: 80\ndb: {user: a}\nl:\n  - "+inlined(t, plain, "", 6)+"s: &s "+inlined(t, "shared", "", 6)+"o: *s\n")
		clear, err := f.Clear(func(v InlineValue) (secret.Value, error) { return v.Envelope.Open(secret.NewString(inlinePassword)) })
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Port int
			DB   map[string]string `yaml:"db"`
			L    []string
			S, O string
		}
		if err := yaml.Unmarshal(clear.Reveal(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Port != 80 || got.DB["user"] != "a" || len(got.L) != 1 || got.L[0] != plain || got.S != "shared" || got.O != "shared" {
			t.Errorf("%q came back as %+v", plain, got)
		}
	}
	f := mustInline(t, "a: "+inlined(t, "hunter2\xff", "", 4))
	_, err := f.Clear(func(v InlineValue) (secret.Value, error) { return v.Envelope.Open(secret.NewString(inlinePassword)) })
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("bytes that are no text: %v", err)
	}
}

// TestAnsibleReadsInline has the real program write values into a file of ours and
// read ours from it.
func TestAnsibleReadsInline(t *testing.T) {
	a := newAnsible(t)
	a.write(t, "password", []byte(inlinePassword+"\n"))
	theirs := a.text(t, "ansible-vault", "encrypt_string", "--vault-id", "prod@password", "--encrypt-vault-id", "prod", "--name", "theirs", "of ansible-vault")
	content := "---\nplain: 1\n" + strings.TrimSpace(theirs) + "\n"
	if diff := cmp.Diff(map[string]string{"theirs": "of ansible-vault"}, opened(t, mustInline(t, content))); diff != "" {
		t.Fatal(diff)
	}
	want := map[string]string{"theirs": "of ansible-vault", "ours": "of Salvor", "deep.er": "line\nline\n"}
	for _, name := range []string{"ours", "deep.er"} {
		next, err := mustInline(t, content).Set(name, sealed(t, want[name], "prod"))
		if err != nil {
			t.Fatal(err)
		}
		content = string(next)
	}
	a.write(t, "group.yml", []byte(content))
	for name, value := range want {
		got := a.text(t, "ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "msg=<<{{ ("+name+" | string) | b64encode }}>>", "-e", "@group.yml", "--vault-id", "prod@password")
		if !strings.Contains(got, "<<"+base64.StdEncoding.EncodeToString([]byte(value))+">>") {
			t.Errorf("%s: ansible read\n%s", name, got)
		}
	}
}

func (a *ansible) text(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(a.program), program), args...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "ANSIBLE_HOME="+a.dir, "ANSIBLE_LOCAL_TEMP="+a.dir, "ANSIBLE_NOCOLOR=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", program, args, err, out, stderr.Bytes())
	}
	return string(out)
}

// FuzzInline reads any file and sets any value in it: either it is refused, or the
// file still says what it said, and the value.
func FuzzInline(f *testing.F) {
	vault := sealed(f, "new", "prod")
	for _, seed := range []string{
		"db:\n  password: " + inlined(f, "x", "", 10) + "  port: 1\n", "- a\n- " + inlined(f, "x", "", 4), "a: &a " + inlined(f, "x", "", 4) + "b: *a\n",
		"a: !vault \"$ANSIBLE_VAULT;1.1;AES256\\n6161\"\n", "\ufeff# c\r\na: !vault |\r\n  $ANSIBLE_VAULT;1.1;AES256\r\n  61\r\n...\r\n",
	} {
		for _, name := range []string{"a", "db.password", "db.new", "1", "x.y"} {
			f.Add([]byte(seed), name)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		file, ok, err := ParseInline("f.yml", content)
		if !ok || err != nil {
			return
		}
		before, _ := file.Values()
		if clear, err := file.Clear(func(InlineValue) (secret.Value, error) { return secret.NewString("plain"), nil }); err == nil {
			if _, still, err := ParseInline("f.yml", clear.Reveal()); still || err != nil {
				t.Fatalf("in clear it has vaults, or is no YAML: %v", err)
			}
		}
		edited, err := file.Set(name, vault)
		if err != nil {
			return
		}
		again, ok, err := ParseInline("f.yml", edited)
		if !ok || err != nil {
			t.Fatalf("the edit broke the file: %v\n%q", err, edited)
		}
		v, err := again.Value(name)
		if err != nil || v.Text != strings.TrimSpace(string(vault)) {
			t.Fatalf("the value is not there: %v\n%q", err, edited)
		}
		after, _ := again.Values()
		for _, v := range before {
			if v.Name != name && !slices.ContainsFunc(after, func(a InlineValue) bool { return a.Name == v.Name && a.Text == v.Text }) {
				t.Fatalf("%q changed too\n%q", v.Name, edited)
			}
		}
	})
}
