package scan

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/lockfile"
)

// public reports whether Salvor writes the file for everybody to read. A signature has
// random text next to fixed text, which looks like a provider's key now and then.
func public(name string) bool {
	switch dir, base := path.Split(name); dir {
	case "":
		return base == lockfile.Name || base == "recovery.age" || base == "recovery.age.sig"
	case "hosts/":
		return base == "known_hosts" || strings.HasSuffix(base, ".pub") || strings.HasSuffix(base, ".sig")
	}
	return strings.HasPrefix(name, fleet.SealedDir+"/")
}

func mustBeEncrypted(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(name, "secrets/") && base != ".gitkeep" && base != "README.md"
}

// binary decides as Git does.
func binary(content []byte) bool {
	return bytes.IndexByte(content[:min(8000, len(content))], 0) >= 0
}

func isYAML(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// hasNamedYAML reports whether a file's YAML keys say what a value is. Other
// YAML in a repository, such as a CI pipeline, has words of its own.
func hasNamedYAML(name string) bool {
	base := strings.TrimPrefix(path.Base(name), "docker-")
	compose := strings.HasPrefix(base, "compose.") || strings.HasPrefix(base, "compose-")
	return isYAML(name) && (isFleet(name) || compose || strings.HasPrefix(name, "stacks/") || strings.HasPrefix(name, "playbooks/") || strings.HasPrefix(name, "secrets/"))
}

func isFleet(name string) bool { return name == "fleet.yaml" }

// IsDotenv reports whether a file is an env file. It goes by the name: .env, stack.env, .env.production, app.env.example.
func IsDotenv(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".env") || strings.Contains(base, ".env.") || base == "env"
}

// isSettings reports whether a file has KEY = VALUE lines by what its name says.
func isSettings(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".ini", ".cfg", ".conf", ".toml", ".properties":
		return true
	}
	return IsDotenv(name)
}

// isSample reports whether a file is one that people copy and fill in: .env.example.
func isSample(name string) bool {
	base := strings.ToLower(path.Base(name))
	return slices.ContainsFunc([]string{"example", "sample", "template", ".dist"}, func(sign string) bool { return strings.Contains(base, sign) })
}

// isExample reports whether a file is for readers, or is to be filled in: placeholders
// in it are not passwords of a running service.
func isExample(name string) bool {
	dirs := strings.Split(strings.ToLower(name), "/")
	base := dirs[len(dirs)-1]
	if isSample(base) || strings.Contains(base, "readme") {
		return true
	}
	switch path.Ext(base) {
	case ".md", ".rst", ".adoc", ".tmpl", ".tpl", ".gotmpl", ".j2", ".jinja", ".jinja2", ".erb":
		return true
	}
	folders := dirs[:len(dirs)-1]
	if len(folders) > 1 && folders[0] == fleet.StackDir {
		folders = folders[2:] // a stack can have any name
	}
	return slices.ContainsFunc(folders, func(dir string) bool {
		switch dir {
		case "doc", "docs", "documentation", "example", "examples", "sample", "samples", "template", "templates":
			return true
		}
		return false
	})
}

// formats recognises what is encrypted, and dotenv files by their content.
type formats struct {
	sopsBlock   *regexp.Regexp
	sopsMAC     *regexp.Regexp
	ciphertext  *regexp.Regexp
	inlineVault *regexp.Regexp
	assignment  *regexp.Regexp
	yamlBreak   *regexp.Regexp
}

func newFormats() formats {
	return formats{
		// The four formats of SOPS: YAML, JSON, dotenv, INI. The MAC is asked for
		// too, so that a mention of SOPS is not taken for a SOPS file.
		sopsBlock: regexp.MustCompile(`(?m)^sops:|"sops"\s*:|^sops_version=|^\[sops\]`),
		sopsMAC:   regexp.MustCompile(`(?m)(?:^|[\s"{,])(?:sops_)?mac"?\s*[:=]\s*"?ENC\[AES256_GCM,`),
		// Parts of a file: values of SOPS, Ansible's !vault with its lines of
		// hexadecimal digits, age in its armour.
		ciphertext: regexp.MustCompile(`ENC\[AES256_GCM,[^\]\n]*\]` +
			`|\$ANSIBLE_VAULT;[^\n]*(?:\n[ \t]*[0-9a-f]{20,}[ \t]*\r?(?:$|\n)?)*` +
			`|-----BEGIN AGE ENCRYPTED FILE-----[A-Za-z0-9+/=\s]*-----END AGE ENCRYPTED FILE-----`),
		inlineVault: regexp.MustCompile(`(?m)^[^#\n]*!vault[ \t]+[|>][-+0-9]*[ \t]*(?:#[^\n]*)?\r?\n[ \t]+\$ANSIBLE_VAULT;`),
		assignment:  regexp.MustCompile(`^(?:export[ \t]+)?[A-Za-z_][A-Za-z0-9_.-]*=`),
		yamlBreak:   regexp.MustCompile(`\r\n|[\n\r\x{85}\x{2028}\x{2029}]`),
	}
}

// encrypted reports whether a file is encrypted as a whole.
func (f formats) encrypted(content []byte) bool {
	head := strings.TrimLeft(string(content[:min(200, len(content))]), " \t\r\n")
	for _, magic := range []string{"age-encryption.org/v1\n", "-----BEGIN AGE ENCRYPTED FILE-----", "$ANSIBLE_VAULT;"} {
		if strings.HasPrefix(head, magic) {
			return true
		}
	}
	return f.sopsBlock.Match(content) && f.sopsMAC.Match(content)
}

// inline reports whether a file is YAML in which single values are Ansible Vaults.
func (f formats) inline(name string, content []byte) bool {
	return isYAML(name) && len(content) <= maxSize && !binary(content) && f.inlineVault.Match(content)
}

// mask blanks the encrypted parts of a file and moves no byte.
func (f formats) mask(content []byte) string {
	masked := bytes.Clone(content)
	for _, part := range f.ciphertext.FindAllIndex(content, -1) {
		for i := part[0]; i < part[1]; i++ {
			if masked[i] != '\n' && masked[i] != '\r' {
				masked[i] = ' '
			}
		}
	}
	return string(masked)
}

// allAssignments reports whether a file has nothing but KEY=VALUE lines and
// comments: a stack's env_file can have any name.
func (f formats) allAssignments(content string) bool {
	found := false
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if !f.assignment.MatchString(line) {
			return false
		}
		found = true
	}
	return found
}
