package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root     = "../.."
	maxLines = 800
)

func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesStayReadable(t *testing.T) {
	for _, path := range sources(t) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(content, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string]int{}
	for _, path := range sources(t) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(path)
		comments[dir] += count(f.Doc)
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", dir, n)
		}
	}
}

func count(doc *ast.CommentGroup) int {
	if doc == nil {
		return 0
	}
	return 1
}

func TestNoMutableGlobals(t *testing.T) {
	for _, path := range sources(t) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.VAR {
				checkGlobals(t, path, g)
			}
		}
	}
}

// checkGlobals allows what is never reassigned by its nature: sentinels, compiled
// patterns, embedded files, interface assertions, and tables, which are unexported
// literals.
func checkGlobals(t *testing.T, path string, g *ast.GenDecl) {
	t.Helper()
	for _, spec := range g.Specs {
		vs := spec.(*ast.ValueSpec)
		for _, name := range vs.Names {
			sentinel := strings.HasPrefix(name.Name, "Err") || strings.HasPrefix(name.Name, "err")
			if name.Name == "_" || sentinel || g.Doc != nil && strings.Contains(g.Doc.Text(), "go:embed") || len(vs.Values) > 0 && !name.IsExported() {
				continue
			}
			if len(vs.Values) == 0 && hasEmbed(g, vs) {
				continue
			}
			t.Errorf("%s: variable %s is global and can change", path, name.Name)
		}
	}
}

func hasEmbed(g *ast.GenDecl, vs *ast.ValueSpec) bool {
	// parsed without comments, a bare typed variable of embed's types is the sign
	switch typ := vs.Type.(type) {
	case *ast.SelectorExpr:
		return typ.Sel.Name == "FS"
	case *ast.ArrayType:
		return true
	}
	return g.Doc != nil
}
