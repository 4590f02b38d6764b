package main

import (
	"fmt"
	"go/ast"
	"io"
	"regexp"
	"slices"
	"strings"
)

var (
	archaic = regexp.MustCompile(`(?i)\b(beside|nobody|lies|somebody|whoever|anew|cut short|by itself|let go|for good)\b`)
	apology = regexp.MustCompile(`(?i)^["` + "`" + `](failed to|error|could not|unable to)`)
	message = regexp.MustCompile(`^["` + "`" + `][a-z%].* `)
)

// table prints what counts for the whole module.
func (m *module) table(w io.Writer) {
	var files, lengths, params, packageLines []int
	var code, tests, comments, documented, exported, interfaces, methods, anys, sleeps, commented, long, many int
	largest, receiver := 0, ""
	for _, p := range m.packages {
		packageLines = append(packageLines, p.lines)
		code, tests = code+p.lines, tests+p.testLines
		if p.comment {
			commented++
		}
		if name, n := p.largest(); n > largest {
			largest, receiver = n, p.path+"."+name
		}
		for _, f := range p.files {
			files, comments = append(files, f.lines), comments+f.comments
			c := counted(f)
			lengths, params = append(lengths, c.lengths...), append(params, c.params...)
			documented, exported = documented+c.documented, exported+c.exported
			interfaces, methods, anys = interfaces+c.interfaces, methods+c.methods, anys+c.anys
		}
		for _, f := range p.tests {
			sleeps += counted(f).sleeps
		}
	}
	for i := range lengths {
		if lengths[i] > 40 {
			long++
		}
		if params[i] > 4 {
			many++
		}
	}
	words := 0
	for _, t := range m.texts {
		words += len(archaic.FindAllString(t, -1))
	}
	row := func(name, format string, v ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, v...)) }
	row("code lines / files", "%d / %d", code, len(files))
	row("test : code", "%.2f", share(tests, code))
	row("function p50 / p90 / p99 / max", "%s", spread(lengths, 50, 90, 99, 100))
	row("functions over 40 lines", "%.1f %%", 100*share(long, len(lengths)))
	row("parameters over 4 / max", "%.1f %% / %d", 100*share(many, len(params)), slices.Max(params))
	row("file p50 / p90 / max", "%s", spread(files, 50, 90, 100))
	row("package lines p50 / p90 / max", "%s", spread(packageLines, 50, 90, 100))
	row("methods on the largest type", "%d (%s)", largest, receiver)
	row("packages with a comment", "%d / %d", commented, len(m.packages))
	row("exported names documented", "%d / %d", documented, exported)
	row("interfaces x methods", "%d x %.1f", interfaces, share(methods, interfaces))
	row("map[string]any per 1,000 lines", "%.2f", 1000*share(anys, code))
	row("time.Sleep in tests", "%d", sleeps)
	row("texts that begin with failed to, error, could not", "%.1f %%", 100*m.apologies())
	row("comment lines", "%.1f %%", 100*share(comments, code))
	row("archaic words in comments", "%d", words)
}

func (m *module) apologies() float64 {
	n, bad := 0, 0
	for _, l := range m.literals {
		if message.MatchString(l) {
			n++
			if apology.MatchString(l) {
				bad++
			}
		}
	}
	return share(bad, n)
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func spread(all []int, percentiles ...int) string {
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	var out []string
	for _, p := range percentiles {
		out = append(out, fmt.Sprint(sorted[min(len(sorted)*p/100, len(sorted)-1)]))
	}
	return strings.Join(out, " / ")
}

type counts struct {
	lengths, params                                         []int
	documented, exported, interfaces, methods, anys, sleeps int
}

func counted(f *source) counts {
	var c counts
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				c.lengths = append(c.lengths, f.fset.Position(d.End()).Line-f.fset.Position(d.Pos()).Line+1)
				c.params = append(c.params, d.Type.Params.NumFields())
			}
			c.export(d.Name.Name, d.Doc != nil)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					c.export(s.Name.Name, d.Doc != nil || s.Doc != nil)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						c.export(n.Name, d.Doc != nil || s.Doc != nil || s.Comment != nil)
					}
				}
			}
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.InterfaceType:
			if n.Methods.NumFields() > 0 {
				c.interfaces, c.methods = c.interfaces+1, c.methods+n.Methods.NumFields()
			}
		case *ast.MapType:
			if isIdent(n.Key, "string") && isIdent(n.Value, "any") {
				c.anys++
			}
		case *ast.SelectorExpr:
			if isIdent(n.X, "time") && n.Sel.Name == "Sleep" {
				c.sleeps++
			}
		}
		return true
	})
	return c
}

func (c *counts) export(name string, documented bool) {
	if !ast.IsExported(name) {
		return
	}
	c.exported++
	if documented {
		c.documented++
	}
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
