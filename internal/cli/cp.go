package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/archive"
	"salvor/internal/fault"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

func newCp(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cp STACK/SERVICE:PATH LOCAL | LOCAL STACK/SERVICE:PATH",
		Short: "Copy files out of a service's container, or into it",
		Long: "Cp copies a file or a folder as docker cp does: into LOCAL or PATH where that is a folder, else under that name; a source that\n" +
			"ends in /. means what is in the folder. LOCAL can be -, for a tar stream. Links are copied as links and never followed\n" +
			"on this computer. What is copied into a container belongs to root there; in a volume it stays, elsewhere the next\n" +
			"deploy takes it away.",
		Args: exactArgs("FROM", "TO"),
		RunE: func(cmd *cobra.Command, args []string) error { return runCp(cmd.Context(), g, args[0], args[1]) },
	}
	return prints("files", annotated(cmd, firstOnly, "where to"))
}

// inContainer is how a path in a container is written.
var inContainer = regexp.MustCompile(`^([a-z0-9][a-z0-9_-]*)/([A-Za-z0-9][A-Za-z0-9._-]*):(.+)$`)

func runCp(ctx context.Context, g *globals, from, to string) error {
	source, target := inContainer.FindStringSubmatch(from), inContainer.FindStringSubmatch(to)
	if (source == nil) == (target == nil) {
		return fault.WithCode(fault.WithHint(errors.New("one of the two is a path in a container, STACK/SERVICE:PATH, and the other one is local"),
			"salvor cp notes/web:/etc/nginx/nginx.conf ."), fault.Usage)
	}
	there := source
	if there == nil {
		there = target
	}
	return g.onHost(ctx, there[1], func(h *stack.Host, name string) error {
		c, err := stack.Named(h, name).Files(ctx, there[2])
		if err != nil {
			return err
		}
		g.progress().Close()
		if source != nil {
			return copyOut(ctx, g, c, source[3], to)
		}
		return copyIn(ctx, g, c, from, target[3])
	})
}

func copyOut(ctx context.Context, g *globals, c stack.Files, from, to string) error {
	if to == "-" {
		if terminal.Is(g.Out) {
			return fault.WithCode(fault.WithHint(errors.New("a tar stream is not printed on a terminal"), "salvor cp STACK/SERVICE:PATH - >FILE.tar"), fault.Usage)
		}
		return c.CopyOut(ctx, from, terminal.Under(g.Out))
	}
	left := 0
	err := through(func(w io.Writer) error { return c.CopyOut(ctx, from, w) }, func(r io.Reader) (err error) {
		left, err = archive.Unpack(r, from, to)
		return err
	})
	if err == nil && left > 0 {
		terminal.Printf(g.Err, "note: %s left out\n", terminal.Count(left, "device, socket or pipe"))
	}
	return err
}

func copyIn(ctx context.Context, g *globals, c stack.Files, from, to string) error {
	if from == "-" {
		return c.CopyIn(ctx, to, g.In)
	}
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	absolute, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	dir, name, err := c.PlaceFor(ctx, filepath.Base(absolute), to, info.IsDir())
	if err != nil {
		return err
	}
	if strings.HasSuffix(from, "/.") {
		if dir, name = to, ""; !info.IsDir() {
			return fmt.Errorf("%s is not a folder", from)
		}
	}
	return through(func(w io.Writer) error { return archive.Pack(w, from, name) }, func(r io.Reader) error { return c.CopyIn(ctx, dir, r) })
}

// through has one side write what the other reads. Where the reader fails, its reason
// counts, unless it got nothing.
func through(write func(io.Writer) error, read func(io.Reader) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err) // a nil error is an ordinary end
		written <- err
	}()
	err := read(r)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // the end of the stream, which says nothing more
	}
	r.CloseWithError(errReaderDone)
	if wrote := <-written; err == nil || errors.Is(err, archive.ErrEmpty) && wrote != nil {
		err = wrote
	}
	return err
}

var errReaderDone = errors.New("no one reads any more")
