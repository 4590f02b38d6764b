package keyagent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"salvor/internal/fault"
)

// maxIdentities is what every system lets a user keep out of the swap.
const maxIdentities = 32 << 10

var errTooLarge = errors.New("more keys than an agent holds")

// A vault has text in memory of its own, which is not written to the swap and is wiped in
// the end.
type vault struct {
	mu   sync.RWMutex // guards memory: no one reads while it is wiped
	page []byte
	size int
}

// newVault reads size bytes straight into a vault.
func newVault(r io.Reader, size int) (*vault, error) {
	if size <= 0 || size > maxIdentities {
		return nil, errTooLarge
	}
	whole := (size + os.Getpagesize() - 1) / os.Getpagesize() * os.Getpagesize()
	page, err := unix.Mmap(-1, 0, whole, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for the key: %w", err)
	}
	v := &vault{page: page, size: size}
	if err := unix.Mlock(page); err != nil {
		v.wipe()
		return nil, fault.WithHint(fmt.Errorf("memory that is not swapped: %w", err), "ulimit -l must allow 64 KiB")
	}
	if _, err := io.ReadFull(r, page[:size]); err != nil {
		v.wipe()
		return nil, fmt.Errorf("the key did not arrive: %w", err)
	}
	return v, nil
}

// read calls use with the text, which it must not keep; with none once it was wiped.
func (v *vault) read(use func(text []byte) error) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.page == nil {
		return ErrNone
	}
	return use(v.page[:v.size])
}

// wipe overwrites the text and gives the memory back. It may be called twice.
func (v *vault) wipe() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.page == nil {
		return
	}
	clear(v.page)
	_ = unix.Munmap(v.page) // it ends with the process at the latest
	v.page = nil
}
