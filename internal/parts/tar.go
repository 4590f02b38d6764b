package parts

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// A part is a file or folder of a snapshot on its way into a tar stream.
type part struct {
	opened  *opened
	special bool // with set-uid bits, devices, pipes, and attributes other than the user's
	items   []item
	files   int
	bytes   int64
	left    int // devices, sockets and pipes that are left out

	done func(bytes int64) // gets how much was written
}

type item struct {
	name string // in the stream
	node repository.Node
	same string // the name of an item before that is the same file, "" for none
}

// collect finds what belongs to a file or folder, called name.
func (p *part) collect(ctx context.Context, name string, n repository.Node) error {
	first := map[[2]uint64]string{} // of files with several names
	add := func(at string, n repository.Node) {
		it := item{name: at, node: n}
		if n.Type == "file" && n.Links > 1 {
			key := [2]uint64{n.Device, n.Inode}
			if it.same = first[key]; it.same == "" {
				first[key] = at
			}
		}
		p.add(it)
	}
	add(name, n)
	if n.Type != "dir" {
		return nil
	}
	return p.opened.Repo.Walk(ctx, n, func(at string, n repository.Node) error {
		add(path.Join(name, at), n)
		return nil
	})
}

func (p *part) add(it item) {
	switch it.node.Type {
	case "file":
		if p.files++; it.same == "" {
			p.bytes += it.node.Size
		}
	case "dir", "symlink":
	case "dev", "chardev", "fifo":
		if !p.special {
			p.left++
			return
		}
	default: // a socket without its server means nothing
		p.left++
		return
	}
	p.items = append(p.items, it)
}

// write writes the stream. What is read is compared with its hash, and a file with its size.
func (p *part) write(ctx context.Context, w io.Writer) error {
	next, stop := iter.Pull2(p.opened.Repo.Ahead(ctx, p.blobs))
	defer stop()
	out := tar.NewWriter(w)
	for _, it := range p.items {
		if err := out.WriteHeader(p.header(it)); err != nil {
			return fmt.Errorf("%s: %w", it.name, err)
		}
		if !it.hasContent() {
			continue
		}
		if err := p.writeContent(ctx, out, it, next); err != nil {
			return fmt.Errorf("%s: %w", it.name, err)
		}
	}
	return out.Close()
}

// writeContent writes one file, from the next blobs.
func (p *part) writeContent(ctx context.Context, out io.Writer, it item, next func() ([]byte, error, bool)) error {
	left := it.node.Size
	for range it.node.Content {
		content, err, ok := next()
		if !ok {
			err = errors.Join(ctx.Err(), io.ErrUnexpectedEOF)
		}
		if left -= int64(len(content)); err == nil && left < 0 {
			break
		}
		if err == nil {
			_, err = out.Write(content)
		}
		if err != nil {
			return err
		}
		p.done(int64(len(content)))
	}
	if left != 0 {
		return fmt.Errorf("it has another size than the snapshot says: %w", snapshot.ErrDamaged)
	}
	return nil
}

func (i item) hasContent() bool { return i.node.Type == "file" && i.same == "" }

// blobs are those of all files, in order.
func (p *part) blobs(yield func(string) bool) {
	for _, it := range p.items {
		if !it.hasContent() {
			continue
		}
		for _, id := range it.node.Content {
			if !yield(id) {
				return
			}
		}
	}
}

// header has the owner and the time of a file, and of its attributes those that give nothing
// to any program, unless the rest was asked for.
func (p *part) header(it item) *tar.Header {
	n := it.node
	h := &tar.Header{Name: it.name, Mode: int64(n.Mode.Perm()), Uid: int(n.UID), Gid: int(n.GID), ModTime: n.ModTime, Format: tar.FormatPAX}
	if p.special {
		h.Mode |= special(n.Mode)
	}
	for _, a := range n.Attributes {
		if a.Name != "" && !strings.Contains(a.Name, "=") && (p.special || strings.HasPrefix(a.Name, "user.")) {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+a.Name] = string(a.Value)
		}
	}
	switch {
	case it.same != "":
		h.Typeflag, h.Linkname = tar.TypeLink, it.same
	case n.Type == "dir":
		h.Typeflag, h.Name = tar.TypeDir, it.name+"/"
	case n.Type == "symlink":
		h.Typeflag, h.Linkname = tar.TypeSymlink, n.Target()
	case n.Type == "fifo":
		h.Typeflag = tar.TypeFifo
	case n.Type == "dev" || n.Type == "chardev":
		h.Typeflag = tar.TypeBlock
		if n.Type == "chardev" {
			h.Typeflag = tar.TypeChar
		}
		h.Devmajor, h.Devminor = numbers(n.Special)
	default:
		h.Typeflag, h.Size = tar.TypeReg, n.Size
	}
	return h
}

// special are the bits of a mode that tar has and fs.FileMode has elsewhere.
func special(m fs.FileMode) (bits int64) {
	for bit, has := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&has != 0 {
			bits |= bit
		}
	}
	return bits
}

// numbers parts a device's number as Linux has it (makedev(3)).
func numbers(device uint64) (major, minor int64) {
	return int64(device>>8&0xfff | device>>32&^0xfff), int64(device&0xff | device>>12&^0xff&0xffffffff)
}
