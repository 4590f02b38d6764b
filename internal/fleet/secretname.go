package fleet

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// SecretDir is the repository's folder of encrypted files.
const SecretDir = "secrets"

// VariablePattern is what a variable's name matches: it can be written as ${NAME}.
const VariablePattern = `^[A-Za-z_][A-Za-z0-9_]*$`

var (
	secretPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$`)
	variable      = regexp.MustCompile(VariablePattern)
	envPattern    = regexp.MustCompile(`(?i)\.env$`)
	// valuePattern splits the name of a value in a YAML file. Stacks have no dot in
	// their names, so it can't be a stack's variable.
	valuePattern = regexp.MustCompile(`(?i)^(.*?\.ya?ml)/(.+)$`)
)

// A SecretName is the name of a secret taken apart.
type SecretName struct {
	File  string // that holds it: "secrets/…", in the repository
	Stack string // whose variable it is, "" for none
	Key   string // of the variable, or of the value in a YAML file; "" for all of the file
}

// ParseSecretName takes a name apart: NAME is a file, FOLDER/FILE one in a folder if
// isFile says that "secrets/FOLDER/FILE" is there, STACK/KEY a variable of a stack,
// FILE.yml/KEY a value in a YAML file. A nil isFile knows no files. File is returned with
// an error, too: where the secret would be.
func ParseSecretName(name string, isFile func(file string) bool) (SecretName, error) {
	if m := valuePattern.FindStringSubmatch(name); m != nil {
		n := SecretName{File: SecretDir + "/" + m[1], Key: m[2]}
		return n, BelowSecrets(n.File)
	}
	whole := SecretName{File: SecretDir + "/" + name}
	stack, key, inside := strings.Cut(name, "/")
	if !inside {
		return whole, validSecret(name)
	}
	if isFile != nil && BelowSecrets(whole.File) == nil && isFile(whole.File) {
		return whole, nil
	}
	return SecretName{File: EnvFile(stack), Stack: stack, Key: key}, ValidName(stack)
}

// SecretInYAML reports whether a name leads into a YAML file.
func SecretInYAML(name string) bool {
	n, err := ParseSecretName(name, nil)
	return err == nil && n.Key != "" && n.Stack == ""
}

// EnvFile is the file that holds a stack's secret variables.
func EnvFile(stack string) string { return SecretDir + "/" + stack + ".env" }

// IsVariable reports whether a variable can have this name.
func IsVariable(name string) bool { return variable.MatchString(name) }

// BelowSecrets reports why a path of the repository is not a file below secrets/, or nil.
func BelowSecrets(file string) error {
	if path.Clean(file) != file || !strings.HasPrefix(file, SecretDir+"/") {
		return fmt.Errorf("%q is not a file below %s/", file, SecretDir)
	}
	return nil
}

// SecretFile is the file that holds the secret of a name that is not a path.
func SecretFile(name string) (string, error) {
	return SecretDir + "/" + name, validSecret(name)
}

func validSecret(name string) error {
	if !secretPattern.MatchString(name) {
		return fmt.Errorf("%q is not a name for a secret: use letters, digits, and any of . _ -", name)
	}
	if envPattern.MatchString(name) {
		return fmt.Errorf("%q is not a name for a secret: secrets/<stack>.env is for a stack's variables", name)
	}
	return nil
}
