package fleet

import "testing"

func TestParseSecretName(t *testing.T) {
	isFile := func(file string) bool { return file == "secrets/tls/site.key" }
	for name, c := range map[string]struct {
		want SecretName
		bad  bool
	}{
		"drive_token":     {want: SecretName{File: "secrets/drive_token"}},
		"blog/DB":         {want: SecretName{File: "secrets/blog.env", Stack: "blog", Key: "DB"}},
		"tls/site.key":    {want: SecretName{File: "secrets/tls/site.key"}},
		"all.yml/db/pass": {want: SecretName{File: "secrets/all.yml", Key: "db/pass"}},
		"A.YAML/x":        {want: SecretName{File: "secrets/A.YAML", Key: "x"}},
		"blog.env":        {want: SecretName{File: "secrets/blog.env"}, bad: true},
		"a b":             {want: SecretName{File: "secrets/a b"}, bad: true},
		"Blog/DB":         {want: SecretName{File: "secrets/Blog.env", Stack: "Blog", Key: "DB"}, bad: true},
		"../x.yml/y":      {want: SecretName{File: "secrets/../x.yml", Key: "y"}, bad: true},
		"../../etc/x":     {want: SecretName{File: "secrets/...env", Stack: "..", Key: "../etc/x"}, bad: true},
	} {
		got, err := ParseSecretName(name, isFile)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzParseSecretName(f *testing.F) {
	for _, name := range []string{"a", "blog/DB", "x.yml/a/b", "../x.yml/y", "/", "a//b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if n, err := ParseSecretName(name, func(string) bool { return true }); err == nil && BelowSecrets(n.File) != nil {
			t.Errorf("%q leads to %s", name, n.File)
		}
	})
}
