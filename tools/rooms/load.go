package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// A module is all packages below one folder, by path.
type module struct {
	packages []*pkg
	texts    []string // of comments, for the words in them
	literals []string // of code that is not a test
}

// A pkg is one package with its tests.
type pkg struct {
	path             string
	files            []*source
	lines, testLines int
	comment          bool
	info             *types.Info
	tests            []*source
}

// A source is one file.
type source struct {
	name     string
	ast      *ast.File
	fset     *token.FileSet
	lines    int
	comments int // lines
	imports  map[string]bool
}

// load reads and type-checks the module in dir.
func load(dir string) (*module, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	mode := packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo
	loaded, err := packages.Load(&packages.Config{Mode: mode, Dir: abs, Fset: fset, Tests: true}, "./...")
	if err != nil {
		return nil, err
	}
	m, seen := &module{}, map[string]bool{}
	byPath := map[string]*pkg{}
	for _, l := range loaded {
		if len(l.Errors) > 0 {
			return nil, errors.New(l.Errors[0].Error())
		}
		path := strings.TrimSuffix(l.PkgPath, "_test")
		p := byPath[path]
		if p == nil {
			p = &pkg{path: path}
			byPath[path] = p
			m.packages = append(m.packages, p)
		}
		if !strings.Contains(l.ID, "[") {
			p.info = l.TypesInfo
		}
		for _, f := range l.Syntax {
			name := fset.Position(f.FileStart).Filename
			again := strings.Contains(l.ID, "[") && !strings.HasSuffix(name, "_test.go")
			if !strings.HasPrefix(name, abs+"/") || ast.IsGenerated(f) || seen[name] || again {
				continue
			}
			seen[name] = true
			if err := m.add(p, &source{name: name, ast: f, fset: fset}); err != nil {
				return nil, err
			}
		}
	}
	m.packages = slices.DeleteFunc(m.packages, func(p *pkg) bool { return len(p.files)+len(p.tests) == 0 })
	slices.SortFunc(m.packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return m, nil
}

func (m *module) add(p *pkg, s *source) error {
	content, err := os.ReadFile(s.name)
	if err != nil {
		return err
	}
	s.lines = bytes.Count(content, []byte("\n"))
	for _, group := range s.ast.Comments {
		s.comments += s.fset.Position(group.End()).Line - s.fset.Position(group.Pos()).Line + 1
		m.texts = append(m.texts, group.Text())
	}
	if strings.HasSuffix(s.name, "_test.go") {
		p.tests, p.testLines = append(p.tests, s), p.testLines+s.lines
		return nil
	}
	p.files, p.lines = append(p.files, s), p.lines+s.lines
	p.comment = p.comment || s.ast.Doc != nil
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			m.literals = append(m.literals, lit.Value)
		}
		return true
	})
	return nil
}
