// Rooms counts what a tree of Go packages is like: lines, functions, methods on the
// largest type, and how many references inside a package run against its order.
//
//	cd tools && go run ./rooms [DIR]
//
// It prints one table for the whole module in DIR ("..", unless it is given) and one
// line for each package. Generated files and testdata don't count.
package main

import (
	"fmt"
	"log"
	"os"
	"text/tabwriter"
)

func main() {
	log.SetFlags(0)
	dir := ".."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	all, err := load(dir)
	if err != nil {
		log.Fatal(err)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer out.Flush()
	all.table(out)
	fmt.Fprintln(out, "\npackage\tlines\ttests\tfiles\tlargest receiver\tarrows\tagainst the order")
	for _, p := range all.packages {
		name, methods := p.largest()
		arrows, against := p.arrows()
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%s %d\t%d\t%d\n", p.path, p.lines, p.testLines, len(p.files), name, methods, arrows, against)
	}
}
