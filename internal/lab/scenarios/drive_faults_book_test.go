package scenarios

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/mount"
	"salvor/internal/storage/drivetest"
)

// A book has what programs wrote to a shared volume, and what was shown of it. It is
// safe for concurrent use.
type book struct {
	mu     sync.Mutex
	papers []*paper
	former map[string]*paper // by each name that one ever had
}

// A paper is one file. A program that got an error for it does not touch it again, so
// that at most the last of its versions may be there in part.
type paper struct {
	names    []string // that it may have on the remote; the last is what its program gave it
	versions []version
	acked    int // number of the version that was last shown as uploaded, 0 for none
	changes  int // that programs began
	busy     bool
	over     bool // its last change ended with an error
	deleted  bool // or may be, if it is over
	history  []string
}

// note adds to what is printed if something is wrong with the paper in the end.
func (p *paper) note(format string, args ...any) {
	p.history = append(p.history, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// A found is a file that was found somewhere.
type found struct {
	sum  string
	size int64
	open func() (io.ReadCloser, error)
}

func foundAs(content []byte) found {
	v := small(content)
	return found{v.sum, v.size, func() (io.ReadCloser, error) { return io.NopCloser(v.reader()), nil }}
}

// A version is what a program wrote, or began to.
type version struct {
	sum   string
	bytes []byte // nil for a large one
	seed  uint64 // of a large one
	size  int64
}

func small(b []byte) version {
	sum := sha256.Sum256(b)
	return version{sum: hex.EncodeToString(sum[:]), bytes: b, size: int64(len(b))}
}

func large(seed uint64, size int64) version {
	v := version{seed: seed, size: size}
	v.sum, _ = sumOf(v.reader()) // neither fails
	return v
}

func sumOf(in io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, in)
	return hex.EncodeToString(h.Sum(nil)), err
}

func (v version) reader() io.Reader {
	if v.bytes != nil {
		return bytes.NewReader(v.bytes)
	}
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(v.seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(seed), v.size)
}

// begin notes that a program begins to change a paper, to a version if it has a sum, to a
// name if it is not empty.
func (b *book) begin(p *paper, v version, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p.names) == 0 {
		b.papers = append(b.papers, p)
	}
	p.busy = true
	p.changes++
	p.note("change %d, %d bytes, %s", p.changes, v.size, name)
	if v.sum != "" {
		p.versions = append(p.versions, v)
	}
	if name != "" {
		p.names = append(p.names, name)
		b.former[name] = p
	}
}

func (b *book) ended(p *paper, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.busy, p.over = false, err != nil
	p.note("ended %v", err)
}

func (p *paper) name() string { return p.names[len(p.names)-1] }

// acknowledge takes for stored what a look does not show as unsent. Papers that programs
// change meanwhile are left out.
func (b *book) acknowledge(look func() (mount.Unsent, error)) error {
	b.mu.Lock()
	before := map[*paper]int{}
	for _, p := range b.papers {
		if !p.busy && !p.over && !p.deleted {
			before[p] = p.changes
		}
	}
	b.mu.Unlock()
	unsent, err := look()
	if err != nil {
		return err
	}
	waits := map[string]bool{}
	for _, f := range unsent {
		waits[f.Path] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, changes := range before {
		if !p.busy && p.changes == changes && !waits[p.name()] {
			if p.acked < len(p.versions) || len(p.names) > 1 {
				p.note("shown as uploaded")
			}
			p.acked, p.names = len(p.versions), p.names[len(p.names)-1:]
		}
	}
	return nil
}

// any returns a paper that was shown as uploaded and that no program changes, nil for none.
func (b *book) any(r *rand.Rand) *paper {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.papers) == 0 {
		return nil
	}
	if p := b.papers[r.IntN(len(b.papers))]; p.acked > 0 && !p.busy && !p.over && !p.deleted {
		return p
	}
	return nil
}

// mixed reports whether content is none that a program ever wrote to the paper.
func (b *book) mixed(p *paper, content []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.has(foundAs(content), 0) == 0
}

// has returns the number of the version that was found, not before one; 0 if it is none.
func (p *paper) has(f found, from int) int {
	for i := len(p.versions); i > max(from-1, 0); i-- {
		if p.versions[i-1].sum == f.sum {
			return i
		}
	}
	if p.over && p.inPart(f) {
		return len(p.versions)
	}
	return 0
}

// inPart reports whether a file may be what a write left that ended with an error: a beginning of
// the new version, or blocks of it over the version before.
func (p *paper) inPart(f found) bool {
	last := p.versions[len(p.versions)-1]
	if f.size > last.size {
		return false
	}
	if begins(f, last) {
		return true
	}
	if len(p.versions) < 2 || last.bytes == nil || f.size != last.size {
		return false
	}
	old, content := p.versions[len(p.versions)-2].bytes, f.content()
	for at := 0; at < len(content); at += blockSize {
		part := content[at:min(at+blockSize, len(content))]
		same := func(b []byte) bool { return at+len(part) <= len(b) && bytes.Equal(part, b[at:at+len(part)]) }
		if !same(last.bytes) && !same(old) {
			return false
		}
	}
	return true
}

// begins reports whether a version begins with a file.
func begins(f found, v version) bool {
	in, err := f.open()
	if err != nil {
		return false
	}
	defer in.Close()
	want, a, b := v.reader(), make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(in, a)
		if m, _ := io.ReadFull(want, b[:n]); m < n || !bytes.Equal(a[:n], b[:n]) {
			return false
		}
		if err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}

// content returns what a small file holds, nothing of a large one.
func (f found) content() []byte {
	if f.size > imageSize {
		return nil
	}
	in, err := f.open()
	if err != nil {
		return nil
	}
	defer in.Close()
	content, _ := io.ReadAll(in) // what is missing is of no version
	return content
}

// origins describes a mixture: how many of its blocks are of which version.
func (p *paper) origins(content []byte) string {
	count := map[int]int{}
	for at := 0; at < len(content); at += blockSize {
		part, from := content[at:min(at+blockSize, len(content))], 0
		for n := len(p.versions); n > 0 && from == 0; n-- {
			if b := p.versions[n-1].bytes; at+len(part) <= len(b) && bytes.Equal(part, b[at:at+len(part)]) {
				from = n
			}
		}
		count[from]++
	}
	return fmt.Sprintf("blocks by version %v of %d, uploaded as %d, ended with an error: %v", count, len(p.versions), p.acked, p.over)
}

// A verdict is what the end of a run shows.
type verdict struct {
	stored, listed int
	leftover       int // copies under a name that a file does not have any more, or of one that was deleted
	wrong          []string
	left           []string // how one or two of the leftovers came about
}

// judge compares the book with the files of the remote and with the checksums of what was set aside.
func (b *book) judge(drive *drivetest.Server, root string, aside map[string]bool) verdict {
	onDrive := map[string][]found{}
	for _, e := range drive.Look(root) {
		if !e.Trashed {
			onDrive[e.Path] = append(onDrive[e.Path], found{e.SHA256, e.Size, func() (io.ReadCloser, error) { return drive.Open(e.ID) }})
		}
	}
	var v verdict
	known, written := map[string]bool{}, map[string]bool{}
	for _, p := range b.papers {
		for _, name := range p.names {
			known[name] = true
		}
		for _, one := range p.versions {
			written[one.sum] = true
		}
		before := len(v.wrong)
		if v.judge(p, onDrive, aside); len(v.wrong) > before {
			v.wrong[len(v.wrong)-1] += "\n\t" + strings.Join(p.history, "\n\t")
		}
	}
	for path, files := range onDrive {
		for _, one := range files {
			p := b.former[path]
			switch {
			case known[path]:
			case written[one.sum], p != nil && p.has(one, 0) > 0:
				v.leftover++
			default:
				v.wrong = append(v.wrong, "no program wrote "+path)
			}
		}
	}
	slices.Sort(v.wrong)
	return v
}

func (v *verdict) judge(p *paper, onDrive map[string][]found, aside map[string]bool) {
	stored, copies := 0, 0
	for _, name := range p.names {
		for _, one := range onDrive[name] {
			copies++
			number := p.has(one, 0)
			if number == 0 {
				v.wrong = append(v.wrong, fmt.Sprintf("%s is mixed: %d bytes that no program wrote, %s", name, one.size, p.origins(one.content())))
			}
			stored = max(stored, number)
		}
	}
	newest := 0
	for i := len(p.versions); i > stored && newest == 0; i-- {
		if aside[p.versions[i-1].sum] {
			newest = i
		}
	}
	what := fmt.Sprintf("%s, version %d of %d", strings.Join(p.names, " or "), p.acked, len(p.versions))
	switch {
	case p.deleted:
		if copies > 0 && !p.over {
			v.leftover++
			v.left = append(v.left, fmt.Sprintf("%d copies of the deleted %s\n\t%s", copies, p.name(), strings.Join(p.history, "\n\t")))
		}
	case stored < p.acked && newest < p.acked:
		v.wrong = append(v.wrong, fmt.Sprintf("LOST: %s, was shown as uploaded; the remote has version %d", what, stored))
	case stored < p.acked:
		v.wrong = append(v.wrong, what+", was shown as uploaded, and is only set aside")
	case p.over:
	case max(stored, newest) < len(p.versions):
		v.wrong = append(v.wrong, fmt.Sprintf("%s is not on the remote, which has version %d, and not listed", what, stored))
	case newest > stored:
		v.listed++
	default:
		v.stored++
		if v.leftover += copies - 1; copies > 1 {
			v.left = append(v.left, fmt.Sprintf("%d copies of %s\n\t%s", copies, p.name(), strings.Join(p.history, "\n\t")))
		}
	}
}
