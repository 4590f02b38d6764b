package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"salvor/internal/finding"
)

// TestHintsNameCommands reads every hint and fix of the source and the table of
// findings: each `salvor …` in them is a command that there is, with flags that
// it has.
func TestHintsNameCommands(t *testing.T) {
	root := newRoot(&globals{})
	hints := map[string]string{}
	for _, row := range finding.Table() {
		hints[row.Fix] = string(row.Code)
	}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			err = collectHints(path, hints)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(hints) < 40 {
		t.Errorf("only %d hints were found", len(hints))
	}
	for hint, where := range hints {
		for _, words := range regexp.MustCompile(`\bsalvor( [a-z][a-z-]*| --?[a-z-]+| [A-Z]+)*`).FindAllString(hint, -1) {
			if why := unknown(root, strings.Fields(words)[1:]); why != "" {
				t.Errorf("%s: %q: %s", where, hint, why)
			}
		}
	}
}

// collectHints adds what is in calls of fault.WithHint, in fields named Fix or Hint,
// and in variables of such names.
func collectHints(path string, hints map[string]string) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		var of ast.Expr
		switch n := n.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && strings.HasPrefix(text, " --") {
				hints["salvor"+text] = files.Position(n.Pos()).String() // the end of a command line in parts
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "WithHint" && len(n.Args) == 2 {
				of = n.Args[1]
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "Fix" || key.Name == "Hint") {
				of = n.Value
			}
		case *ast.AssignStmt:
			switch left := n.Lhs[0].(type) {
			case *ast.Ident:
				if left.Name == "hint" || left.Name == "fix" {
					of = n.Rhs[0]
				}
			case *ast.SelectorExpr:
				if left.Sel.Name == "Fix" || left.Sel.Name == "Hint" {
					of = n.Rhs[len(n.Rhs)-1]
				}
			}
		}
		if of != nil {
			if text := literals(of); strings.Contains(text, "salvor") {
				hints[text] = files.Position(of.Pos()).String()
			}
		}
		return true
	})
	return nil
}

// literals joins the string literals of an expression; what is between them is an
// argument.
func literals(e ast.Expr) string {
	var parts []string
	ast.Inspect(e, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				parts = append(parts, text)
			}
		}
		return true
	})
	return strings.Join(parts, "X")
}

// unknown returns why words are not a command line of salvor, "" if they are. Prose
// may follow a command that takes no argument there.
func unknown(root *cobra.Command, words []string) string {
	cmd, flags := root, false
	for _, w := range words {
		if strings.HasPrefix(w, "-") {
			name := strings.TrimLeft(w, "-")
			if name != "help" && !hasFlag(cmd, name) && (cmd != root || !anyHasFlag(root, name)) {
				return cmd.CommandPath() + " has no flag " + w
			}
			flags = true
		}
		if flags { // what is not a flag behind one is its value, or prose
			continue
		}
		next := cmd
		for _, c := range cmd.Commands() {
			if c.Name() == w {
				next = c
			}
		}
		if next == cmd && cmd.HasSubCommands() && w == strings.ToLower(w) {
			return cmd.CommandPath() + " has no command " + w
		}
		cmd = next
	}
	return ""
}

func hasFlag(cmd *cobra.Command, name string) bool {
	return cmd.Flags().Lookup(name) != nil || cmd.Root().PersistentFlags().Lookup(name) != nil || len(name) == 1 && cmd.Flags().ShorthandLookup(name) != nil
}

// anyHasFlag is for the end of a command line whose beginning is not known.
func anyHasFlag(cmd *cobra.Command, name string) bool {
	return hasFlag(cmd, name) || slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return anyHasFlag(c, name) })
}
