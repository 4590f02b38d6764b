package main

import (
	"go/ast"
	"go/types"
)

// largest returns the receiver with most methods; a type that embeds another type of
// the same package counts with it, since each method of both can reach the other.
func (p *pkg) largest() (name string, methods int) {
	count, embeds := map[string]int{}, map[string][]string{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					count[base(d.Recv.List[0].Type)]++
				}
			case *ast.GenDecl:
				embedded(d, embeds)
			}
		}
	}
	for receiver, n := range count {
		for _, e := range embeds[receiver] {
			n += count[e]
		}
		if n > methods || n == methods && receiver < name {
			name, methods = receiver, n
		}
	}
	return name, methods
}

func embedded(d *ast.GenDecl, into map[string][]string) {
	for _, spec := range d.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		st, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range st.Fields.List {
			if len(field.Names) == 0 {
				into[t.Name.Name] = append(into[t.Name.Name], base(field.Type))
			}
		}
	}
}

func base(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return base(t.X)
	case *ast.IndexExpr:
		return base(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// arrows counts the pairs of files of which one uses names of the other, and how many
// of them run against the order in which fewest do, as a greedy search finds it
// (Eades, Lin, Smyth 1993).
func (p *pkg) arrows() (all, against int) {
	uses := p.fileUses()
	position := order(len(p.files), uses)
	for a := range uses {
		for b := range uses[a] {
			all++
			if position[a] > position[b] {
				against++
			}
		}
	}
	return all, against
}

func (p *pkg) fileUses() []map[int]bool {
	index := map[string]int{}
	for i, f := range p.files {
		index[f.name] = i
	}
	uses := make([]map[int]bool, len(p.files))
	for i, f := range p.files {
		uses[i] = map[int]bool{}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			obj := p.info.Uses[id]
			if obj == nil || obj.Pkg() == nil || !obj.Pos().IsValid() || !reachable(obj) {
				return true
			}
			if j, here := index[f.fset.Position(obj.Pos()).Filename]; here && j != i {
				uses[i][j] = true
			}
			return true
		})
	}
	return uses
}

// reachable reports whether another file can name an object: package-level ones and
// methods. Fields follow their type.
func reachable(o types.Object) bool {
	if f, ok := o.(*types.Func); ok {
		return f.Signature().Recv() != nil || o.Parent() == o.Pkg().Scope()
	}
	return o.Parent() == o.Pkg().Scope()
}

// order returns a position for each node, users first.
func order(n int, uses []map[int]bool) []int {
	left := map[int]bool{}
	for i := range n {
		left[i] = true
	}
	degree := func(i int) (out, in int) {
		for j := range left {
			if uses[i][j] {
				out++
			}
			if uses[j][i] {
				in++
			}
		}
		return out, in
	}
	position, first, last := make([]int, n), 0, n-1
	for len(left) > 0 {
		best, bestDelta, sink := -1, 0, false
		for i := range n {
			if !left[i] {
				continue
			}
			out, in := degree(i)
			if out == 0 {
				best, sink = i, true
				break
			}
			if best < 0 || out-in > bestDelta {
				best, bestDelta = i, out-in
			}
		}
		if sink {
			position[best], last = last, last-1
		} else {
			position[best], first = first, first+1
		}
		delete(left, best)
	}
	return position
}
