package confirmation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/machine/local"
)

// A run is everything that decides what a program of fleet.yaml does, as far as the
// repository decides it.
type run struct {
	Argv    []string          `json:"argv"`
	Program string            `json:"program"` // where it is on this computer
	Files   map[string]string `json:"files"`   // of the repository that it names, with their digests
}

// AllowProgram asks the operator before a program that fleet.yaml names runs on
// their computer for the first time, with these arguments and these files of the
// repository. It returns the folder that the program is to run in: the repository's
// for one that names files of it, else the operator's home, where it finds none.
func (c *Confirmed) AllowProgram(name string, argv []string) (dir string, err error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	what := run{Argv: argv}
	if what.Program, err = programPath(c.checkout.Root, argv[0]); errors.Is(err, fs.ErrNotExist) {
		return home, nil // nothing runs, and running it says so
	}
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", name, err)
	}
	var here bool
	if what.Files, here, err = namedFiles(c.checkout.Root, append([]string{what.Program}, argv...), home); err != nil {
		return "", fmt.Errorf("secret %s: %w", name, err)
	}
	if dir = home; here {
		dir = c.checkout.Root
	}
	text, err := json.Marshal(what)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	id := hex.EncodeToString(sum[:8])
	err = c.approve("programs", hex.EncodeToString(sum[:]), "allowed", func(string) Approval {
		return Approval{Question: what.question(name), Flag: "--allow-program", Value: id}
	})
	return dir, err
}

func (r run) question(name string) string {
	words := make([]string, len(r.Argv))
	for i, arg := range r.Argv {
		words[i] = strconv.Quote(arg)
	}
	with := ""
	for _, file := range slices.Sorted(maps.Keys(r.Files)) {
		with += fmt.Sprintf(", with the repository's %q as it is now", file)
	}
	return fmt.Sprintf("fleet.yaml runs this program on your computer to read the secret %s: %s (%s)%s. Allow it from now on?", name, strings.Join(words, " "), strconv.Quote(r.Program), with)
}

// programPath returns where a program is: by its path, in the repository for a
// relative one, or else by PATH.
func programPath(root, program string) (string, error) {
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(root, program)
	}
	return local.Resolve(program)
}

// namedFiles returns the files and folders of the repository that arguments name, seen
// from it or from the operator's home, each with a digest of all that is in it, and
// whether one of them is seen without the home. An argument that names one inside of a
// longer text, such as a line for a shell, can reach any, and so can a folder with a link
// to another: then it is all of them.
func namedFiles(in string, argv []string, home string) (files map[string]string, here bool, err error) {
	root, err := filepath.EvalSymlinks(in)
	if err != nil {
		return nil, false, err
	}
	files = map[string]string{}
	for _, arg := range argv {
		for _, word := range append(strings.FieldsFunc(arg, notInPath), arg) {
			named, inside := inFolder(root, home, word)
			if !inside {
				continue
			}
			if _, seen := inFolder(root, "", word); seen {
				here = true
			}
			if _, value, _ := strings.Cut(arg, "="); word != arg && word != value {
				named = root
			}
			if err := addDigest(files, root, named); err != nil {
				return nil, false, err
			}
		}
	}
	return files, here, nil
}

// addDigest notes the digest of what is named in a folder, or of all of that where it
// has a link to another folder.
func addDigest(files map[string]string, root, named string) error {
	digest, linked, err := digestBelow(named)
	if err == nil && linked && named != root {
		named = root
		digest, _, err = digestBelow(root)
	}
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(root, named)
	files[rel] = digest
	return err
}

func notInPath(r rune) bool { return strings.ContainsRune(" \t\r\n'\"`=:,;&|<>(){}$@", r) }

// inFolder returns the file or folder that a word names when it is there, in a folder:
// seen from it, from the operator's home ("" for not), or by its whole path, links
// followed or not.
func inFolder(root, home, word string) (named string, inside bool) {
	if word == "" {
		return "", false
	}
	below := func(path string) bool { return path == root || strings.HasPrefix(path, root+"/") }
	for _, named := range places(root, home, word) {
		real, err := filepath.EvalSymlinks(named)
		switch {
		case err != nil:
		case below(real):
			return real, true
		case below(named):
			return named, true
		}
	}
	return "", false
}

// places are where a word may be, as a program or a shell sees it. What begins with a
// variable, as $HOME/x, or with what is left of one, as the /x of ${HOME}/x, may be below
// either folder.
func places(root, home, word string) []string {
	from := []string{root}
	if home != "" {
		from = append(from, home)
	}
	var all []string
	if filepath.IsAbs(word) {
		all = append(all, filepath.Clean(word))
	}
	first, rest, _ := strings.Cut(word, "/")
	for _, dir := range from {
		all = append(all, filepath.Join(dir, word))
		if rest != "" && (first == "~" || variable.MatchString(first)) {
			all = append(all, filepath.Join(dir, rest))
		}
	}
	return all
}

var variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// digestBelow returns the digest of a file, or of all files in a folder but Git's
// own, and whether one of them is a link to a folder, which has more.
func digestBelow(path string) (digest string, linked bool, err error) {
	sum := sha256.New()
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", false, err
	}
	err = filepath.WalkDir(real, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(at) // links followed, as the program does
		switch {
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case err != nil || !info.Mode().IsRegular():
			linked = linked || err == nil && info.IsDir() && !d.IsDir()
			fmt.Fprintf(sum, "%q is not a file\x00", at)
			return nil
		}
		content, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		each := sha256.Sum256(content)
		fmt.Fprintf(sum, "%q %v %x\x00", at, info.Mode().Perm()&0o111 != 0, each)
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), linked, err
}
