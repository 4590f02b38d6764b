package archtest

import (
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// macOS type-checks the operator's half as it would be built for macOS, without compiling
// the several hundred modules it is made of: those are left out, except the one whose
// names differ from system to system. What a missing type hides is not seen; make release
// compiles it all.
type macOS struct {
	t       *testing.T
	context build.Context
	files   *token.FileSet
	others  types.ImporterFrom
	checked map[string]*types.Package
}

func TestTheOperatorsHalfIsForMacOSToo(t *testing.T) {
	context := build.Default
	goroot, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	context.GOOS, context.GOARCH, context.CgoEnabled, context.GOROOT = "darwin", "arm64", false, strings.TrimSpace(string(goroot))
	files := token.NewFileSet()
	// the importer of sources takes the system that it reads them for from there
	was := build.Default
	build.Default = context
	t.Cleanup(func() { build.Default = was })
	m := &macOS{t, context, files, importer.ForCompiler(files, "source", nil).(types.ImporterFrom), map[string]*types.Package{}}
	if _, err := m.Import("salvor/cmd/salvor"); err != nil {
		t.Fatal(err)
	}
	if len(m.checked) < 50 {
		t.Errorf("only %d packages were looked at", len(m.checked))
	}
}

// leftOut is what go/types says because packages are left out, and for no other reason:
// names of theirs that it can't guess from their path, and what ours have from theirs.
var leftOut = regexp.MustCompile(`^could not import |^undefined: [A-Za-z0-9_]+$|imported.* and not used$|undefined \(type \*?[A-Za-z]+ has no field or method|invalid type`)

// Import implements types.Importer.
func (m *macOS) Import(path string) (*types.Package, error) {
	own := strings.HasPrefix(path, "salvor/")
	if !own && strings.Contains(strings.Split(path, "/")[0], ".") && path != "golang.org/x/sys/unix" {
		return nil, errOther
	}
	if !own {
		dir, err := filepath.Abs(root)
		if err != nil {
			return nil, err
		}
		p, err := m.others.ImportFrom(path, dir, 0)
		if err != nil {
			m.t.Errorf("%s: %v", path, err)
		}
		return p, err
	}
	if p := m.checked[path]; p != nil {
		return p, nil
	}
	config := types.Config{Importer: m, FakeImportC: true, Error: func(err error) {
		if e, is := err.(types.Error); is && !leftOut.MatchString(e.Msg) { //nolint:errorlint // as go/types gives it
			m.t.Errorf("on macOS: %v", err)
		}
	}}
	p, _ := config.Check(path, m.files, m.parsed(path), nil) // its errors went through Error
	m.checked[path] = p
	return p, nil
}

// errOther is the end of a package that is left out.
var errOther = types.Error{Msg: "left out"}

// parsed returns the files of one of our packages that macOS gets.
func (m *macOS) parsed(path string) []*ast.File {
	dir := filepath.Join(root, strings.TrimPrefix(path, "salvor/"))
	p, err := m.context.ImportDir(dir, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	var all []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(m.files, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}
