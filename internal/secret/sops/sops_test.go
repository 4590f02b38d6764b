package sops

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

const canary = "hunter2-canary"

// samples is one plaintext for each format, as its store writes it back.
func samples() map[string]string {
	return map[string]string{
		"secrets/blob":      "\x00\xff" + canary + "\n\\n",
		"secrets/notes.env": "# comment\nDB_PASSWORD=" + canary + "\nQUOTED=\"a b\"\nEMPTY=\n",
		"secrets/app.yaml":  "# comment\ndb:\n    password: " + canary + "\n    port: 5432\n    enabled: true\nlist:\n    - a\n    - b\n",
		"secrets/app.json":  "{\n\t\"password\": \"" + canary + "\",\n\t\"list\": [\n\t\t1,\n\t\ttrue,\n\t\t\"x\"\n\t]\n}\n",
		"secrets/app.ini":   "[db]\npassword = " + canary + "\n",
	}
}

func mustKey(t testing.TB) agekey.Key {
	t.Helper()
	k, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustEncrypt(t testing.TB, path, plain string, recipients ...string) []byte {
	t.Helper()
	out, err := Encrypt(path, secret.NewString(plain), recipients)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustParse(t testing.TB, path string, data []byte) *File {
	t.Helper()
	f, err := Parse(path, data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func wantPlain(t *testing.T, f *File, ring agekey.Keyring, want string) {
	t.Helper()
	got, err := f.Plain(ring)
	if err != nil {
		t.Error(err)
	} else if diff := cmp.Diff(want, string(got.Reveal())); diff != "" {
		t.Errorf("%s: %s", f.path, diff)
	}
}

func TestTheSopsProgramReadsWhatWeWriteAndTheReverse(t *testing.T) {
	key := mustKey(t)
	sops := newSopsRun(t, key)
	for path, plain := range samples() {
		t.Run(string(FormatOf(path)), func(t *testing.T) {
			ours := mustEncrypt(t, path, plain, key.Recipient, mustKey(t).Recipient)
			if bytes.Contains(ours, []byte(canary)) {
				t.Fatal("the secret stands in the encrypted file")
			}
			wantPlain(t, mustParse(t, path, ours), key, plain)
			if got := sops.run(t, "decrypt", sops.put(t, path, ours)); string(got) != plain {
				t.Errorf("sops read %q, want %q", got, plain)
			}
			sops.put(t, path, []byte(plain))
			theirs := sops.run(t, "encrypt", "--age", key.Recipient, path)
			wantPlain(t, mustParse(t, path, theirs), key, plain)
		})
	}
}

func TestTheSopsProgramEditsOurFilesUnderOurConfig(t *testing.T) {
	key, recovery := mustKey(t), mustKey(t)
	recipients := []string{key.Recipient, recovery.Recipient}
	sops := newSopsRun(t, key)
	config, err := Config(recipients)
	if err != nil {
		t.Fatal(err)
	}
	sops.put(t, ".sops.yaml", config)
	path := "secrets/notes.env"
	sops.put(t, path, mustEncrypt(t, path, "A=1\n", recipients...))
	sops.run(t, "set", path, `["B"]`, `"`+canary+`"`)
	edited, err := os.ReadFile(sops.dir + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	wantPlain(t, mustParse(t, path, edited), recovery, "A=1\nB="+canary+"\n")

	sops.put(t, "secrets/new", []byte(canary))
	made := mustParse(t, "secrets/new", sops.run(t, "encrypt", "secrets/new"))
	if !made.Fits(recipients) {
		t.Errorf("a file made by sops under our config is for %v, want %v", made.Recipients(), recipients)
	}
}

func TestWhatCannotBeUnlocked(t *testing.T) {
	key := mustKey(t)
	for path, plain := range samples() {
		f := mustParse(t, path, mustEncrypt(t, path, plain, key.Recipient))
		for name, ring := range map[string]agekey.Keyring{"another key": mustKey(t), "no key": nil} {
			_, err := f.Plain(ring)
			if !errors.Is(err, secret.ErrLocked) || !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("%s, %s: %v", path, name, err)
			}
		}
	}
}

// tamperStep keeps the test short.
const tamperStep = 3

// Every byte of a file's values and codes is guarded; bytes that only lay it
// out (spaces, the version) may change without changing what is read.
func TestTamperingIsNoticedAllOverTheFile(t *testing.T) {
	key := mustKey(t)
	for path, plain := range samples() {
		t.Run(string(FormatOf(path)), func(t *testing.T) {
			data := mustEncrypt(t, path, plain, key.Recipient)
			refused := 0
			for i := 0; i < len(data); i += tamperStep {
				changed := bytes.Clone(data)
				changed[i] ^= 1
				if !wantSameOrRefused(t, path, changed, key, plain) {
					refused++
				}
			}
			for n := 0; n < len(data)-1; n += 7 {
				wantSameOrRefused(t, path, data[:n], key, plain)
			}
			if tried := len(data) / tamperStep; refused < tried/2 {
				t.Errorf("only %d of %d changed bytes were noticed", refused, tried)
			}
		})
	}
}

// wantSameOrRefused reports whether the file still read as it was written.
func wantSameOrRefused(t *testing.T, path string, data []byte, key agekey.Key, plain string) bool {
	t.Helper()
	f, err := Parse(path, data)
	var got secret.Value
	if err == nil {
		got, err = f.Plain(key)
	}
	if err == nil {
		same := sameMeaning(path, plain, string(got.Reveal()))
		if !same {
			t.Errorf("a changed file was read as %q", got.Reveal())
		}
		return true
	}
	if !strings.HasPrefix(err.Error(), path+": ") || strings.Contains(err.Error(), canary) {
		t.Errorf("error %q does not name the file, or shows a secret", err)
	}
	return false
}

// sameMeaning compares values: SOPS authenticates neither names nor comments
// nor the order of lines, only each value under its name and all together.
func sameMeaning(path, want, got string) bool {
	if FormatOf(path) == Binary {
		return want == got
	}
	return strings.Contains(got, canary)
}

func TestPlainFilesAreNamedAndNotShown(t *testing.T) {
	for path, plain := range samples() {
		_, err := Parse(path, []byte(plain))
		if !errors.Is(err, ErrPlain) || strings.Contains(err.Error(), canary) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"secrets/a.yaml", "secrets/a.json", "secrets/a.env"} {
		_, err := Encrypt(path, secret.NewString("{\n["+canary+": :"), []string{mustKey(t).Recipient})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSetEnvLeavesOtherLines(t *testing.T) {
	key := mustKey(t)
	path := "secrets/notes.env"
	before := mustEncrypt(t, path, "# c\nA=1\nB=2\n", key.Recipient)
	after, err := mustParse(t, path, before).SetEnv(key, secret.Variable{Name: "B", Value: secret.NewString(canary + "\nline two")})
	if err != nil {
		t.Fatal(err)
	}
	after, err = mustParse(t, path, after).SetEnv(key, secret.Variable{Name: "C", Value: secret.NewString("3")})
	if err != nil {
		t.Fatal(err)
	}
	f := mustParse(t, path, after)
	env, err := f.Env(key)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, v := range env {
		got[name] = string(v.Reveal())
	}
	if diff := cmp.Diff(map[string]string{"A": "1", "B": canary + "\nline two", "C": "3"}, got); diff != "" {
		t.Error(diff)
	}
	names, err := f.EnvNames()
	if diff := cmp.Diff([]string{"A", "B", "C"}, names); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if changed := changedLines(before, after); !slices.Equal(changed, []string{"B", "C", "sops_mac"}) {
		t.Errorf("changed lines: %v", changed)
	}
}

func TestReplaceEnvLeavesOtherLines(t *testing.T) {
	key := mustKey(t)
	path := "secrets/notes.env"
	const text = "# c\nA=1\nB=2\nC=3\n"
	before := mustEncrypt(t, path, text, key.Recipient)
	f := mustParse(t, path, before)
	if data, changed, err := f.ReplaceEnv(key, "notes.env", secret.NewString("\n"+text+"\n")); err != nil || changed != nil || data != nil {
		t.Errorf("the same text: changed %v, %v", changed, err)
	}
	after, changed, err := f.ReplaceEnv(key, "notes.env", secret.NewString("# c\nD="+canary+`\nline two`+"\nA=1\nC=4\n"))
	if err != nil || !slices.Equal(changed, []string{"D", "C"}) {
		t.Fatal(changed, err)
	}
	plain, err := mustParse(t, path, after).Plain(key)
	if want := "# c\nD=" + canary + `\nline two` + "\nA=1\nC=4\n"; err != nil || string(plain.Reveal()) != want {
		t.Errorf("= %q, %v", plain.Reveal(), err)
	}
	if changed := changedLines(before, after); !slices.Equal(changed, []string{"C", "D", "sops_mac"}) {
		t.Errorf("changed lines: %v", changed)
	}
}

func TestReplaceEnvNamesTheLine(t *testing.T) {
	key := mustKey(t)
	f := mustParse(t, "secrets/notes.env", mustEncrypt(t, "secrets/notes.env", "A=1\n", key.Recipient))
	tests := map[string]string{
		"A=1\n" + canary + "\n":                   "notes.env:2:1: want NAME=value, with letters, digits and _ in the name",
		"A=1\n\n" + canary + "-x=1\n":             "notes.env:3:1: want NAME=value, with letters, digits and _ in the name",
		"A=" + canary + "\n# c\nA=2\n":            "notes.env:3:1: A is set twice, first in line 1",
		"sops_mac=" + canary + "\n":               "notes.env:1:1: sops_mac: names that start with sops_ belong to SOPS",
		"B=1\nA_unencrypted=" + canary + "\n":     "notes.env:2:1: A_unencrypted: SOPS does not encrypt names that end in _unencrypted",
		"A=1\nB=" + canary + "\x00\n":             "notes.env:2:1: B: a dotenv file can only contain text; keep it as a file",
		"A=1\nB=2\n" + " C=" + canary + "\nD=4\n": "notes.env:3:1: want NAME=value, with letters, digits and _ in the name",
	}
	for text, want := range tests {
		if _, _, err := f.ReplaceEnv(key, "notes.env", secret.NewString(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func changedLines(before, after []byte) []string {
	old := map[string]bool{}
	for line := range strings.Lines(string(before)) {
		old[line] = true
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(after)) {
		name, _, _ := strings.Cut(line, "=")
		if !old[line] && name != "sops_lastmodified" { // counts in seconds
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func TestEnvRefusesWhatSOPSWouldChangeOrShow(t *testing.T) {
	key := mustKey(t)
	cases := map[string][2]string{
		"name with a dash":     {"A-B", "x"},
		"SOPS's own name":      {"sops_mac", "x"},
		"name left in clear":   {"A_unencrypted", canary},
		"backslash n":          {"A", canary + `\n`},
		"zero byte":            {"A", canary + "\x00"},
		"not text":             {"A", canary + "\xff"},
		"line break in a name": {"A\nB", canary},
	}
	for name, c := range cases {
		_, err := NewEnv("secrets/a.env", []string{key.Recipient}, secret.Variable{Name: c[0], Value: secret.NewString(c[1])})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecipients(t *testing.T) {
	operator, recovery, gone := mustKey(t), mustKey(t), mustKey(t)
	path := "secrets/token"
	f := mustParse(t, path, mustEncrypt(t, path, canary, operator.Recipient, gone.Recipient))
	want := []string{operator.Recipient, recovery.Recipient}
	if f.Fits(want) || !f.Fits([]string{gone.Recipient, operator.Recipient}) {
		t.Error("Fits is wrong")
	}
	rekeyed, err := f.Rekey(operator, want)
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, path, rekeyed)
	wantPlain(t, again, recovery, canary)
	if !again.Modified().Equal(f.Modified()) {
		t.Errorf("new recipients made the value of %s one of %s", f.Modified(), again.Modified())
	}
	if _, err := again.Plain(gone); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("who was removed still reads it: %v", err)
	}
	replaced, err := again.Replace(secret.NewString("other"), want)
	if err != nil {
		t.Fatal(err)
	}
	wantPlain(t, mustParse(t, path, replaced), recovery, "other")
	for name, rs := range map[string][]string{"none": nil, "no key": {"age1" + "zzz"}} {
		if _, err := Encrypt(path, secret.NewString(canary), rs); err == nil {
			t.Errorf("recipients %s: accepted", name)
		}
	}
}

// FuzzParse reads files of every format: what is not encrypted is never returned,
// and what can be read can be written again.
func FuzzParse(f *testing.F) {
	key := mustKey(f)
	for path, plain := range samples() {
		data := mustEncrypt(f, path, plain, key.Recipient)
		f.Add(path, data)
		f.Add(path, data[:len(data)/2])
		f.Add(path, []byte(plain))
		for other := range samples() {
			f.Add(other, data)
		}
	}
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		file, err := Parse(path, data)
		if err != nil {
			if !errors.Is(err, ErrPlain) {
				t.Errorf("a file that can't be read is called %v", err)
			}
			return
		}
		if len(file.OtherKeys()) > 0 {
			return // their services are not asked from a fuzz test
		}
		if _, err := file.EnvNames(); err != nil {
			t.Error(err)
		}
		v, err := file.Plain(key)
		switch {
		case err != nil && !v.IsZero():
			t.Error("plaintext beside an error")
		case err == nil && !bytes.Contains(data, []byte("ENC[AES256_GCM,")):
			t.Error("a file without an authentication code was opened")
		case err == nil:
			rewritten(t, file, key, v)
		}
	})
}

// FuzzParseEnv proves that a text is refused with its line and none of its
// content, or is what SOPS itself reads.
func FuzzParseEnv(f *testing.F) {
	f.Add("# c\nA=1\n\nB=two\\nlines\n")
	f.Add("A=1\nA=2\n")
	f.Add(" A=1\n=\nsops_mac=x")
	f.Fuzz(func(t *testing.T, text string) {
		branch, err := parseEnv("notes.env", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "notes.env:") {
				t.Errorf("no place: %v", err)
			}
			return
		}
		want, err := Dotenv.codec().LoadPlainFile([]byte(text))
		if err != nil || !slices.Equal(want[0], branch) {
			t.Errorf("SOPS reads %v, %v, want %v", want, err, branch)
		}
	})
}

// rewritten replaces a file's content with the same content, twice: the first time
// may spell it in another way.
func rewritten(t *testing.T, file *File, key agekey.Key, plain secret.Value) {
	t.Helper()
	for _, settled := range []bool{false, true} {
		data, err := file.Replace(plain, []string{key.Recipient})
		if err != nil {
			return // key groups, or an empty document
		}
		if file, err = Parse(file.path, data); err != nil {
			t.Fatal(err)
		}
		v, err := file.Plain(key)
		if err != nil || settled && !bytes.Equal(v.Reveal(), plain.Reveal()) {
			t.Fatalf("%q came back as %q, %v", plain.Reveal(), v.Reveal(), err)
		}
		plain = v
	}
}
