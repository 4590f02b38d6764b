package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestContextsAreUsed: a context in a signature says that what is called can be interrupted. Where
// an interface asks for one that has no use it is called _.
func TestContextsAreUsed(t *testing.T) {
	for _, path := range sources(t) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				for _, name := range contexts(fn.Type) {
					if !mentions(fn.Body, name) {
						t.Errorf("%s: %s does not use %s", fset.Position(fn.Pos()), fn.Name.Name, name)
					}
				}
			}
		}
	}
}

// contexts are the names of a function's parameters that are contexts.
func contexts(of *ast.FuncType) []string {
	var names []string
	for _, field := range of.Params.List {
		if s, ok := field.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Context" {
			for _, name := range field.Names {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

func mentions(body *ast.BlockStmt, name string) bool {
	found := name == "_"
	ast.Inspect(body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == name {
			found = true
		}
		return !found
	})
	return found
}
