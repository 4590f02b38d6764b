package drivetest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"
)

// A content is what a file holds. It never changes; an update replaces it.
type content struct {
	size              int64
	md5, sha1, sha256 string
	data              []byte // in memory
	file              string // or in this file
}

type readSeekCloser struct {
	io.ReadSeeker
	io.Closer
}

func (c *content) open() (io.ReadSeekCloser, error) {
	if c.file != "" {
		return os.Open(c.file)
	}
	return readSeekCloser{bytes.NewReader(c.data), io.NopCloser(nil)}, nil
}

// drop frees what the content took. A download under way keeps its open file.
func (c *content) drop() {
	if c != nil && c.file != "" {
		_ = os.Remove(c.file) // the folder goes with the test anyway
	}
}

// A spool takes the bytes of an upload, which become a content.
type spool struct {
	size              int64
	md5, sha1, sha256 hash.Hash
	memory            bytes.Buffer
	file              *os.File // nil: in memory
}

// newSpool keeps what it gets in a file of the folder, or in memory if dir is "".
func newSpool(dir string) (*spool, error) {
	s := &spool{md5: md5.New(), sha1: sha1.New(), sha256: sha256.New()}
	if dir == "" {
		return s, nil
	}
	var err error
	s.file, err = os.CreateTemp(dir, "content-")
	return s, err
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (n int, err error) {
	if s.file != nil {
		n, err = s.file.Write(p)
	} else {
		n, err = s.memory.Write(p)
	}
	s.size += int64(n)
	for _, h := range []hash.Hash{s.md5, s.sha1, s.sha256} {
		h.Write(p[:n])
	}
	return n, err
}

// finish turns the spool into a content.
func (s *spool) finish() (*content, error) {
	c := &content{
		size: s.size, md5: hex.EncodeToString(s.md5.Sum(nil)), sha1: hex.EncodeToString(s.sha1.Sum(nil)), sha256: hex.EncodeToString(s.sha256.Sum(nil)),
	}
	if s.file == nil {
		c.data = s.memory.Bytes()
		return c, nil
	}
	c.file = s.file.Name()
	return c, s.file.Close()
}

// discard gives up what was spooled.
func (s *spool) discard() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
}
