package controlrepo

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// maxRevision fits an int on every machine.
const maxRevision = 1<<31 - 1

// checkSecrets reports what is said of secrets and does not fit together, or not
// with the files below secrets/. Names are all that is read of those.
func checkSecrets(r *yamldoc.Reader, f *fleet.Fleet, fsys fs.FS) {
	files := secretFiles{fsys: fsys}
	for _, s := range f.Secrets {
		if s.Command != nil {
			checkCommand(r, f, s, r.Places.Of("secrets", s.Name, "command"), files)
		}
	}
}

// noticeSecrets reports secrets that are not there: those with a period, and the one that
// publishes routes. That is not a problem of the file, since `salvor secret set` has to be
// able to make them.
func (repo *Repository) noticeSecrets(fsys fs.FS) {
	files := secretFiles{fsys: fsys}
	for _, s := range repo.Fleet.Secrets {
		if s.Command == nil && !files.hold(s.Name) {
			repo.Findings = append(repo.Findings, repo.SecretMissing(s.Name, suggest.DidYouMean(s.Name, files.names())))
		}
	}
	i := repo.Fleet.Ingress
	if name, is := i.Token.Secret(); is && i.Publishes() && !files.hold(name) && !repo.printed(name) {
		f := repo.SecretMissing(name, suggest.DidYouMean(name, files.names()))
		f.Severity, f.Subject = finding.Warning, repo.Place("ingress", "token").String()
		repo.Findings = append(repo.Findings, f)
	}
}

// printed reports whether a command prints a secret.
func (repo *Repository) printed(name string) bool {
	return slices.ContainsFunc(repo.Fleet.Secrets, func(s fleet.Secret) bool { return s.Name == name && s.Command != nil })
}

// SecretMissing is the finding about a secret of which fleet.yaml says something,
// and which is not there.
func (repo *Repository) SecretMissing(name, suggestion string) finding.Finding {
	fix := "salvor secret set " + name + " makes it"
	if suggestion != "" {
		fix = "correct the name; or " + fix
	}
	return finding.Finding{Code: finding.SecretMissing, Severity: finding.Fatal, Subject: repo.Place("secrets", name).String(), Text: fmt.Sprintf("the fleet has no secret %q%s", name, suggestion), Fix: fix}
}

func checkCommand(r *yamldoc.Reader, f *fleet.Fleet, s fleet.Secret, place yamldoc.Position, files secretFiles) {
	_, err := fleet.ParseSecretName(s.Name, nil)
	stack, variable, isVariable := strings.Cut(s.Name, "/")
	inYAML := fleet.SecretInYAML(s.Name)
	switch {
	case inYAML || !isVariable && err != nil:
		r.Add(place, "%q is not a name for a secret that a command prints: use NAME or STACK/KEY", s.Name)
	case isVariable && !fleet.IsVariable(variable):
		r.Add(place, "%q is not a variable name", variable)
	case isVariable && !declared(f, stack):
		r.Add(place, "there is no stack %q%s", stack, suggest.DidYouMean(stack, stackNames(f)))
	}
	if !inYAML && files.hold(s.Name) {
		r.Advise(place, "remove one of the two", "the secret %q is printed by a command here, but it is also in %s", s.Name, files.of(s.Name))
	}
}

func declared(f *fleet.Fleet, stack string) bool { _, ok := f.Stack(stack); return ok }

func stackNames(f *fleet.Fleet) []string {
	names := make([]string, len(f.Stacks))
	for i, s := range f.Stacks {
		names[i] = s.Name
	}
	return names
}

// secretFiles says which secrets the repository holds, by file names and by the names
// of variables, which SOPS does not encrypt. Whether a file is what it should be is
// not looked at.
type secretFiles struct{ fsys fs.FS }

// of returns the file that a secret of that name would be in.
func (s secretFiles) of(name string) string { return s.parse(name).File }

func (s secretFiles) parse(name string) fleet.SecretName {
	n, _ := fleet.ParseSecretName(name, func(file string) bool { // what is wrong with it is said where it is
		info, err := fs.Stat(s.fsys, file)
		return err == nil && !info.IsDir()
	})
	return n
}

func (s secretFiles) hold(name string) bool {
	n := s.parse(name)
	content, err := fs.ReadFile(s.fsys, n.File)
	if err == nil && n.Stack != "" {
		return slices.Contains(variablesOf(content), n.Key)
	}
	return err == nil
}

// names returns what a misspelt name may have meant.
func (s secretFiles) names() []string {
	entries, err := fs.ReadDir(s.fsys, fleet.SecretDir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		stack, isEnv := strings.CutSuffix(e.Name(), ".env")
		if !isEnv {
			names = append(names, e.Name())
			continue
		}
		content, err := fs.ReadFile(s.fsys, fleet.SecretDir+"/"+e.Name())
		if err != nil {
			continue
		}
		for _, v := range variablesOf(content) {
			names = append(names, stack+"/"+v)
		}
	}
	return names
}

func variablesOf(dotenv []byte) []string {
	var names []string
	for line := range strings.Lines(string(dotenv)) {
		if name, _, found := strings.Cut(line, "="); found && fleet.IsVariable(name) && !strings.HasPrefix(name, "sops_") {
			names = append(names, name)
		}
	}
	return names
}
