package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/fs/object"

	"salvor/internal/blob"
)

// errOvertaken means that another writer stored something else under the same name at
// the same time.
var errOvertaken = errors.New("another writer stored something else under this name at the same time")

// A namesake is an object on a remote that lets several have one name, as Drive does.
type namesake interface {
	fs.Object
	fs.IDer
}

// newer is the order of objects of one name, the same for all writers: the newest one is the object,
// and the others are left over.
func newer(ctx context.Context, a, b namesake) int {
	if c := a.ModTime(ctx).Compare(b.ModTime(ctx)); c != 0 {
		return c
	}
	return strings.Compare(a.ID(), b.ID())
}

// putTwin stores an object next to those that have its name, verifies it, and then
// removes them. An upload that fails never touches them. Of several writers all but one
// fail, unless they stored the same.
func (f *Folder) putTwin(ctx context.Context, name string, content io.Reader, size int64) (blob.Proof, error) {
	if err := f.settleFolders(ctx, path.Dir(name)); err != nil {
		return blob.Proof{}, err
	}
	before, err := f.twins(ctx, name)
	if err != nil {
		return blob.Proof{}, err
	}
	at := time.Now()
	if len(before) > 0 {
		// what this writer has seen is older for every other one, too, whatever its clock says
		if least := slices.MaxFunc(before, compareIn(ctx)).ModTime(ctx).Add(f.fs.Precision()); at.Before(least) {
			at = least
		}
	}
	info := object.NewStaticObjectInfo(name, at, size, true, nil, f.fs)
	stored, sums, err := f.send(ctx, f.fs.Features().PutUnchecked, info, content)
	if err != nil {
		return blob.Proof{}, err
	}
	own, ok := stored.(namesake)
	if !ok {
		return blob.Proof{}, fmt.Errorf("%T has no id", stored)
	}
	proof, err := f.settle(ctx, own, size, sums)
	if err != nil {
		err = errors.Join(err, f.withdraw(ctx, own))
	}
	return proof, err
}

func compareIn(ctx context.Context) func(a, b namesake) int {
	return func(a, b namesake) int { return newer(ctx, a, b) }
}

// settle takes a fresh look at all objects of a name, compares the newest one with what
// was sent, and removes the others.
func (f *Folder) settle(ctx context.Context, own namesake, size int64, sums map[hash.Type]string) (blob.Proof, error) {
	proof := blob.Proof{Size: size}
	err := f.retry(ctx, func(ctx context.Context) error {
		all, err := f.lookForTwins(ctx, own.Remote())
		if err != nil {
			return err
		}
		listed := slices.ContainsFunc(all, func(n namesake) bool { return n.ID() == own.ID() })
		newest := slices.MaxFunc(append([]namesake{own}, all...), compareIn(ctx))
		if newest.ID() == own.ID() && !listed {
			return fserrors.RetryErrorf("it was stored and is not listed")
		}
		proof.By, err = same(ctx, f.line, newest, size, sums)
		if errors.Is(err, ErrCorrupt) && newest.ID() != own.ID() {
			return errOvertaken
		}
		if err != nil {
			return err
		}
		for _, old := range all {
			if old.ID() == newest.ID() {
				continue
			}
			if err := old.Remove(ctx); err != nil && !gone(err) {
				return err
			}
		}
		return nil
	})
	return proof, err
}

// twins returns all objects of a name, in no order.
func (f *Folder) twins(ctx context.Context, name string) (all []namesake, err error) {
	err = f.ask(ctx, func(ctx context.Context) error {
		all, err = f.lookForTwins(ctx, name)
		return err
	})
	return all, err
}

func (f *Folder) lookForTwins(ctx context.Context, name string) ([]namesake, error) {
	entries, err := f.fs.List(ctx, folderOf(name))
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	var all []namesake
	for _, entry := range entries {
		if n, ok := entry.(namesake); ok && n.Remote() == name {
			all = append(all, n)
		}
	}
	return all, nil
}

// withdraw removes what a failed upload left, if anything.
func (f *Folder) withdraw(ctx context.Context, own namesake) error {
	ctx, cancel := context.WithTimeout(settings(context.WithoutCancel(ctx)), cleanTimeout)
	defer cancel()
	if err := own.Remove(ctx); err != nil && !gone(err) {
		return err
	}
	return nil
}
