package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxMethods is how many methods a type may have: with more, each of which can reach
// every other, a reader finds no order.
const maxMethods = 40

func TestNoTypeIsAHall(t *testing.T) {
	methods := map[string]int{}
	for _, path := range sources(t) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, decl := range parsed(t, path).Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil {
				methods[filepath.Dir(path)+"."+receiver(f.Recv.List[0].Type)]++
			}
		}
	}
	for name, n := range methods {
		if n > maxMethods {
			t.Errorf("%s has %d methods, more than %d", name, n, maxMethods)
		}
	}
}

func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

func parsed(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// siblings lists the imports allowed between packages below one folder, each with its
// reason. A package and the one above it may know each other in one direction.
var siblings = map[[2]string]string{
	{"agent/heretest", "agent/here"}:                                 "it makes hosts for tests",
	{"agent/agenttest", "agent/here"}:                                "it makes hosts with a stack for tests",
	{"agent/agenttest", "agent/heretest"}:                            "it makes hosts with a stack for tests",
	{"agent/agenttest", "agent/keeper"}:                              "their snapshots are real",
	{"agent/agenttest", "agent/startup"}:                             "their stacks start as others do",
	{"snapshot/mariadb", "snapshot/method"}:                          "it implements the method",
	{"snapshot/mariadb/mariadbtest", "snapshot/method"}:              "it stands in for what a method runs on",
	{"snapshot/mariadb/mariadbtest", "snapshot/method/methodtest"}:   "its programs are run so",
	{"snapshot/postgres", "snapshot/method"}:                         "it implements the method",
	{"snapshot/postgres/postgrestest", "snapshot/method/methodtest"}: "its programs are run so",
	{"snapshot/postgres/postgrestest", "snapshot/method"}:            "it stands in for what a method runs on",
	{"snapshot/sqlite", "snapshot/nsexec"}:                           "sqlite3 sees a database's folder in a namespace of its own",
	{"snapshot/restic", "snapshot/nsexec"}:                           "restic sees the volumes in a namespace of its own",
}

func TestSiblingsAreStrangers(t *testing.T) {
	used := map[[2]string]bool{}
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			edge, are := siblingsOf(p.ImportPath, imported)
			if !are {
				continue
			}
			used[edge] = true
			if siblings[edge] == "" {
				t.Errorf("internal/%s imports its sibling %s; let the package above join them, or list it with a reason", edge[0], edge[1])
			}
		}
	}
	for edge := range siblings {
		if !used[edge] {
			t.Errorf("%s -> %s is allowed but nothing uses it any more", edge[0], edge[1])
		}
	}
}

// siblingsOf returns two packages of which neither is above the other and that have a
// folder of internal/ in common; the lab is one room.
func siblingsOf(from, to string) (edge [2]string, are bool) {
	a, ours := strings.CutPrefix(from, "salvor/internal/")
	b, theirs := strings.CutPrefix(to, "salvor/internal/")
	if !ours || !theirs || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
		return edge, false
	}
	top, _, nested := strings.Cut(a, "/")
	other, _, nestedToo := strings.Cut(b, "/")
	return [2]string{a, b}, nested && nestedToo && top == other && top != "lab" && (layerOf(a) < 0 || layerOf(b) < 0)
}

// TestOnlyPlacementChangesALock: each change is a function of that package, which the
// others call.
func TestOnlyPlacementChangesALock(t *testing.T) {
	for _, path := range sources(t) {
		dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), root+"/"))
		name, _ := top("salvor/" + dir)
		if strings.HasSuffix(path, "_test.go") || slices.Contains([]string{"placement", "lab"}, name) {
			continue
		}
		ast.Inspect(parsed(t, path), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if writesStacks(left) {
						t.Errorf("%s changes a lock", path)
					}
				}
			case *ast.SelectorExpr:
				if of, is := n.X.(*ast.Ident); is && of.Name == "lockfile" && n.Sel.Name == "Encode" && name == "cli" {
					t.Errorf("%s encodes a lock", path)
				}
			}
			return true
		})
	}
}

// writesStacks reports whether an assignment's left side is an entry of Lock.Stacks.
func writesStacks(left ast.Expr) bool {
	index, ok := left.(*ast.IndexExpr)
	if !ok {
		return false
	}
	field, ok := index.X.(*ast.SelectorExpr)
	if !ok || field.Sel.Name != "Stacks" {
		return false
	}
	name := ""
	switch of := field.X.(type) {
	case *ast.Ident:
		name = of.Name
	case *ast.SelectorExpr:
		name = of.Sel.Name
	}
	name = strings.ToLower(name)
	return strings.Contains(name, "lock") || strings.Contains(name, "next") // others have stacks that are not placements
}
